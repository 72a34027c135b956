//! [`Server`] and [`Client`]: the machine that a request's method asks for.

use std::time::Instant;

use sip_types::{Method, Request, Response, StatusCode};

use crate::transaction::client_invite::{ClientInvite, OnCancel};
use crate::transaction::client_non_invite::ClientNonInvite;
use crate::transaction::server_invite::ServerInvite;
use crate::transaction::server_non_invite::ServerNonInvite;
use crate::transaction::{OnClientTimeout, OnRequest, OnResponse, OnServerTimeout, RespondError};

/// A request of the peer.
#[derive(Clone, Debug)]
pub(super) enum Server {
    Invite(ServerInvite),
    NonInvite(ServerNonInvite),
}

impl Server {
    pub(super) fn new(request: Request, now: Instant) -> Self {
        match request.method() {
            Method::Invite => Self::Invite(ServerInvite::new(request, now)),
            _ => Self::NonInvite(ServerNonInvite::new(request, now)),
        }
    }

    pub(super) fn handle_request(&self) -> OnRequest {
        match self {
            Self::Invite(machine) => machine.handle_request(),
            Self::NonInvite(machine) => machine.handle_request(),
        }
    }

    pub(super) fn handle_ack(&mut self) -> OnRequest {
        match self {
            Self::Invite(machine) => machine.handle_ack(),
            // Keys carry the method: an ACK finds nothing but an INVITE.
            Self::NonInvite(_) => OnRequest::Absorb,
        }
    }

    pub(super) fn respond(&mut self, response: &Response, now: Instant) -> Result<(), RespondError> {
        match self {
            Self::Invite(machine) => machine.respond(response, now),
            Self::NonInvite(machine) => machine.respond(response),
        }
    }

    pub(super) fn handle_timeout(&mut self) -> OnServerTimeout {
        match self {
            Self::Invite(machine) => machine.handle_timeout(),
            Self::NonInvite(machine) => machine.handle_timeout(),
        }
    }

    /// The response whose ACK is awaited.
    pub(super) fn awaiting_ack(&self) -> Option<&Response> {
        match self {
            Self::Invite(machine) => machine.awaiting_ack(),
            Self::NonInvite(_) => None,
        }
    }

    /// Whether a final response is still owed.
    pub(super) fn is_pending(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_pending(),
            Self::NonInvite(machine) => !machine.is_terminated(),
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        match self {
            Self::Invite(machine) => machine.next_timeout(),
            Self::NonInvite(machine) => machine.next_timeout(),
        }
    }

    pub(super) fn is_terminated(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_terminated(),
            Self::NonInvite(machine) => machine.is_terminated(),
        }
    }
}

/// A request of ours.
#[derive(Clone, Debug)]
pub(super) enum Client {
    Invite {
        machine: ClientInvite,
        /// Of which ACK and CANCEL are made; gone once neither can be needed.
        invite: Option<Request>,
    },
    NonInvite(ClientNonInvite),
    /// A CANCEL: its outcome is of no interest, that of its INVITE tells all.
    Cancel(ClientNonInvite),
}

impl Client {
    pub(super) fn new(request: &Request, now: Instant) -> Self {
        match request.method() {
            Method::Invite => Self::Invite {
                machine: ClientInvite::new(now),
                invite: Some(request.clone()),
            },
            Method::Cancel => Self::Cancel(ClientNonInvite::new(now)),
            _ => Self::NonInvite(ClientNonInvite::new(now)),
        }
    }

    pub(super) fn handle_response(&mut self, status: StatusCode, now: Instant) -> OnResponse {
        match self {
            Self::Invite { machine, invite } => {
                let result = machine.handle_response(status, now);
                if !machine.is_pending() {
                    *invite = None;
                }
                result
            }
            Self::NonInvite(machine) => machine.handle_response(status),
            Self::Cancel(machine) => {
                machine.handle_response(status);
                OnResponse::Absorb
            }
        }
    }

    pub(super) fn cancel(&mut self, now: Instant) -> OnCancel {
        match self {
            Self::Invite { machine, .. } => machine.cancel(now),
            Self::NonInvite(_) | Self::Cancel(_) => OnCancel::TooLate,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> OnClientTimeout {
        match self {
            Self::Invite { machine, .. } => machine.handle_timeout(now),
            Self::NonInvite(machine) => {
                machine.handle_timeout();
                OnClientTimeout::NoAnswer
            }
            Self::Cancel(machine) => {
                machine.handle_timeout();
                OnClientTimeout::End
            }
        }
    }

    /// The INVITE, as long as an ACK or CANCEL may have to be made of it.
    pub(super) fn invite(&self) -> Option<&Request> {
        match self {
            Self::Invite { invite, .. } => invite.as_ref(),
            Self::NonInvite(_) | Self::Cancel(_) => None,
        }
    }

    /// Whether somebody waits for the outcome.
    pub(super) fn is_pending(&self) -> bool {
        match self {
            Self::Invite { machine, .. } => machine.is_pending(),
            Self::NonInvite(machine) => !machine.is_terminated(),
            Self::Cancel(_) => false,
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        match self {
            Self::Invite { machine, .. } => machine.next_timeout(),
            Self::NonInvite(machine) | Self::Cancel(machine) => machine.next_timeout(),
        }
    }

    pub(super) fn is_terminated(&self) -> bool {
        match self {
            Self::Invite { machine, .. } => machine.is_terminated(),
            Self::NonInvite(machine) | Self::Cancel(machine) => machine.is_terminated(),
        }
    }
}
