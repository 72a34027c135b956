//! `[ops]`: health and metrics.

use std::net::SocketAddr;

use crate::reader::Reader;

/// Health and metrics.
#[derive(Clone, Debug)]
pub struct Ops {
    /// `ops.listen` (`127.0.0.1:9090`): plain HTTP with `/livez`, `/readyz`, `/startupz`, `/drainz` and `/metrics`; `off`
    /// for none. It has no authentication: never on a public address.
    pub listen: Option<SocketAddr>,
    /// `ops.agent_listen` (`off`): one line of text for the agent check of a balancer, HAProxy's as a rule; port 9091 by
    /// custom. Only the balancer should reach it.
    pub agent_listen: Option<SocketAddr>,
}

impl Ops {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        Ops {
            listen: reader.get("ops.listen", Some(SocketAddr::from(([127, 0, 0, 1], 9090)))),
            agent_listen: reader.get("ops.agent_listen", None),
        }
    }
}
