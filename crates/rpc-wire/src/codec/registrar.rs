//! Identity, bindings, and news of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use rpc::{
    Authenticate, Binding, BindingChange, BindingEnd, EndpointAddress, Epoch, Error, ErrorCode, Identity,
    Location, Proof, Refusal, Register, RegisterError, Registered, RegistrarChange, SessionKey, Unregister,
    Which,
};
use sip_types::AddressOfRecord;
use sip_types::{Method, SipStr};

use super::endpoint::{client_family, endpoint, im_mode, member};
use super::{Malformed, aor, duration, milliseconds, named, required};
use crate::proto::registrar::v1 as wire;

impl From<&Binding> for wire::Binding {
    fn from(binding: &Binding) -> Self {
        wire::Binding {
            address: Some((&binding.address).into()),
            contact: binding.contact.clone(),
            instance: binding.instance.clone(),
            epid: binding.epid.clone(),
            reg_id: binding.reg_id,
            gruu: binding.gruu.clone(),
            expires_in_s: binding.expires_in,
            family: wire::ClientFamily::from(binding.family).into(),
            mode: wire::ImMode::from(binding.mode).into(),
            user_agent: binding.user_agent.clone(),
        }
    }
}

impl TryFrom<wire::Binding> for Binding {
    type Error = Malformed;

    fn try_from(binding: wire::Binding) -> Result<Self, Malformed> {
        Ok(Binding {
            address: required("binding.address", binding.address)?.try_into()?,
            contact: binding.contact,
            instance: binding.instance,
            epid: binding.epid,
            reg_id: binding.reg_id,
            gruu: binding.gruu,
            expires_in: binding.expires_in_s,
            family: client_family(binding.family),
            mode: im_mode(binding.mode),
            user_agent: binding.user_agent,
        })
    }
}

fn bindings_to_wire(bindings: &[Binding]) -> Vec<wire::Binding> {
    bindings.iter().map(Into::into).collect()
}

fn bindings<C: FromIterator<Binding>>(bindings: Vec<wire::Binding>) -> Result<C, Malformed> {
    bindings.into_iter().map(Binding::try_from).collect()
}

// === authenticate ===

impl From<&Authenticate> for wire::AuthenticateRequest {
    fn from(request: &Authenticate) -> Self {
        let proof = match &request.proof {
            Proof::Digest {
                credentials,
                method,
                realm,
            } => wire::authenticate_request::Proof::Digest(wire::DigestProof {
                credentials: credentials.as_str().to_owned(),
                method: method.as_str().to_owned(),
                realm: realm.as_str().to_owned(),
            }),
            Proof::Ntlm {
                server_challenge,
                authenticate,
            } => wire::authenticate_request::Proof::Ntlm(wire::NtlmProof {
                server_challenge: Bytes::copy_from_slice(server_challenge),
                authenticate: Bytes::copy_from_slice(authenticate),
            }),
        };
        wire::AuthenticateRequest {
            claimed: request.claimed.as_str().to_owned(),
            peer: match request.peer {
                IpAddr::V4(peer) => Bytes::copy_from_slice(&peer.octets()),
                IpAddr::V6(peer) => Bytes::copy_from_slice(&peer.octets()),
            },
            proof: Some(proof),
        }
    }
}

impl TryFrom<wire::AuthenticateRequest> for Authenticate {
    type Error = Malformed;

    fn try_from(request: wire::AuthenticateRequest) -> Result<Self, Malformed> {
        let proof = match required("authenticate.proof", request.proof)? {
            wire::authenticate_request::Proof::Digest(digest) => Proof::Digest {
                credentials: SipStr::from(digest.credentials),
                method: required(
                    "authenticate.digest.method",
                    Method::parse(&SipStr::from(digest.method)),
                )?,
                realm: SipStr::from(digest.realm),
            },
            wire::authenticate_request::Proof::Ntlm(ntlm) => Proof::Ntlm {
                server_challenge: (*ntlm.server_challenge)
                    .try_into()
                    .map_err(|_| Malformed::new("authenticate.ntlm.server_challenge"))?,
                authenticate: ntlm.authenticate.into(),
            },
        };
        Ok(Authenticate {
            claimed: aor("authenticate.claimed", &request.claimed)?,
            proof,
            peer: peer(&request.peer)?,
        })
    }
}

fn peer(bytes: &[u8]) -> Result<IpAddr, Malformed> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Ok(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(bytes).map_err(|_| Malformed::new("authenticate.peer"))?;
    Ok(Ipv6Addr::from(octets).into())
}

