//! `switchboard`: the least that a SIP server can be on our transport and parser.
//!
//! It challenges a REGISTER once, believes any answer, and passes each request on to the connection of the user
//! in its Request-URI, and each answer back, as they are. No transactions, no dialogs, no identities: what a real
//! server costs above this is the work of its roles, and what this costs above `relay` is framing and parsing.
//! What is published is shown to whoever subscribed, as it is: `board`.

mod board;

use crate::args;
use crate::relay::{Ready, issue};
use anyhow::Result;
use board::Board;
use parking_lot::Mutex;
use sip_transport::proxy::ProxyPolicy;
use sip_transport::tls::{CertificateFiles, CertificateStore, ClientCertificates};
use sip_transport::{BoundListener, CloseReason, Connection, Handler, Limits, ListenerConfig, Transport};
use sip_types::{HeaderName, Message, Method, Request, Response, SipStr, StatusCode};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Serves until the process is ended.
///
/// # Errors
/// The address or the certificate file cannot be used.
pub(crate) async fn run(options: &args::Relay) -> Result<()> {
    let tls = Arc::new(certificate(options)?);
    let transport = Transport::new(Limits::default())?;
    let address = options.listen;
    let config = ListenerConfig {
        name: "switchboard".to_owned(),
        address,
        tls: Some(tls),
        proxy: ProxyPolicy::Off,
    };
    let bound = BoundListener::bind(config)?;
    let ready = serde_json::to_string(&Ready {
        address: bound.address(),
    })?;
    let _listener = bound.serve(&transport, Arc::<Switchboard>::default());
    println!("{ready}");
    std::future::pending().await
}

/// The store reads files, so the new certificate and its key go to some, for a moment.
fn certificate(options: &args::Relay) -> Result<CertificateStore> {
    let certified = issue(&options.ca_out)?;
    let key = options.ca_out.with_extension("key");
    std::fs::write(&key, certified.signing_key.serialize_pem())?;
    let files = CertificateFiles {
        certificate: options.ca_out.clone(),
        private_key: key.clone(),
        client_certificates: ClientCertificates::Off,
    };
    let store = CertificateStore::load(files);
    std::fs::remove_file(key)?;
    Ok(store?)
}

/// Who is connected, and who waits for which answer.
#[derive(Default)]
struct Switchboard {
    users: Mutex<HashMap<SipStr, Arc<Connection>>>,
    waiting: Mutex<HashMap<(SipStr, u32), Arc<Connection>>>,
    board: Board,
}

impl Switchboard {
    fn register(&self, connection: &Arc<Connection>, request: &Request) -> Option<Response> {
        if !request.headers().has(&HeaderName::Authorization) {
            let challenge = "Digest realm=\"switchboard\", nonce=\"any\", algorithm=MD5, qop=\"auth\"";
            let answer = request.reply(StatusCode::UNAUTHORIZED).to_tag("switchboard");
            return Some(answer.header(HeaderName::WwwAuthenticate, challenge).build());
        }
        connection.set_authenticated();
        let user = user_of(request.to().ok()?.uri.to_string())?;
        self.users.lock().insert(user, Arc::clone(connection));
        let contact = request.headers().get(&HeaderName::Contact)?;
        let answer = request.reply(StatusCode::OK).to_tag("switchboard");
        Some(
            answer
                .header(HeaderName::Contact, format_args!("{contact};expires=3600"))
                .build(),
        )
    }

    /// None: it was passed on, or there is nothing to say.
    fn pass_on(&self, connection: &Arc<Connection>, request: &Request) -> Option<Response> {
        let is_ack = *request.method() == Method::Ack;
        let to = user_of(request.uri().to_string()).and_then(|user| self.users.lock().get(&user).cloned());
        let (Some(to), Some(key)) = (
            to,
            key(
                request.call_id().ok(),
                request.cseq().ok().map(|cseq| cseq.number),
            ),
        ) else {
            return (!is_ack).then(|| request.reply(StatusCode::NOT_FOUND).build());
        };
        if !is_ack {
            self.waiting.lock().insert(key, Arc::clone(connection));
        }
        // A connection that is gone answers nothing.
        let _ = to.send(request.head().clone(), request.body().clone());
        None
    }
}

impl Handler for Switchboard {
    type Session = ();

    fn accepted(&self, _: &Arc<Connection>) {}

    fn message(&self, connection: &Arc<Connection>, (): &mut (), message: Message, _: Instant) {
        let answer = match message {
            Message::Request(request) if *request.method() == Method::Register => {
                self.register(connection, &request)
            }
            Message::Request(request) if *request.method() == Method::Publish => {
                Some(self.board.publish(&request))
            }
            Message::Request(request) if *request.method() == Method::Subscribe => {
                self.board.subscribe(connection, &request)
            }
            Message::Request(request) => self.pass_on(connection, &request),
            Message::Response(response) => {
                let key = key(
                    response.call_id().ok(),
                    response.cseq().ok().map(|cseq| cseq.number),
                );
                if let Some(caller) = key.and_then(|key| self.waiting.lock().remove(&key)) {
                    let _ = caller.send(response.head().clone(), response.body().clone());
                }
                None
            }
        };
        if let Some(answer) = answer {
            let _ = connection.send(answer.head().clone(), answer.body().clone());
        }
    }

    fn closed(&self, connection: &Arc<Connection>, (): &mut (), _: CloseReason) {
        self.users.lock().retain(|_, user| user.id() != connection.id());
        self.board.forget(connection);
    }
}

/// The user part of a URI, as a copy: messages share the memory they came in.
fn user_of(uri: String) -> Option<SipStr> {
    let (user, _) = uri.split_once(':')?.1.split_once('@')?;
    Some(SipStr::copy_from(user))
}

fn key(call_id: Option<SipStr>, number: Option<u32>) -> Option<(SipStr, u32)> {
    Some((SipStr::copy_from(&call_id?), number?))
}
