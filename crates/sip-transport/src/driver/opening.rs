//! Before a connection is usable: the PROXY header, then the TLS handshake.

use super::{Closing, Env, Open, Phase, Turn};
use crate::connection::Connection;
use crate::counters::{Count, Limit};
use crate::handler::Handler;
use crate::proxy::{self, Expectation, ProxyError, ProxyHeader};
use crate::tls::{ServerIdentity, Session};
use crate::wire::{Filled, Wire, WireError};
use bytes::BytesMut;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// Tells whoever opened a connection that it is usable; dropped if it never is.
pub(crate) type Opened = oneshot::Sender<Arc<Connection>>;

/// Which side of the connection we are.
pub(crate) enum Role {
    /// A listener accepted it.
    Server {
        tls: Option<Arc<ServerIdentity>>,
        proxy: Expectation,
    },
    /// We opened it.
    Client {
        tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
        opened: Opened,
    },
}

pub(crate) struct Opening {
    /// When the connection was accepted or opened.
    since: Instant,
    stage: Stage,
    tls: Option<Side>,
    opened: Option<Opened>,
    /// Done when the listener is shut down; made when there is first something to wait for.
    stopped: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

enum Side {
    Server(Arc<ServerIdentity>),
    Client(Arc<ClientConfig>, ServerName<'static>),
}

enum Stage {
    /// A PROXY header may or must come.
    Proxy { required: bool },
    /// The next thing is to begin TLS, or to be usable.
    Begin,
    /// TLS is being negotiated since this time.
    Handshake { since: Instant },
}

impl Opening {
    pub(super) fn new(role: Role, now: Instant) -> Self {
        let (stage, tls, opened) = match role {
            Role::Server { tls, proxy } => {
                let stage = match proxy {
                    // The listener closes refused connections itself.
                    Expectation::None | Expectation::Refused => Stage::Begin,
                    Expectation::Optional => Stage::Proxy { required: false },
                    Expectation::Required => Stage::Proxy { required: true },
                };
                (stage, tls.map(Side::Server), None)
            }
            Role::Client { tls, opened } => (
                Stage::Begin,
                tls.map(|(config, name)| Side::Client(config, name)),
                Some(opened),
            ),
        };
        Self {
            since: now,
            stage,
            tls,
            opened,
            stopped: None,
        }
    }

    pub(super) fn poll<S, H>(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        wire: &mut Wire<S>,
        input: &mut BytesMut,
        env: &mut Env<H>,
    ) -> Turn<H::Session>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        H: Handler,
    {
        let turn = match self.stage {
            Stage::Proxy { required } => self.poll_proxy(cx, now, required, wire, env),
            Stage::Begin => self.begin(now, wire, input, env),
            Stage::Handshake { since } => self.poll_handshake(cx, now, since, wire, input, env),
        };
        match turn {
            // A stop does not wait for peers who take their time to begin.
            Turn::Wait(_) if self.poll_stopped(cx, env) => {
                if matches!(self.stage, Stage::Handshake { .. }) {
                    env.shared.counters.add(Count::HandshakeFailed, 1);
                }
                Turn::Next(Phase::Gone)
            }
            turn => turn,
        }
    }

    fn poll_stopped<H>(&mut self, cx: &mut Context<'_>, env: &Env<H>) -> bool {
        let stopped = self
            .stopped
            .get_or_insert_with(|| Box::pin(env.registry.stopped()));
        stopped.as_mut().poll(cx).is_ready()
    }

    fn poll_proxy<S, H>(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        required: bool,
        wire: &mut Wire<S>,
        env: &mut Env<H>,
    ) -> Turn<H::Session>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        H: Handler,
    {
        let limits = &env.shared.limits;
        let counters = &env.shared.counters;
        match proxy::parse(wire.raw(), limits.proxy_header) {
            Ok(Some((header, length))) => {
                wire.consume_raw(length);
                match header {
                    ProxyHeader::Proxied { source, destination } => {
                        env.ends.peer = source;
                        env.ends.local = destination;
                    }
                    // A probe of the balancer: no client, so its address is not counted as one.
                    ProxyHeader::Local => {
                        counters.add(Count::Probe, 1);
                        env.ends.probe = true;
                    }
                    ProxyHeader::Unknown => {}
                }
                self.stage = Stage::Begin;
                return Turn::Again;
            }
            Err(ProxyError::NotAHeader) if !required => {
                self.stage = Stage::Begin;
                return Turn::Again;
            }
            Err(error) => {
                tracing::debug!(peer = %env.ends.peer, %error, "connection refused");
                counters.add(Count::ProxyRefused, 1);
                return Turn::Next(Phase::Gone);
            }
            Ok(None) => {}
        }
        let deadline = self.since + limits.proxy_time;
        if now >= deadline {
            // A trusted client that speaks second, or began with a keep-alive that looks like the signature.
            if !required && wire.raw().len() < proxy::SIGNATURE.len() {
                self.stage = Stage::Begin;
                return Turn::Again;
            }
            counters.hit(Limit::ProxyTime);
            return Turn::Next(Phase::Gone);
        }
        match wire.poll_read_raw(cx) {
            Poll::Ready(Ok(Filled::More)) => Turn::Again,
            Poll::Ready(_) => Turn::Next(Phase::Gone),
            Poll::Pending => Turn::Wait(Some(deadline)),
        }
    }

