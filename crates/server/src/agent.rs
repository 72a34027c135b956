//! The agent a balancer asks every few seconds what it should send here: one line of text, then the connection closes.
//!
//! The words are those of HAProxy's agent check. They carry intent, such as a drain; whether this member works at all, the
//! balancer finds out by its own health check.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::{Health, State};

/// For so long after it began to serve, a member also says `ready`: it takes back a drain the balancer may remember from
/// whoever had this place before. Not for longer, because it would take back an operator's maintenance too.
const FRESH: Duration = Duration::from_secs(15);
/// How long a balancer may take to take the line. Only one is served at a time.
const PATIENCE: Duration = Duration::from_secs(1);
/// After accepting has failed, usually for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers until the member stops. `is_full` says whether the member has about as many clients as it takes.
pub(crate) async fn serve(
    socket: TcpListener,
    health: Arc<Health>,
    is_full: impl Fn() -> bool + Send + Sync,
    stop: CancellationToken,
) {
    let answer_all = async {
        loop {
            let (mut stream, peer) = match socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "the balancer agent cannot accept");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let (state, age) = health.state_for(Instant::now());
            let line = line(state, age, is_full());
            let say = async {
                stream.write_all(line.as_bytes()).await?;
                stream.shutdown().await
            };
            match tokio::time::timeout(PATIENCE, say).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%peer, %error, "the balancer did not take the line"),
                Err(_) => tracing::debug!(%peer, "the balancer did not take the line in time"),
            }
        }
    };
    stop.run_until_cancelled(answer_all).await;
}

/// What to tell the balancer.
fn line(state: State, age: Duration, is_full: bool) -> &'static str {
    match state {
        State::Draining | State::Drained => "drain\n",
        State::Starting => "ready up 100%\n",
        State::Serving if age < FRESH => "ready up 100%\n",
        // It keeps those it has; others go elsewhere as long as there is an elsewhere.
        State::Serving if is_full => "up 10%\n",
        State::Serving => "up 100%\n",
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpStream;

    use super::*;

    #[test]
    fn a_fresh_member_takes_back_the_drain_of_its_predecessor_and_an_old_one_does_not() {
        let line = |seconds| line(State::Serving, Duration::from_secs(seconds), false);
        assert_eq!(line(0), "ready up 100%\n");
        assert_eq!(line(14), "ready up 100%\n");
        assert_eq!(line(15), "up 100%\n");
    }

    #[test]
    fn a_full_member_wants_few_new_clients() {
        assert_eq!(line(State::Serving, FRESH, true), "up 10%\n");
        assert_eq!(line(State::Draining, FRESH, true), "drain\n");
    }

    #[tokio::test]
    async fn a_balancer_is_told_the_state_of_the_moment_and_the_connection_ends() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let health = Arc::new(Health::new(Instant::now()));
        let stop = CancellationToken::new();
        let agent = tokio::spawn(serve(socket, Arc::clone(&health), || false, stop.clone()));
        for (state, expected) in [
            (State::Serving, "ready up 100%\n"),
            (State::Draining, "drain\n"),
            (State::Drained, "drain\n"),
        ] {
            health.set_state(state);
            let mut told = String::new();
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.read_to_string(&mut told).await.unwrap();
            assert_eq!(told, expected);
        }
        stop.cancel();
        agent.await.unwrap();
    }
}
