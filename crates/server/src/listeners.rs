//! Sockets: bound before anything else starts, so that a busy port is known at once, and served last.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use config::{Config, IpNet, ProxyProtocol};
use sip_transport::proxy::ProxyPolicy;
use sip_transport::{BoundListener, Cidr, InvalidCidr, Limits, ListenerConfig};
use tokio::net::TcpListener;

use crate::certificate::Certificate;
use crate::error::StartError;

/// Every socket of this member.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// Listeners of clients.
    pub(crate) sip: Vec<BoundListener>,
    /// Health and metrics.
    pub(crate) ops: Option<TcpListener>,
    /// The agent of a balancer.
    pub(crate) agent: Option<TcpListener>,
    /// The addresses, by the names of the ready line.
    pub(crate) addresses: BTreeMap<&'static str, SocketAddr>,
}

/// Binds everything that is configured; the listeners of clients only where a front end serves them.
pub(crate) async fn bind(
    config: &Config,
    certificate: Option<&Certificate>,
    for_clients: bool,
) -> Result<Sockets, StartError> {
    let mut sockets = Sockets {
        sip: Vec::new(),
        ops: None,
        agent: None,
        addresses: BTreeMap::new(),
    };
    let proxy = proxy_policy(config)?;
    let tls = certificate.map(Certificate::store);
    let wanted = [
        ("sip_tls", "sip.tls_listen", config.sip.tls_listen, tls),
        ("sip_tcp", "sip.tcp_listen", config.sip.tcp_listen, None),
    ];
    for (name, key, address, tls) in wanted {
        let Some(address) = address.filter(|_| for_clients) else {
            continue;
        };
        let listener = ListenerConfig {
            name: name.to_owned(),
            address,
            tls,
            proxy: proxy.clone(),
        };
        let bound = BoundListener::bind(listener).map_err(cannot_bind(key, address))?;
        sockets.addresses.insert(name, bound.address());
        sockets.sip.push(bound);
    }
    let plain = [
        ("ops", "ops.listen", config.ops.listen, &mut sockets.ops),
        (
            "agent",
            "ops.agent_listen",
            config.ops.agent_listen,
            &mut sockets.agent,
        ),
    ];
    for (name, key, address, place) in plain {
        let Some(address) = address else { continue };
        let bound = TcpListener::bind(address)
            .await
            .map_err(cannot_bind(key, address))?;
        let local = bound.local_addr().map_err(cannot_bind(key, address))?;
        sockets.addresses.insert(name, local);
        *place = Some(bound);
    }
    Ok(sockets)
}

fn cannot_bind(key: &'static str, address: SocketAddr) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::Bind { key, address, source }
}

fn proxy_policy(config: &Config) -> Result<ProxyPolicy, StartError> {
    let ranges: Result<Vec<Cidr>, InvalidCidr> = config.sip.trusted_proxies.iter().map(range).collect();
    let ranges = ranges.map_err(|error| StartError::Limit(error.to_string()))?;
    Ok(match config.sip.proxy_protocol {
        ProxyProtocol::Off => ProxyPolicy::Off,
        ProxyProtocol::Trusted => ProxyPolicy::Trusted(ranges),
        ProxyProtocol::Required => ProxyPolicy::Required(ranges),
    })
}

fn range(net: &IpNet) -> Result<Cidr, InvalidCidr> {
    net.to_string().parse()
}

/// The bounds of the transport, with those an operator has set.
pub(crate) fn transport_limits(limits: &config::Limits) -> Limits {
    let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let rate = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    Limits {
        connections: size(limits.connections),
        connections_per_address: size(limits.connections_per_address),
        accepts_per_second: rate(limits.new_connections_per_second),
        accepts_per_second_per_address: rate(limits.new_connections_per_second_per_address),
        handshakes: size(limits.handshakes),
        handshakes_per_address: size(limits.handshakes_per_address),
        handshake_time: limits.handshake_timeout,
        unauthenticated_time: limits.sign_in_timeout,
        ..Limits::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_configuration_and_transport_are_the_same() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            transport_limits(&Config::for_test(dir.path()).limits),
            Limits::default()
        );
    }

    #[tokio::test]
    async fn a_busy_port_is_told_with_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = Config::for_test(dir.path());
        config.sip.tls_listen = None;
        config.sip.tcp_listen = Some(taken.local_addr().unwrap());
        let error = bind(&config, None, true).await.unwrap_err();
        assert!(
            matches!(
                error,
                StartError::Bind {
                    key: "sip.tcp_listen",
                    ..
                }
            ),
            "{error}"
        );
    }

    #[tokio::test]
    async fn port_zero_becomes_a_free_port() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::for_test(dir.path());
        config.sip.tls_listen = None;
        let sockets = bind(&config, None, true).await.unwrap();
        assert_ne!(sockets.addresses["sip_tcp"].port(), 0);
        assert_ne!(sockets.addresses["ops"].port(), 0);
        assert!(!sockets.addresses.contains_key("sip_tls"));
    }
}
