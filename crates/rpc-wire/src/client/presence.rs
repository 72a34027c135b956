//! A presence role in another process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rpc::presence::{
    AccessRules, ContactChange, ContactList, ContactNews, ContactRefusal, Follow, FollowRefusal,
    MemberChanges, OwnData, PresenceDocument, PresenceNews, Publish, PublishRefusal, Published, SeenWatcher,
};
use rpc::{Error, Presence};
use sip_types::AddressOfRecord;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Request;
use topology::MemberId;

use super::stream::StreamReader;
use super::telling::Telling;
use super::{Caller, Carrier};
use crate::MAX_MESSAGE;
use crate::codec::{Malformed, presence};
use crate::duplex::Counters;
use crate::proto::presence::v1 as wire;
use crate::proto::presence::v1::tell_answer::Outcome;
use crate::proto::presence::v1::tell_item::Body;

/// A presence role at the other end of a [`Carrier`].
#[derive(Clone)]
pub struct RemotePresence<T> {
    client: wire::presence_client::PresenceClient<T>,
    caller: Caller,
    streams: StreamReader,
    telling: Arc<Telling<T>>,
}

impl<T: Carrier> RemotePresence<T> {
    /// The presence role at the other end of `carrier`. Its streams are read by tasks of `tasks`, which end with `stop`; what
    /// is told to it is counted by `counters`.
    pub fn new(carrier: T, counters: Arc<Counters>, tasks: TaskTracker, stop: CancellationToken) -> Self {
        let client =
            wire::presence_client::PresenceClient::new(carrier).max_decoding_message_size(MAX_MESSAGE);
        let telling = Telling::new(client.clone(), counters, tasks.clone(), stop.clone());
        RemotePresence {
            client,
            caller: Caller::default(),
            streams: StreamReader::new(tasks, stop),
            telling: Arc::new(telling),
        }
    }

    /// The same with another deadline for each call. The default is 5 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.caller.deadline = deadline;
        self
    }
}

fn texts(addresses: &[AddressOfRecord]) -> Vec<String> {
    addresses
        .iter()
        .map(|address| address.as_str().to_owned())
        .collect()
}

#[async_trait]
impl<T: Carrier> Presence for RemotePresence<T> {
    async fn publish(&self, publish: Publish) -> Result<Result<Published, PublishRefusal>, Error> {
        match self
            .telling
            .tell(self.caller, Body::Publish(presence::publish_to_wire(&publish)))
            .await?
        {
            Outcome::PublishResult(result) => presence::published(result).map_err(Malformed::in_answer),
            _ => Err(Malformed::new("answer.outcome").in_answer()),
        }
    }

    async fn own(&self, user: &AddressOfRecord) -> Result<Option<Arc<OwnData>>, Error> {
        let request = self.caller.request(wire::OwnRequest {
            user: user.as_str().to_owned(),
        });
        let mut client = self.client.clone();
        let response = self.caller.call(client.own(request)).await?;
        let own = response.own.map(presence::own).transpose();
        Ok(own.map_err(Malformed::in_answer)?.map(Arc::new))
    }

    async fn follow(
        &self,
        member: &MemberId,
        follow: Vec<Follow>,
    ) -> Result<Vec<Result<Arc<PresenceDocument>, FollowRefusal>>, Error> {
        let asked = follow.len();
        let request = self.caller.request(wire::FollowRequest {
            member: member.as_str().to_owned(),
            follow: follow
                .into_iter()
                .map(|one| wire::FollowOne {
                    presentity: one.presentity.as_str().to_owned(),
                    own: one.own,
                })
                .collect(),
        });
        let mut client = self.client.clone();
        presence::followed(self.caller.call(client.follow(request)).await?, asked)
    }

    async fn unfollow(&self, member: &MemberId, presentities: Vec<AddressOfRecord>) -> Result<(), Error> {
        let request = self.caller.request(wire::UnfollowRequest {
            member: member.as_str().to_owned(),
            presentities: texts(&presentities),
        });
        let mut client = self.client.clone();
        self.caller.call(client.unfollow(request)).await?;
        Ok(())
    }

    async fn news(&self, member: &MemberId) -> Result<ReceiverStream<PresenceNews>, Error> {
        // No deadline in the request: it would be one of the whole stream.
        let request = Request::new(wire::NewsRequest {
            member: member.as_str().to_owned(),
        });
        let mut client = self.client.clone();
        self.streams
            .open(self.caller, "news of presence", client.news(request), |batch| {
                batch.items.into_iter().map(presence::news)
            })
            .await
    }

    async fn watched(
        &self,
        member: &MemberId,
        presentity: &AddressOfRecord,
        watchers: Vec<SeenWatcher>,
    ) -> Result<(), Error> {
        let watched = wire::Watched {
            member: member.as_str().to_owned(),
            presentity: presentity.as_str().to_owned(),
            watchers: presence::watchers_to_wire(&watchers),
        };
        match self.telling.tell(self.caller, Body::Watched(watched)).await? {
            Outcome::Done(wire::Done {}) => Ok(()),
            _ => Err(Malformed::new("answer.outcome").in_answer()),
        }
    }

    async fn change_members(
        &self,
        user: &AddressOfRecord,
        changes: MemberChanges,
    ) -> Result<Result<Arc<AccessRules>, PublishRefusal>, Error> {
        let request = self
            .caller
            .request(presence::change_members_to_wire(user, &changes));
        let mut client = self.client.clone();
        let response = self.caller.call(client.change_members(request)).await?;
        presence::members_changed(response).map_err(Malformed::in_answer)
    }

    async fn acknowledge(&self, user: &AddressOfRecord, watchers: Vec<AddressOfRecord>) -> Result<(), Error> {
        let request = self.caller.request(wire::AcknowledgeRequest {
            user: user.as_str().to_owned(),
            watchers: texts(&watchers),
        });
        let mut client = self.client.clone();
        self.caller.call(client.acknowledge(request)).await?;
        Ok(())
    }

    async fn contacts(&self, user: &AddressOfRecord) -> Result<Arc<ContactList>, Error> {
        let request = self.caller.request(wire::ContactsRequest {
            user: user.as_str().to_owned(),
        });
        let mut client = self.client.clone();
        let response = self.caller.call(client.contacts(request)).await?;
        presence::list(response)
            .map(Arc::new)
            .map_err(Malformed::in_answer)
    }

    async fn change_contacts(
        &self,
        user: &AddressOfRecord,
        known: Option<u64>,
        change: ContactChange,
    ) -> Result<Result<ContactNews, ContactRefusal>, Error> {
        let request = self
            .caller
            .request(presence::change_to_wire(user, known, &change));
        let mut client = self.client.clone();
        let response = self.caller.call(client.change_contacts(request)).await?;
        presence::contacts_changed(response).map_err(Malformed::in_answer)
    }
}
