//! The other end of the control socket.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use hyper::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use server::control::api::Problem;
use tokio::net::UnixStream;

use super::failure::Failure;
use crate::http::{self, Answer};

/// Asks the server of one data directory. One connection per request: it is a local socket.
#[derive(Debug)]
pub(super) struct Client {
    socket: PathBuf,
}

impl Client {
    pub(super) fn new(data_dir: &Path) -> Self {
        Client {
            socket: server::control::socket_path(data_dir),
        }
    }

    /// Reads something.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        decode(&self.ask(Method::GET, path, None).await?)
    }

    /// Sends something and reads what came of it.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(Failure::failed)?;
        decode(&self.ask(method, path, Some(body)).await?)
    }

    /// Sends something whose success says it all.
    pub(super) async fn put(&self, path: &str, body: &impl Serialize) -> Result<(), Failure> {
        let body = serde_json::to_vec(body).map_err(Failure::failed)?;
        self.ask(Method::PUT, path, Some(body)).await.map(drop)
    }

    /// Adds something; success says it all.
    pub(super) async fn post(&self, path: &str, body: &impl Serialize) -> Result<(), Failure> {
        let body = serde_json::to_vec(body).map_err(Failure::failed)?;
        self.ask(Method::POST, path, Some(body)).await.map(drop)
    }

    /// Deletes something.
    pub(super) async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.ask(Method::DELETE, path, None).await.map(drop)
    }

    /// Deletes something and reads what came of it.
    pub(super) async fn delete_counted<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        decode(&self.ask(Method::DELETE, path, None).await?)
    }

    /// Reads answers for as long as there are some, one JSON object per line.
    pub(super) async fn follow<T: DeserializeOwned>(
        &self,
        path: &str,
        mut each: impl FnMut(T),
    ) -> Result<(), Failure> {
        let stream = self.connect().await?;
        let mut problem = None;
        let answered = http::follow(stream, path, "portico", |line| {
            match serde_json::from_slice(line) {
                Ok(answer) => {
                    each(answer);
                    true
                }
                Err(error) => {
                    problem = Some(not_understood(&error));
                    false
                }
            }
        });
        let answered = answered.await;
        if let Some(problem) = problem {
            return Err(problem);
        }
        match answered {
            Ok(Some(answer)) => Err(refused(&answer)),
            Ok(None) => Err(Failure::Failed(
                "the server tells no more: it stops, or its log says why".to_owned(),
            )),
            Err(error) => Err(Failure::Unreachable(self.socket.clone(), error)),
        }
    }

    async fn connect(&self) -> Result<UnixStream, Failure> {
        let connected = UnixStream::connect(&self.socket).await;
        connected.map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => Failure::NotAllowed(self.socket.clone()),
            _ => Failure::Unreachable(self.socket.clone(), error),
        })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Answer, Failure> {
        let stream = self.connect().await?;
        let answer = http::ask(stream, method, path, "portico", body).await;
        let answer = answer.map_err(|error| Failure::Unreachable(self.socket.clone(), error))?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(refused(&answer))
    }
}

fn refused(answer: &Answer) -> Failure {
    let problem = serde_json::from_slice(&answer.body).unwrap_or_else(|_| Problem {
        code: "failed".to_owned(),
        message: format!(
            "the server answered {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        ),
    });
    Failure::Refused(answer.status, problem)
}

fn decode<T: DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    serde_json::from_slice(&answer.body).map_err(|error| not_understood(&error))
}

fn not_understood(error: &serde_json::Error) -> Failure {
    Failure::Failed(format!("the answer of the server is not understood: {error}"))
}

/// A word as one segment of a path or one value of a query (RFC 3986 section 2.1).
pub(super) fn segment(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for byte in word.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                out.push(char::from(byte))
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_cannot_leave_its_segment() {
        assert_eq!(segment("alice@example.test"), "alice@example.test");
        assert_eq!(segment("a/b?c d%"), "a%2Fb%3Fc%20d%25");
        assert_eq!(segment("site:main"), "site%3Amain");
    }
}
