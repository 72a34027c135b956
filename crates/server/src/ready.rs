//! What a server says of itself once it serves.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

/// The ready line: names and addresses others rely on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Ready {
    /// This member's name.
    pub member: String,
    /// Roles that run here.
    pub roles: Vec<&'static str>,
    /// Addresses really bound: `sip_tls`, `sip_tcp`, `ops`, `agent`, `rpc`; a listener that is off is not there.
    pub listeners: BTreeMap<&'static str, SocketAddr>,
    /// The development authority clients have to trust; absent with a certificate of the operator's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

/// The people of a demo.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Demo {
    /// Their SIP domain.
    pub domain: String,
    /// Alice, Bob, Carol and Dave.
    pub people: Vec<DemoPerson>,
    /// A contact that answers every text with the same text.
    pub echo: String,
}

/// A demo account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DemoPerson {
    /// `alice@example.test`.
    pub address: String,
    /// The password, only at the start that created the account. It is kept nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}
