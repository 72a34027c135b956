//! The other half of `server`: clients that are the role traits.

mod directory;
mod presence;
mod registrar;
mod stream;
mod telling;

use std::time::Duration;

use bytes::Bytes;
use rpc::{Error, ErrorCode};
use tokio::time::timeout;
use tonic::client::GrpcService;
use tonic::codegen::{Body, Service, StdError, http};
use tonic::{Request, Response, Status};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

pub use directory::RemoteDirectory;
pub use presence::RemotePresence;
pub use registrar::RemoteRegistrar;

use crate::codec::error::error;
use crate::work::DEFAULT_DEADLINE;

/// What carries calls to a member: a [`tonic::transport::Channel`], or a generated server in this process.
pub trait Carrier:
    GrpcService<
        tonic::body::Body,
        Error: Into<StdError>,
        Future: Send,
        ResponseBody: Body<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

impl<T> Carrier for T where
    T: GrpcService<
            tonic::body::Body,
            Error: Into<StdError>,
            Future: Send,
            ResponseBody: Body<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

/// A [`Carrier`] of whichever kind, for who keeps carriers and does not care: streams between front ends and owners.
pub type AnyCarrier =
    BoxCloneSyncService<http::Request<tonic::body::Body>, http::Response<tonic::body::Body>, Status>;

/// Forgets of which kind a carrier is.
pub fn any_carrier<S, B>(carrier: S) -> AnyCarrier
where
    S: Service<
            http::Request<tonic::body::Body>,
            Response = http::Response<B>,
            Error: Into<StdError>,
            Future: Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static,
    B: Body<Data = Bytes, Error: Into<StdError>> + Send + 'static,
{
    let carrier = carrier.map_response(|response| response.map(tonic::body::Body::new));
    BoxCloneSyncService::new(carrier.map_err(|error| Status::from_error(error.into())))
}

/// Makes calls that have a deadline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) deadline: Duration,
}

impl Default for Caller {
    fn default() -> Self {
        Caller {
            deadline: DEFAULT_DEADLINE,
        }
    }
}

impl Caller {
    /// A request that tells its deadline to the other side.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        crate::traced::inject(request.metadata_mut());
        request
    }

    /// The answer, or why there is none. The deadline holds here too: waiting for a connection counts.
    pub(crate) async fn call<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Error> {
        match timeout(self.deadline, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(error(&status)),
            Err(_) => Err(self.too_late()),
        }
    }

    pub(crate) fn too_late(&self) -> Error {
        let text = format!(
            "no answer from the other member in {} ms",
            self.deadline.as_millis()
        );
        Error::new(ErrorCode::Timeout, text)
    }
}
