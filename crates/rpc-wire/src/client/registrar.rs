//! A registrar in another process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rpc::{
    Authenticate, Binding, EffectivePolicy, Error, Freshness, Identity, Location, PeopleFound, PeopleSearch,
    Refusal, Register, RegisterError, Registered, Registrar, RegistrarChange, Unregister,
};
use sip_types::AddressOfRecord;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Request;
use topology::MemberId;

use super::stream::StreamReader;
use super::{Caller, Carrier};
use crate::MAX_MESSAGE;
use crate::codec::{Malformed, registrar, required};
use crate::proto::registrar::v1 as wire;

/// A registrar at the other end of a [`Carrier`].
#[derive(Clone)]
pub struct RemoteRegistrar<T> {
    // A request that is too long is refused by the other side: here it would look like a broken connection.
    client: wire::registrar_client::RegistrarClient<T>,
    caller: Caller,
    member: MemberId,
    streams: StreamReader,
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
            streams: StreamReader::new(tasks, stop),
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
        self.streams
            .open(
                self.caller,
                "changes of registrations",
                client.watch(request),
                |batch| batch.changes.into_iter().map(registrar::registrar_change),
            )
            .await
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

    async fn search(&self, search: PeopleSearch) -> Result<PeopleFound, Error> {
        let request = self.caller.request(search.into());
        let mut client = self.client.clone();
        let response = self.caller.call(client.search(request)).await?;
        PeopleFound::try_from(response).map_err(Malformed::in_answer)
    }
}
