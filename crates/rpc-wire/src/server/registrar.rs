//! [`rpc::Registrar`] as a service.

use std::pin::Pin;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use rpc::{Authenticate, Freshness, Register, RegistrarClient, Unregister};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::malformed;
use crate::codec::error::status;
use crate::codec::{self, registrar};
use crate::proto::registrar::v1 as wire;
use crate::work::{Work, deadline};

/// Changes in one batch of a stream, at most.
const BATCH: usize = 64;

/// The service over a registrar.
pub(crate) struct RegistrarService {
    pub(crate) registrar: RegistrarClient,
    pub(crate) work: Work,
}

#[async_trait]
impl wire::registrar_server::Registrar for RegistrarService {
    async fn authenticate(
        &self,
        request: Request<wire::AuthenticateRequest>,
    ) -> Result<Response<wire::AuthenticateResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = Authenticate::try_from(request.into_inner()).map_err(malformed)?;
        let work = async {
            let result = self.registrar.authenticate(request).await?;
            Ok(registrar::authenticated_to_wire(&result))
        };
        self.work.read(deadline, work).await
    }

    async fn register(
        &self,
        request: Request<wire::RegisterRequest>,
    ) -> Result<Response<wire::RegisterResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = Register::try_from(request.into_inner()).map_err(malformed)?;
        let role = self.registrar.clone();
        let work = async move { registrar::registered_to_wire(role.register(request).await) };
        self.work.write(deadline, work).await
    }

    async fn unregister(
        &self,
        request: Request<wire::UnregisterRequest>,
    ) -> Result<Response<wire::UnregisterResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = Unregister::try_from(request.into_inner()).map_err(malformed)?;
        let role = self.registrar.clone();
        let work = async move { registrar::unregistered_to_wire(role.unregister(request).await) };
        self.work.write(deadline, work).await
    }

    async fn lookup(
        &self,
        request: Request<wire::LookupRequest>,
    ) -> Result<Response<wire::LookupResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let aor = codec::aor("lookup.aor", &request.aor).map_err(malformed)?;
        let freshness = match request.newest {
            true => Freshness::Newest,
            false => Freshness::Cached,
        };
        let work = async {
            let location = self.registrar.lookup(&aor, freshness).await?;
            Ok(wire::LookupResponse {
                location: location.as_ref().map(Into::into),
            })
        };
        self.work.read(deadline, work).await
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<wire::WatchResponse, Status>> + Send>>;

    /// No queue of its own: what the receiver does not read stays in the registrar's queue, which ends the stream of one
    /// that lags.
    async fn watch(
        &self,
        request: Request<wire::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let place = self.work.watcher()?;
        let changes = self.registrar.watch().await.map_err(|error| status(&error))?;
        tracing::debug!(member = %request.get_ref().member, "a member watches for changes");
        let batches = changes.ready_chunks(BATCH).map(move |changes| {
            let _for_as_long_as_it_stands = &place;
            wire::WatchResponse {
                changes: changes.iter().map(Into::into).collect(),
            }
        });
        // The first response says that the stream stands: nothing that happens from now on is missed.
        let stands = stream::iter([wire::WatchResponse { changes: Vec::new() }]);
        let stop = self.work.stop.clone().cancelled_owned();
        let responses = stands.chain(batches).map(Ok).take_until(stop);
        Ok(Response::new(Box::pin(responses)))
    }

    async fn policy(
        &self,
        request: Request<wire::PolicyRequest>,
    ) -> Result<Response<wire::PolicyResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let aor = codec::aor("policy.aor", &request.aor).map_err(malformed)?;
        let work = async {
            let policy = self.registrar.policy(&request.kind, &aor).await?;
            Ok(wire::PolicyResponse {
                policy: Some((&*policy).into()),
            })
        };
        self.work.read(deadline, work).await
    }

    async fn search(
        &self,
        request: Request<wire::SearchRequest>,
    ) -> Result<Response<wire::SearchResponse>, Status> {
        let deadline = deadline(request.metadata());
        let search = request.into_inner().into();
        let work = async { Ok(self.registrar.search(search).await?.into()) };
        self.work.read(deadline, work).await
    }
}
