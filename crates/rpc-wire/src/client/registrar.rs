//! A registrar in another process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rpc::{
    Authenticate, Binding, EffectivePolicy, Error, ErrorCode, Freshness, Identity, Location, Refusal,
    Register, RegisterError, Registered, Registrar, RegistrarChange, Unregister,
};
use sip_types::AddressOfRecord;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Streaming};
use topology::MemberId;

use super::{Caller, Carrier};
use crate::MAX_MESSAGE;
use crate::codec::error::error;
use crate::codec::{Malformed, registrar, required};
use crate::proto::registrar::v1 as wire;

/// Changes a receiver here may lag behind by before it loses its stream.
const LAG: usize = 1_024;

/// A registrar at the other end of a [`Carrier`].
#[derive(Clone)]
pub struct RemoteRegistrar<T> {
    // A request that is too long is refused by the other side: here it would look like a broken connection.
    client: wire::registrar_client::RegistrarClient<T>,
    caller: Caller,
    member: MemberId,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl<T: Carrier> RemoteRegistrar<T> {
    /// The registrar at the other end of `carrier`, asked by `member`. Streams of changes are read by tasks of `tasks`, which
    /// end with `stop`.
    pub fn new(carrier: T, member: MemberId, tasks: TaskTracker, stop: CancellationToken) -> Self {
        RemoteRegistrar {
            client: wire::registrar_client::RegistrarClient::new(carrier)
                .max_decoding_message_size(MAX_MESSAGE),
            caller: Caller::default(),
            member,
            tasks,
            stop,
        }
    }

    /// The same with another deadline for each call. The default is 5 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.caller.deadline = deadline;
        self
    }
}

#[async_trait]
impl<T: Carrier> Registrar for RemoteRegistrar<T> {
    async fn authenticate(&self, request: Authenticate) -> Result<Result<Identity, Refusal>, Error> {
        let request = self.caller.request((&request).into());
        let mut client = self.client.clone();
        let response = self.caller.call(client.authenticate(request)).await?;
        registrar::authenticated(response).map_err(Malformed::in_answer)
    }

    async fn register(&self, request: Register) -> Result<Registered, RegisterError> {
        let request = self.caller.request((&request).into());
        let mut client = self.client.clone();
        let response = self.caller.call(client.register(request)).await?;
        registrar::registered(response).map_err(Malformed::in_answer)?
    }

    async fn unregister(&self, request: Unregister) -> Result<Vec<Binding>, RegisterError> {
        let request = self.caller.request((&request).into());
        let mut client = self.client.clone();
        let response = self.caller.call(client.unregister(request)).await?;
        registrar::unregistered(response).map_err(Malformed::in_answer)?
    }

    async fn lookup(&self, aor: &AddressOfRecord, freshness: Freshness) -> Result<Option<Location>, Error> {
        let request = self.caller.request(wire::LookupRequest {
            aor: aor.as_str().to_owned(),
            newest: freshness == Freshness::Newest,
        });
        let mut client = self.client.clone();
        let response = self.caller.call(client.lookup(request)).await?;
        let location = response.location.map(Location::try_from).transpose();
        location.map_err(Malformed::in_answer)
    }

    async fn watch(&self) -> Result<ReceiverStream<RegistrarChange>, Error> {
        // No deadline in the request: it would be one of the whole stream.
        let request = Request::new(wire::WatchRequest {
            member: self.member.as_str().to_owned(),
        });
        let mut client = self.client.clone();
        let open = async {
            let mut changes = client.watch(request).await?.into_inner();
            let first = changes.message().await?;
            Ok((changes, first))
        };
        let (changes, first) = match timeout(self.caller.deadline, open).await {
            Ok(opened) => opened.map_err(|status| error(&status))?,
            Err(_) => return Err(self.caller.too_late()),
        };
        let ended = || {
            Error::new(
                ErrorCode::Unavailable,
                "the registrar ended a stream of changes at once",
            )
        };
        let first = first.ok_or_else(ended)?;
        let (sender, receiver) = mpsc::channel(LAG);
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            // Whoever holds the receiver sees the end of its stream.
            let why = tokio::select! {
                why = pass_on(changes, first, &sender) => why,
                () = stop.cancelled() => return,
                () = sender.closed() => return,
            };
            tracing::info!(reason = why, "the stream of changes from the registrar ended");
        });
        Ok(ReceiverStream::new(receiver))
    }

    async fn policy(&self, kind: &str, aor: &AddressOfRecord) -> Result<Arc<EffectivePolicy>, Error> {
        let request = self.caller.request(wire::PolicyRequest {
            kind: kind.to_owned(),
            aor: aor.as_str().to_owned(),
        });
        let mut client = self.client.clone();
        let response = self.caller.call(client.policy(request)).await?;
        let policy = required("policy.policy", response.policy).and_then(EffectivePolicy::try_from);
        policy.map(Arc::new).map_err(Malformed::in_answer)
    }
}

/// Passes changes on until there are no more, or none that can be trusted; says why.
async fn pass_on(
    mut changes: Streaming<wire::WatchResponse>,
    first: wire::WatchResponse,
    sender: &mpsc::Sender<RegistrarChange>,
) -> String {
    let mut batch = first;
    loop {
        for change in batch.changes {
            match registrar::registrar_change(change) {
                Ok(None) => {}
                Ok(Some(change)) => {
                    if sender.try_send(change).is_err() {
                        return "its receiver does not keep up".to_owned();
                    }
                }
                Err(malformed) => return malformed.to_string(),
            }
        }
        batch = match changes.message().await {
            Ok(Some(batch)) => batch,
            Ok(None) => return "the registrar closed it".to_owned(),
            Err(status) => return error(&status).message,
        };
    }
}
