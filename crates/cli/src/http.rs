//! One HTTP request on one connection: all that the control socket and a health check need.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// The longest answer read: a page of a thousand accounts is far below.
const LONGEST: usize = 16 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Sends one request and reads the answer. `host` is only for the Host header.
///
/// # Errors
/// The connection broke, or the other side does not speak HTTP or takes too long.
pub(crate) async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    method: Method,
    path: &str,
    host: &str,
    json: Option<Vec<u8>>,
) -> io::Result<Answer> {
    let exchange = async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let mut request = Request::builder().method(method).uri(path).header("host", host);
        if json.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request
            .body(Full::new(Bytes::from(json.unwrap_or_default())))
            .map_err(io::Error::other)?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(io::Error::other)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LONGEST)
                .collect()
                .await
                .map_err(io::Error::other)?;
            Ok(Answer {
                status,
                body: body.to_bytes(),
            })
        };
        // The connection makes the answer move; it ends by itself when the answer is complete.
        tokio::select! {
            biased;
            answer = answer => answer,
            ended = connection => Err(ended.err().map_or_else(
                || io::Error::from(io::ErrorKind::UnexpectedEof),
                io::Error::other,
            )),
        }
    };
    let timeout = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
    tokio::time::timeout(PATIENCE, exchange).await.map_err(timeout)?
}