/// Why a proof can be refused, by the names counters have.
const REFUSALS: [&str; 6] = [
    "unknown_user",
    "wrong_password",
    "disabled",
    "not_allowed",
    "throttled",
    "malformed",
];

/// Whether a proof was right.
pub fn authenticated_to_wire(result: &Result<Identity, Refusal>) -> wire::AuthenticateResponse {
    let result = match result {
        Ok(identity) => wire::authenticate_response::Result::Identity(wire::Identity {
            aor: identity.aor.as_str().to_owned(),
            display_name: identity.display_name.clone(),
            session_key: identity
                .session_key
                .as_ref()
                .map(|key| Bytes::copy_from_slice(&key.0)),
        }),
        Err(refusal) => wire::authenticate_response::Result::Refusal(wire::Refusal {
            reason: refusal.reason.to_owned(),
            delay_ms: milliseconds(refusal.delay),
        }),
    };
    wire::AuthenticateResponse { result: Some(result) }
}

/// Whether a proof was right. A reason for a refusal that this version does not know is `other`.
///
/// # Errors
/// The field that is wrong.
pub fn authenticated(response: wire::AuthenticateResponse) -> Result<Result<Identity, Refusal>, Malformed> {
    Ok(match required("authenticate.result", response.result)? {
        wire::authenticate_response::Result::Identity(identity) => {
            let key = |bytes: Bytes| {
                let key = (*bytes)
                    .try_into()
                    .map_err(|_| Malformed::new("identity.session_key"))?;
                Ok(SessionKey(key))
            };
            Ok(Identity {
                aor: aor("identity.aor", &identity.aor)?,
                display_name: identity.display_name,
                session_key: identity.session_key.map(key).transpose()?,
            })
        }
        wire::authenticate_response::Result::Refusal(refusal) => {
            let reason = REFUSALS.iter().find(|known| **known == refusal.reason);
            Err(Refusal {
                reason: reason.copied().unwrap_or("other"),
                delay: duration(refusal.delay_ms),
            })
        }
    })
}

// === register, unregister ===

impl From<&Register> for wire::RegisterRequest {
    fn from(request: &Register) -> Self {
        wire::RegisterRequest {
            aor: request.aor.as_str().to_owned(),
            endpoint: request.endpoint.as_str().to_owned(),
            contact: request.contact.clone(),
            instance: request.instance.clone(),
            epid: request.epid.clone(),
            reg_id: request.reg_id,
            call_id: request.call_id.clone(),
            cseq: request.cseq,
            expires_s: request.expires,
            member: request.member.as_str().to_owned(),
            connection: request.connection.0,
            family: wire::ClientFamily::from(request.family).into(),
            mode: wire::ImMode::from(request.mode).into(),
            user_agent: request.user_agent.clone(),
        }
    }
}

impl TryFrom<wire::RegisterRequest> for Register {
    type Error = Malformed;

    fn try_from(request: wire::RegisterRequest) -> Result<Self, Malformed> {
        named("register.contact", &request.contact)?;
        named("register.call_id", &request.call_id)?;
        Ok(Register {
            aor: aor("register.aor", &request.aor)?,
            endpoint: endpoint("register.endpoint", &request.endpoint)?,
            contact: request.contact,
            instance: request.instance,
            epid: request.epid,
            reg_id: request.reg_id,
            call_id: request.call_id,
            cseq: request.cseq,
            expires: request.expires_s,
            member: member("register.member", &request.member)?,
            connection: rpc::ConnectionId(request.connection),
            family: client_family(request.family),
            mode: im_mode(request.mode),
            user_agent: request.user_agent,
        })
    }
}

fn refused(error: RegisterError) -> Result<wire::RegisterRefused, Error> {
    let (reason, min_expires_s) = match error {
        RegisterError::IntervalTooBrief(least) => (wire::RegisterRefusal::IntervalTooBrief, least),
        RegisterError::OutOfOrder => (wire::RegisterRefusal::OutOfOrder, 0),
        RegisterError::NoSuchUser => (wire::RegisterRefusal::NoSuchUser, 0),
        RegisterError::Forbidden => (wire::RegisterRefusal::Forbidden, 0),
        RegisterError::Failed(error) => return Err(error),
    };
    Ok(wire::RegisterRefused {
        reason: reason.into(),
        min_expires_s,
    })
}

