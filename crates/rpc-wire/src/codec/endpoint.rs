//! Names of endpoints, connections, legs and messages.

use bytes::Bytes;
use rpc::{ClientFamily, ConnectionId, EndpointAddress, EndpointId, Epoch, ImMode, LegId, MessageId};
use topology::MemberId;

use super::{Malformed, aor, named};
use crate::proto::registrar::v1 as wire;

impl From<&EndpointAddress> for wire::EndpointAddress {
    fn from(address: &EndpointAddress) -> Self {
        wire::EndpointAddress {
            aor: address.aor.as_str().to_owned(),
            endpoint: address.endpoint.as_str().to_owned(),
            epoch: address.epoch.0,
            member: address.member.as_str().to_owned(),
            connection: address.connection.0,
        }
    }
}

impl TryFrom<wire::EndpointAddress> for EndpointAddress {
    type Error = Malformed;

    fn try_from(address: wire::EndpointAddress) -> Result<Self, Malformed> {
        Ok(EndpointAddress {
            aor: aor("address.aor", &address.aor)?,
            endpoint: endpoint("address.endpoint", &address.endpoint)?,
            epoch: Epoch(address.epoch),
            member: member("address.member", &address.member)?,
            connection: ConnectionId(address.connection),
        })
    }
}

/// The name of an endpoint. Empty is malformed.
pub(super) fn endpoint(field: &'static str, name: &str) -> Result<EndpointId, Malformed> {
    named(field, name)?;
    Ok(EndpointId::new(name))
}

/// The name of an endpoint that may be absent.
pub(super) fn optional_endpoint(
    field: &'static str,
    name: Option<&str>,
) -> Result<Option<EndpointId>, Malformed> {
    name.map(|name| endpoint(field, name)).transpose()
}

/// The name of a member. Empty is malformed.
pub(crate) fn member(field: &'static str, name: &str) -> Result<MemberId, Malformed> {
    named(field, name)?;
    Ok(MemberId::new(name))
}

impl From<ClientFamily> for wire::ClientFamily {
    fn from(family: ClientFamily) -> Self {
        match family {
            ClientFamily::Simple => wire::ClientFamily::Simple,
            ClientFamily::Lync => wire::ClientFamily::Lync,
        }
    }
}

/// A family of clients; not told is SIMPLE.
pub fn client_family(value: i32) -> ClientFamily {
    match wire::ClientFamily::try_from(value) {
        Ok(wire::ClientFamily::Lync) => ClientFamily::Lync,
        Ok(wire::ClientFamily::Simple | wire::ClientFamily::Unspecified) | Err(_) => ClientFamily::Simple,
    }
}

impl From<ImMode> for wire::ImMode {
    fn from(mode: ImMode) -> Self {
        match mode {
            ImMode::Page => wire::ImMode::Page,
            ImMode::Session => wire::ImMode::Session,
        }
    }
}

/// How an endpoint takes part in conversations; not told is page mode.
pub fn im_mode(value: i32) -> ImMode {
    match wire::ImMode::try_from(value) {
        Ok(wire::ImMode::Session) => ImMode::Session,
        Ok(wire::ImMode::Page | wire::ImMode::Unspecified) | Err(_) => ImMode::Page,
    }
}

/// A leg as 16 bytes, the most significant first.
pub fn leg_to_wire(leg: LegId) -> Bytes {
    Bytes::copy_from_slice(&leg.0.to_be_bytes())
}

/// A leg from its 16 bytes.
///
/// # Errors
/// Any other length.
pub fn leg(field: &'static str, bytes: &[u8]) -> Result<LegId, Malformed> {
    number(field, bytes).map(LegId)
}

/// A leg that may be absent.
///
/// # Errors
/// Present, and not 16 bytes.
pub fn optional_leg(field: &'static str, bytes: Option<&[u8]>) -> Result<Option<LegId>, Malformed> {
    bytes.map(|bytes| leg(field, bytes)).transpose()
}

/// A message id as 16 bytes, the most significant first.
pub fn message_id_to_wire(id: MessageId) -> Bytes {
    Bytes::copy_from_slice(&id.0.to_be_bytes())
}

/// A message id from its 16 bytes.
///
/// # Errors
/// Any other length.
pub fn message_id(field: &'static str, bytes: &[u8]) -> Result<MessageId, Malformed> {
    number(field, bytes).map(MessageId)
}

fn number(field: &'static str, bytes: &[u8]) -> Result<u128, Malformed> {
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| Malformed::new(field))?;
    Ok(u128::from_be_bytes(bytes))
}