    /// The peer's address is final: it is counted, and TLS begins.
    fn begin<S, H>(
        &mut self,
        now: Instant,
        wire: &mut Wire<S>,
        input: &mut BytesMut,
        env: &mut Env<H>,
    ) -> Turn<H::Session>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        H: Handler,
    {
        if let Some(place) = &mut env.place {
            if !env.ends.probe && place.belongs_to(env.ends.peer.ip(), now).is_err() {
                return Turn::Next(Phase::Gone);
            }
            if self.tls.is_some() && place.begin_handshake().is_err() {
                return Turn::Next(Phase::Gone);
            }
        }
        let session = match self.tls.take() {
            None => None,
            Some(Side::Server(identity)) => Some(Session::server(&identity)),
            Some(Side::Client(config, name)) => Some(Session::client(config, name)),
        };
        let started = session
            .transpose()
            .map_err(WireError::from)
            .and_then(|session| wire.start(session, input));
        self.stage = Stage::Handshake { since: now };
        match started {
            Ok(_) => Turn::Again,
            Err(error) => refuse(now, &error, env),
        }
    }

    fn poll_handshake<S, H>(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        since: Instant,
        wire: &mut Wire<S>,
        input: &mut BytesMut,
        env: &mut Env<H>,
    ) -> Turn<H::Session>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        H: Handler,
    {
        let counters = &env.shared.counters;
        if !wire.is_handshaking() {
            return self.establish(wire, input, env);
        }
        let deadline = since + env.shared.limits.handshake_time;
        if now >= deadline {
            counters.hit(Limit::HandshakeTime);
            counters.add(Count::HandshakeFailed, 1);
            return Turn::Next(Phase::Gone);
        }
        if let Err(error) = wire.poll_flush(cx, None) {
            return refuse(now, &error, env);
        }
        match wire.poll_fill(cx, input) {
            Poll::Ready(Ok(Filled::More)) => Turn::Again,
            Poll::Ready(Ok(Filled::End)) => {
                counters.add(Count::HandshakeFailed, 1);
                Turn::Next(Phase::Gone)
            }
            Poll::Ready(Err(error)) => refuse(now, &error, env),
            Poll::Pending => Turn::Wait(Some(deadline)),
        }
    }

    fn establish<S, H>(&mut self, wire: &Wire<S>, input: &BytesMut, env: &mut Env<H>) -> Turn<H::Session>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        H: Handler,
    {
        let counters = &env.shared.counters;
        let tls = wire.tls_info();
        if tls.is_some() {
            counters.add(Count::Handshake, 1);
        }
        counters.add(
            if env.ends.outbound {
                Count::Opened
            } else {
                Count::Established
            },
            1,
        );
        if let Some(place) = &mut env.place {
            place.end_handshake();
        }
        let connection = Connection::new(&env.ends, tls, Arc::clone(&env.shared));
        env.registry.insert(&connection);
        let session = env.handler.accepted(&connection);
        if let Some(opened) = self.opened.take() {
            // Whoever asked may have given up waiting: then nobody holds the connection, and it is closed.
            if opened.send(Arc::clone(&connection)).is_err() {
                connection.close(crate::connection::CloseReason::Finished);
            }
        }
        Turn::Next(Phase::Open(Box::new(Open::new(
            connection,
            session,
            self.since,
            &env.shared,
            !input.is_empty(),
        ))))
    }
}

/// TLS failed before the connection was usable: the peer is told why, as far as TLS has words for it.
fn refuse<H: Handler>(now: Instant, error: &WireError, env: &mut Env<H>) -> Turn<H::Session> {
    tracing::debug!(peer = %env.ends.peer, %error, "tls handshake failed");
    env.shared.counters.add(Count::HandshakeFailed, 1);
    if let Some(place) = &mut env.place {
        place.end_handshake();
    }
    match error {
        WireError::Tls(_) => Turn::Next(Phase::Closing(Closing::new(None, now, &env.shared.limits))),
        WireError::Io(_) => Turn::Next(Phase::Gone),
    }
}
