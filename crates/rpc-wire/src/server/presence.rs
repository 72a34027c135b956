//! [`rpc::Presence`] as a service.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use rpc::presence::Follow;
use rpc::{Error, ErrorCode, PresenceClient};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::{malformed, telling};
use crate::MAX_MESSAGE;
use crate::codec::endpoint::member;
use crate::codec::error::status;
use crate::codec::{self, Malformed, presence};
use crate::duplex::Counters;
use crate::proto::presence::v1 as wire;
use crate::work::{Work, deadline};

/// News in one batch, at most.
const BATCH: usize = 64;

/// Presentities in one request to follow, at most. Answer: `INVALID_REQUEST`.
pub const FOLLOW_BATCH: usize = 1_000;

/// The service over a presence role.
pub(crate) struct PresenceService {
    pub(crate) presence: PresenceClient,
    pub(crate) work: Work,
    /// Counts what streams of `Tell` carry.
    pub(crate) counters: Arc<Counters>,
}

fn addresses(field: &'static str, texts: &[String]) -> Result<Vec<sip_types::AddressOfRecord>, Malformed> {
    texts.iter().map(|text| codec::aor(field, text)).collect()
}

#[async_trait]
impl wire::presence_server::Presence for PresenceService {
    type TellStream = telling::Answers;

    async fn tell(
        &self,
        request: Request<Streaming<wire::TellRequest>>,
    ) -> Result<Response<Self::TellStream>, Status> {
        let (presence, work) = (self.presence.clone(), self.work.clone());
        telling::take(presence, work, self.counters.clone(), request.into_inner()).map(Response::new)
    }

    async fn own(&self, request: Request<wire::OwnRequest>) -> Result<Response<wire::OwnResponse>, Status> {
        let deadline = deadline(request.metadata());
        let user = codec::aor("own.user", &request.get_ref().user).map_err(malformed)?;
        let work = async {
            let own = self.presence.own(&user).await?;
            Ok(wire::OwnResponse {
                own: own.as_deref().map(presence::own_to_wire),
            })
        };
        self.work.read(deadline, work).await
    }

    async fn follow(
        &self,
        request: Request<wire::FollowRequest>,
    ) -> Result<Response<wire::FollowResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let front_end = member("follow.member", &request.member).map_err(malformed)?;
        if request.follow.len() > FOLLOW_BATCH {
            return Err(malformed(Malformed::new("follow.follow")));
        }
        let one = |one: wire::FollowOne| {
            Ok(Follow {
                presentity: codec::aor("follow.presentity", &one.presentity)?,
                own: one.own,
            })
        };
        let follow = request.follow.into_iter().map(one);
        let follow: Vec<Follow> = follow.collect::<Result<_, Malformed>>().map_err(malformed)?;
        let role = self.presence.clone();
        let work = async move {
            let answers = role.follow(&front_end, follow).await?;
            // What does not fit is asked for again.
            let response = presence::followed_to_wire(&answers, MAX_MESSAGE);
            if response.answers.is_empty() && !answers.is_empty() {
                let text = "a presence document is larger than a message";
                return Err(Error::new(ErrorCode::Internal, text));
            }
            Ok(response)
        };
        self.work.write(deadline, work).await
    }

    async fn unfollow(
        &self,
        request: Request<wire::UnfollowRequest>,
    ) -> Result<Response<wire::UnfollowResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let front_end = member("unfollow.member", &request.member).map_err(malformed)?;
        let presentities = addresses("unfollow.presentities", &request.presentities).map_err(malformed)?;
        let role = self.presence.clone();
        let work = async move {
            role.unfollow(&front_end, presentities).await?;
            Ok(wire::UnfollowResponse {})
        };
        self.work.write(deadline, work).await
    }

    type NewsStream = Pin<Box<dyn Stream<Item = Result<wire::NewsResponse, Status>> + Send>>;

    /// No queue of its own: what the receiver does not read stays in the role's queue, which ends the stream of one that lags.
    async fn news(&self, request: Request<wire::NewsRequest>) -> Result<Response<Self::NewsStream>, Status> {
        let place = self.work.watcher()?;
        let front_end = member("news.member", &request.get_ref().member).map_err(malformed)?;
        let news = self
            .presence
            .news(&front_end)
            .await
            .map_err(|error| status(&error))?;
        tracing::debug!(member = %front_end, "a front end wants news of presence");
        let batches = news.ready_chunks(BATCH).flat_map(move |news| {
            let _for_as_long_as_it_stands = &place;
            stream::iter(presence::news_in_messages(&news, MAX_MESSAGE))
        });
        // The first response says that the stream stands: nothing that is followed from now on is missed.
        let stands = stream::iter([wire::NewsResponse { items: Vec::new() }]);
        let stop = self.work.stop.clone().cancelled_owned();
        let responses = stands.chain(batches).map(Ok).take_until(stop);
        Ok(Response::new(Box::pin(responses)))
    }

    async fn change_members(
        &self,
        request: Request<wire::ChangeMembersRequest>,
    ) -> Result<Response<wire::ChangeMembersResponse>, Status> {
        let deadline = deadline(request.metadata());
        let (user, changes) = presence::change_members(request.into_inner()).map_err(malformed)?;
        let role = self.presence.clone();
        let work = async move {
            let result = role.change_members(&user, changes).await?;
            Ok(presence::members_changed_to_wire(&result))
        };
        self.work.write(deadline, work).await
    }

    async fn acknowledge(
        &self,
        request: Request<wire::AcknowledgeRequest>,
    ) -> Result<Response<wire::AcknowledgeResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let user = codec::aor("acknowledge.user", &request.user).map_err(malformed)?;
        let watchers = addresses("acknowledge.watchers", &request.watchers).map_err(malformed)?;
        let role = self.presence.clone();
        let work = async move {
            role.acknowledge(&user, watchers).await?;
            Ok(wire::AcknowledgeResponse {})
        };
        self.work.write(deadline, work).await
    }

    async fn contacts(
        &self,
        request: Request<wire::ContactsRequest>,
    ) -> Result<Response<wire::ContactsResponse>, Status> {
        let deadline = deadline(request.metadata());
        let user = codec::aor("contacts.user", &request.get_ref().user).map_err(malformed)?;
        let work = async { Ok(presence::list_to_wire(&*self.presence.contacts(&user).await?)) };
        self.work.read(deadline, work).await
    }

    async fn change_contacts(
        &self,
        request: Request<wire::ChangeContactsRequest>,
    ) -> Result<Response<wire::ChangeContactsResponse>, Status> {
        let deadline = deadline(request.metadata());
        let (user, known, change) = presence::change(request.into_inner()).map_err(malformed)?;
        let role = self.presence.clone();
        let work = async move {
            let result = role.change_contacts(&user, known, change).await?;
            Ok(presence::contacts_changed_to_wire(&result))
        };
        self.work.write(deadline, work).await
    }
}
