//! One HTTP request on one connection: all that the control socket and a health check need.

use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
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
    let exchange = exchange(stream, method, path, host, json, read_all);
    tokio::time::timeout(PATIENCE, exchange).await.map_err(too_late)?
}

/// Asks for something that is told line by line for as long as it lasts. `each` gets the lines and says whether it wants
/// more. An answer that is no success is returned as a whole.
///
/// # Errors
/// As with [`ask`]; only the head of the answer has to come in time.
pub(crate) async fn follow(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    path: &str,
    host: &str,
    mut each: impl FnMut(&[u8]) -> bool,
) -> io::Result<Option<Answer>> {
    exchange(stream, Method::GET, path, host, None, async |response| {
        if !response.status().is_success() {
            return read_all(response).await.map(Some);
        }
        let mut body = response.into_body();
        let mut rest: Vec<u8> = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(io::Error::other)?.into_data() else {
                continue;
            };
            rest.extend_from_slice(&data);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                if !each(&line) {
                    return Ok(None);
                }
            }
            if rest.len() > LONGEST {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without end"));
            }
        }
        Ok(None)
    })
    .await
}

fn too_late(_: tokio::time::error::Elapsed) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

async fn read_all(response: Response<Incoming>) -> io::Result<Answer> {
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST)
        .collect()
        .await
        .map_err(io::Error::other)?;
    Ok(Answer {
        status,
        body: body.to_bytes(),
    })
}

/// Sends one request and has the answer read by `read`.
async fn exchange<T>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    method: Method,
    path: &str,
    host: &str,
    json: Option<Vec<u8>>,
    read: impl AsyncFnOnce(Response<Incoming>) -> io::Result<T>,
) -> io::Result<T> {
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
        let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
        read(response.map_err(too_late)?.map_err(io::Error::other)?).await
    };
    let mut answer = pin!(answer);
    // The connection makes the answer move. It may end in the moment in which the last of the answer has come.
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = connection => {
            let answer = answer.await;
            answer.map_err(|cut_off| ended.err().map_or(cut_off, io::Error::other))
        }
    }
}
