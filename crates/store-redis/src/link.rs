//! One way to the servers, what is asked over it, and why there may be no answer.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use store::StoreError;

use crate::script::Call;

/// Why there is no answer. None of these texts has a password: the driver puts none into its errors.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("Redis did not answer within {0:?}")]
    TimedOut(Duration),
    #[error("Redis failed several times in a row and is asked once a second only")]
    Open,
    #[error("no sentinel that answers knows a master called `{0}`")]
    NoMaster(String),
    #[error("the sentinels name a master that is none")]
    NotMaster,
    #[error("no connection to Redis over TLS: {0}")]
    Tls(RedisError),
    #[error("Redis ended the connection at once, as one does that wants TLS (rediss): {0}")]
    HungUp(RedisError),
    #[error(transparent)]
    Redis(#[from] RedisError),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        StoreError::driver(failure)
    }
}

#[derive(Clone)]
pub(crate) enum Link {
    One(MultiplexedConnection),
    /// To the master that the sentinels named at this address.
    Master(MultiplexedConnection, Address),
    Cluster(ClusterConnection),
}

/// Host and port.
pub(crate) type Address = (String, u16);

/// What a link is asked. All of it may be repeated.
#[derive(Clone, Copy)]
pub(crate) enum Question<'a> {
    Ping,
    Script(&'a Call<'a>),
}

impl Link {
    async fn send(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        match self {
            Link::One(connection) | Link::Master(connection, _) => command.query_async(connection).await,
            Link::Cluster(connection) => command.query_async(connection).await,
        }
    }

    pub(crate) async fn ask(&mut self, question: Question<'_>) -> Result<Value, RedisError> {
        let call = match question {
            Question::Ping => return self.send(&redis::cmd("PING")).await,
            Question::Script(call) => call,
        };
        match self.send(&call.by_digest()).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send(&call.by_text()).await
            }
            other => other,
        }
    }
}

pub(crate) async fn within<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(timeout, work).await {
        Ok(result) => result,
        Err(_elapsed) => Err(Failure::TimedOut(timeout)),
    }
}

/// Whether a new link could help: unless the server itself said that the command was wrong.
pub(crate) fn may_be_the_link(failure: &Failure) -> bool {
    let Failure::Redis(error) = failure else {
        return true;
    };
    !matches!(
        error.kind(),
        ErrorKind::UnexpectedReturnType
            | ErrorKind::Server(
                ServerErrorKind::ResponseError | ServerErrorKind::NoPerm | ServerErrorKind::CrossSlot
            )
    )
}
