//! `portico healthcheck`: for containers without a shell.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use hyper::{Method, StatusCode};
use tokio::net::TcpStream;

use super::{Place, fail, validated};
use crate::{http, out};

/// A server that takes longer to say that it is ready is not.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn run(place: &Place) -> ExitCode {
    let config = match validated(place.layers()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let Some(address) = config.ops.listen.filter(|address| address.port() != 0) else {
        eprintln!("portico: ops.listen has no fixed port to ask");
        return ExitCode::FAILURE;
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let answer = async {
        tokio::time::timeout(PATIENCE, ready(reachable(address)))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    };
    match runtime.block_on(answer) {
        Ok((status, text)) => {
            out::print(&text);
            if status == StatusCode::OK {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("portico: {address} does not answer: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn ready(address: SocketAddr) -> io::Result<(StatusCode, String)> {
    let stream = TcpStream::connect(address).await?;
    let answer = http::ask(stream, Method::GET, "/readyz?verbose", &address.to_string(), None).await?;
    Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
}

/// A listener on all addresses is asked on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_loopback() {
        let asked = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:9090"), "127.0.0.1:9090");
        assert_eq!(asked("[::]:9090"), "[::1]:9090");
        assert_eq!(asked("192.0.2.1:9090"), "192.0.2.1:9090");
    }
}
