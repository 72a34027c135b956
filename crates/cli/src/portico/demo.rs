//! `portico demo`: chatting within a minute.

use std::net::SocketAddr;
use std::process::ExitCode;

use config::{Config, Layers};
use server::Options;

use super::{CONFIGURATION, DemoArguments, Place, run, validated_with_origins};

pub(super) fn run(arguments: &DemoArguments) -> ExitCode {
    let place = arguments.place.clone();
    let layers = Box::new(move || layers(&place));
    let (mut config, settings) = match validated_with_origins(layers()) {
        Ok(read) => read,
        Err(code) => return code,
    };
    if let Some((key, address)) = exposed(&config).filter(|_| !arguments.expose) {
        eprintln!(
            "portico: {key} = \"{address}\" would let other machines reach a demo, whose people have well-known names \
             and whose sign-in is laxer than a server's. Add --expose if that is meant; a real server is `portico run`"
        );
        return ExitCode::from(CONFIGURATION);
    }
    if let Err((key, address)) = shift(&mut config, arguments.port_offset) {
        eprintln!(
            "portico: --port-offset {}: there is no such port for {key} = \"{address}\"",
            arguments.port_offset
        );
        return ExitCode::from(CONFIGURATION);
    }
    let options = Options {
        roles: Vec::new(),
        demo: true,
        exporter: None,
    };
    run::serve(run::Start {
        config,
        settings,
        layers,
        options,
        format: arguments.logs.log_format,
    })
}

fn layers(place: &Place) -> Layers {
    let layers = place.layers().command("demo", "pool.domains", "example.test");
    // So that a Lync-family client can be tried too.
    layers.command("demo", "auth.ntlm", "true")
}

/// Every listener, by its key.
fn listeners(config: &mut Config) -> [(&'static str, &mut Option<SocketAddr>); 4] {
    [
        ("sip.tls_listen", &mut config.sip.tls_listen),
        ("sip.tcp_listen", &mut config.sip.tcp_listen),
        ("ops.listen", &mut config.ops.listen),
        ("ops.agent_listen", &mut config.ops.agent_listen),
    ]
}

/// A listener other machines can reach.
fn exposed(config: &Config) -> Option<(&'static str, SocketAddr)> {
    listeners(&mut config.clone())
        .into_iter()
        .filter_map(|(key, address)| Some((key, (*address)?)))
        .find(|(_, address)| !address.ip().is_loopback())
}

/// Moves every listener with a port of its own by as many ports.
fn shift(config: &mut Config, offset: u16) -> Result<(), (&'static str, SocketAddr)> {
    for (key, address) in listeners(config) {
        if let Some(address) = address.as_mut().filter(|address| address.port() != 0) {
            let port = address.port().checked_add(offset).ok_or((key, *address))?;
            address.set_port(port);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(tls: &str, ops: &str) -> Config {
        let layers = Layers::new("data").flag("--tls", "sip.tls_listen", tls);
        layers.flag("--ops", "ops.listen", ops).load().unwrap()
    }

    #[test]
    fn an_address_others_can_reach_is_found_on_every_listener() {
        assert_eq!(exposed(&config("127.0.0.1:5061", "[::1]:9090")), None);
        assert_eq!(exposed(&config("127.0.0.1:5061", "off")), None);
        assert_eq!(
            exposed(&config("0.0.0.0:5061", "off")).unwrap().0,
            "sip.tls_listen"
        );
        assert_eq!(
            exposed(&config("127.0.0.2:5061", "192.0.2.1:0")).unwrap().0,
            "ops.listen"
        );
    }

    #[test]
    fn every_port_moves_but_the_one_that_is_free_anyway() {
        let mut config = config("127.0.0.1:5061", "127.0.0.1:0");
        shift(&mut config, 1000).unwrap();
        assert_eq!(config.sip.tls_listen.unwrap().port(), 6061);
        assert_eq!(config.ops.listen.unwrap().port(), 0);
        assert_eq!(shift(&mut config, 60_000).unwrap_err().0, "sip.tls_listen");
    }
}