fn refusal(refused: wire::RegisterRefused) -> RegisterError {
    match wire::RegisterRefusal::try_from(refused.reason) {
        Ok(wire::RegisterRefusal::IntervalTooBrief) => RegisterError::IntervalTooBrief(refused.min_expires_s),
        Ok(wire::RegisterRefusal::OutOfOrder) => RegisterError::OutOfOrder,
        Ok(wire::RegisterRefusal::NoSuchUser) => RegisterError::NoSuchUser,
        Ok(wire::RegisterRefusal::Forbidden) => RegisterError::Forbidden,
        Ok(wire::RegisterRefusal::Unspecified) | Err(_) => RegisterError::Failed(Error::new(
            ErrorCode::Internal,
            "the registrar refused a registration and did not say why",
        )),
    }
}

/// The answer to a registration.
///
/// # Errors
/// The registrar failed: that is said by the status of the call.
pub fn registered_to_wire(
    result: Result<Registered, RegisterError>,
) -> Result<wire::RegisterResponse, Error> {
    let result = match result {
        Ok(registered) => wire::register_response::Result::Registered(wire::Registered {
            epoch: registered.epoch.0,
            expires_s: registered.expires,
            bindings: bindings_to_wire(&registered.bindings),
            is_new: registered.is_new,
        }),
        Err(error) => wire::register_response::Result::Refused(refused(error)?),
    };
    Ok(wire::RegisterResponse { result: Some(result) })
}

/// The answer to a registration.
///
/// # Errors
/// The field that is wrong.
pub fn registered(response: wire::RegisterResponse) -> Result<Result<Registered, RegisterError>, Malformed> {
    Ok(match required("register.result", response.result)? {
        wire::register_response::Result::Registered(registered) => Ok(Registered {
            epoch: Epoch(registered.epoch),
            expires: registered.expires_s,
            bindings: bindings(registered.bindings)?,
            is_new: registered.is_new,
        }),
        wire::register_response::Result::Refused(refused) => Err(refusal(refused)),
    })
}

impl From<&Unregister> for wire::UnregisterRequest {
    fn from(request: &Unregister) -> Self {
        let which = match &request.which {
            Which::Endpoint(endpoint) => {
                wire::unregister_request::Which::Endpoint(endpoint.as_str().to_owned())
            }
            Which::All => wire::unregister_request::Which::All(wire::AllEndpoints {}),
            Which::Connection(endpoint, epoch) => {
                wire::unregister_request::Which::Connection(wire::EndpointEpoch {
                    endpoint: endpoint.as_str().to_owned(),
                    epoch: epoch.0,
                })
            }
        };
        let (call_id, cseq) = request.order.clone().unzip();
        wire::UnregisterRequest {
            aor: request.aor.as_str().to_owned(),
            call_id,
            cseq,
            which: Some(which),
        }
    }
}

impl TryFrom<wire::UnregisterRequest> for Unregister {
    type Error = Malformed;

    fn try_from(request: wire::UnregisterRequest) -> Result<Self, Malformed> {
        let which = match required("unregister.which", request.which)? {
            wire::unregister_request::Which::Endpoint(name) => {
                Which::Endpoint(endpoint("unregister.endpoint", &name)?)
            }
            wire::unregister_request::Which::All(wire::AllEndpoints {}) => Which::All,
            wire::unregister_request::Which::Connection(one) => Which::Connection(
                endpoint("unregister.connection.endpoint", &one.endpoint)?,
                Epoch(one.epoch),
            ),
        };
        Ok(Unregister {
            aor: aor("unregister.aor", &request.aor)?,
            which,
            order: match (request.call_id, request.cseq) {
                (Some(call_id), Some(cseq)) => Some((call_id, cseq)),
                (None, None) => None,
                (Some(_), None) => return Err(Malformed::new("unregister.cseq")),
                (None, Some(_)) => return Err(Malformed::new("unregister.call_id")),
            },
        })
    }
}

/// What is left after a removal.
///
/// # Errors
/// The registrar failed: that is said by the status of the call.
pub fn unregistered_to_wire(
    result: Result<Vec<Binding>, RegisterError>,
) -> Result<wire::UnregisterResponse, Error> {
    let result = match result {
        Ok(left) => wire::unregister_response::Result::Left(wire::Bindings {
            bindings: bindings_to_wire(&left),
        }),
        Err(error) => wire::unregister_response::Result::Refused(refused(error)?),
    };
    Ok(wire::UnregisterResponse { result: Some(result) })
}

