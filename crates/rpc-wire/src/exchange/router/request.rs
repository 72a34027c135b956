//! What a front end asks of an owner, and what it is answered: on a stream, or in this process.

use rpc::{
    ConversationKey, Error, ErrorCode, FailureReason, ImMcuClient, LegId, Open, Opened, Signal, Submit,
};

use crate::codec::conversation as codec;
use crate::proto::immcu::v1::front_end_item::Body as Up;
use crate::proto::immcu::v1::owner_item::Body as Down;

#[derive(Clone, Debug)]
pub(super) enum Request {
    Open(Box<Open>),
    Submit(Submit),
    Cancel(ConversationKey, LegId),
    Leave(ConversationKey, LegId),
    Signal(Box<Signal>),
}

impl Request {
    pub(super) fn to_wire(&self) -> Up {
        match self {
            Request::Open(open) => Up::Open((&**open).into()),
            Request::Submit(submit) => Up::Submit(submit.into()),
            Request::Cancel(key, leg) => Up::Cancel(codec::cancel_to_wire(key, *leg)),
            Request::Leave(key, leg) => Up::Leave(codec::leave_to_wire(key, *leg)),
            Request::Signal(signal) => Up::Signal((&**signal).into()),
        }
    }

    pub(super) async fn ask(self, owner: &ImMcuClient) -> Result<Reply, Error> {
        Ok(match self {
            Request::Open(open) => Reply::Open(owner.open(*open).await?),
            Request::Submit(submit) => Reply::Submit(owner.submit(submit).await?),
            Request::Cancel(key, leg) => Reply::Done(owner.cancel(&key, leg).await?),
            Request::Leave(key, leg) => Reply::Done(owner.leave(&key, leg).await?),
            Request::Signal(signal) => Reply::Done(owner.signal(*signal).await?),
        })
    }
}

pub(super) enum Reply {
    Open(Result<Opened, FailureReason>),
    Submit(Result<(), FailureReason>),
    Done(()),
}

impl Reply {
    /// Whether what was asked for has happened.
    pub(super) fn is_success(&self) -> bool {
        matches!(self, Reply::Open(Ok(_)) | Reply::Submit(Ok(())) | Reply::Done(()))
    }

    pub(super) fn of_wire(body: Down) -> Result<Self, Error> {
        match body {
            Down::OpenResult(result) => Ok(Reply::Open(
                codec::open_result(result).map_err(crate::codec::Malformed::in_answer)?,
            )),
            Down::SubmitResult(result) => Ok(Reply::Submit(codec::submit_result(result))),
            Down::Done(_) => Ok(Reply::Done(())),
            Down::Error(error) => Err(error.into()),
            _ => Err(unexpected()),
        }
    }
}

pub(super) fn unexpected() -> Error {
    Error::new(ErrorCode::Internal, "the owner answered something else")
}