/// What is left after a removal.
///
/// # Errors
/// The field that is wrong.
pub fn unregistered(
    response: wire::UnregisterResponse,
) -> Result<Result<Vec<Binding>, RegisterError>, Malformed> {
    Ok(match required("unregister.result", response.result)? {
        wire::unregister_response::Result::Left(left) => Ok(bindings(left.bindings)?),
        wire::unregister_response::Result::Refused(refused) => Err(refusal(refused)),
    })
}

// === lookup ===

impl From<&Location> for wire::Location {
    fn from(location: &Location) -> Self {
        wire::Location {
            display_name: location.display_name.clone(),
            bindings: bindings_to_wire(&location.bindings),
        }
    }
}

impl TryFrom<wire::Location> for Location {
    type Error = Malformed;

    fn try_from(location: wire::Location) -> Result<Self, Malformed> {
        let bindings: Vec<Binding> = bindings(location.bindings)?;
        Ok(Location {
            display_name: location.display_name,
            bindings: bindings.into(),
        })
    }
}

// === changes ===

impl From<BindingEnd> for wire::BindingEnd {
    fn from(end: BindingEnd) -> Self {
        match end {
            BindingEnd::Unregistered => wire::BindingEnd::Unregistered,
            BindingEnd::Expired => wire::BindingEnd::Expired,
            BindingEnd::Replaced => wire::BindingEnd::Replaced,
            BindingEnd::Displaced => wire::BindingEnd::Displaced,
            BindingEnd::Rejected => wire::BindingEnd::Rejected,
        }
    }
}

/// Why a binding ended; not told is unregistered.
pub fn binding_end(value: i32) -> BindingEnd {
    match wire::BindingEnd::try_from(value) {
        Ok(wire::BindingEnd::Expired) => BindingEnd::Expired,
        Ok(wire::BindingEnd::Replaced) => BindingEnd::Replaced,
        Ok(wire::BindingEnd::Displaced) => BindingEnd::Displaced,
        Ok(wire::BindingEnd::Rejected) => BindingEnd::Rejected,
        Ok(wire::BindingEnd::Unregistered | wire::BindingEnd::Unspecified) | Err(_) => {
            BindingEnd::Unregistered
        }
    }
}

impl From<&RegistrarChange> for wire::RegistrarChange {
    fn from(change: &RegistrarChange) -> Self {
        let change = match change {
            RegistrarChange::Bindings(change) => {
                let ended = |(address, end): &(EndpointAddress, BindingEnd)| wire::EndedBinding {
                    address: Some(address.into()),
                    reason: wire::BindingEnd::from(*end).into(),
                };
                wire::registrar_change::Change::Bindings(wire::BindingChange {
                    aor: change.aor.as_str().to_owned(),
                    ended: change.ended.iter().map(ended).collect(),
                    account_ended: change.account_ended,
                })
            }
            RegistrarChange::Account(aor) => wire::registrar_change::Change::Account(aor.as_str().to_owned()),
            RegistrarChange::Policies => wire::registrar_change::Change::Policies(wire::PoliciesChanged {}),
            RegistrarChange::Group(address) => {
                let address = address.as_ref().map_or("", AddressOfRecord::as_str);
                wire::registrar_change::Change::Group(address.to_owned())
            }
        };
        wire::RegistrarChange { change: Some(change) }
    }
}

/// A change, or `None` for one of a kind this version does not know: it caches nothing of that kind.
///
/// # Errors
/// The field that is wrong. Whoever caches must then drop everything.
pub fn registrar_change(change: wire::RegistrarChange) -> Result<Option<RegistrarChange>, Malformed> {
    Ok(match change.change {
        None => None,
        Some(wire::registrar_change::Change::Bindings(change)) => {
            let ended = |one: wire::EndedBinding| {
                let address = required("ended.address", one.address)?.try_into()?;
                Ok((address, binding_end(one.reason)))
            };
            Some(RegistrarChange::Bindings(BindingChange {
                aor: aor("change.aor", &change.aor)?,
                ended: change.ended.into_iter().map(ended).collect::<Result<_, _>>()?,
                account_ended: change.account_ended,
            }))
        }
        Some(wire::registrar_change::Change::Account(name)) => {
            Some(RegistrarChange::Account(aor("change.account", &name)?))
        }
        Some(wire::registrar_change::Change::Policies(wire::PoliciesChanged {})) => {
            Some(RegistrarChange::Policies)
        }
        Some(wire::registrar_change::Change::Group(address)) => {
            let any = address.is_empty();
            let address = (!any).then(|| aor("change.group", &address));
            Some(RegistrarChange::Group(address.transpose()?))
        }
    })
}
