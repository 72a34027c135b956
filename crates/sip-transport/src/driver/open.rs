//! A usable connection: messages in, messages out.

use super::deadlines::{Deadlines, Missed};
use super::{Closing, Env, Phase, Turn, reason_of};
use crate::connection::{CloseReason, Connection, Context as Shared};
use crate::counters::{Count, Limit};
use crate::framing::{Event, Frame, Framer, FramingError, Progress};
use crate::handler::Handler;
use crate::reject;
use crate::wire::{Filled, Wire};
use bytes::BytesMut;
use sip_types::Message;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};

/// Reads in one wake-up before other connections get their turn.
const READS: usize = 4;

/// How far away a timer is put that the handler asks for again right after it rang.
const TIMER_STEP: Duration = Duration::from_millis(1);

pub(super) struct Open<T> {
    connection: Arc<Connection>,
    session: T,
    framer: Framer,
    deadlines: Deadlines,
    crlf: CrlfBudget,
    last_pong: Option<Instant>,
    /// Reading stands still because too much waits to be written.
    paused: bool,
    /// Bytes came together with the end of the handshake and were not looked at.
    early: bool,
    /// The handler was told that the connection is closed.
    ended: bool,
}

/// CRLFs between messages in the present minute.
struct CrlfBudget {
    since: Instant,
    bytes: usize,
}

/// How one pass over the connection ended.
enum Pass {
    /// Nothing more to do now. The flag: the socket takes nothing more.
    Done { blocked: bool },
    /// The connection ends for this reason. The flag: what is queued can still be written.
    End(CloseReason, bool),
}

impl<T> Open<T> {
    pub(super) fn new(
        connection: Arc<Connection>,
        session: T,
        since: Instant,
        shared: &Shared,
        early: bool,
    ) -> Self {
        Self {
            connection,
            session,
            framer: Framer::new(shared.limits.framing),
            deadlines: Deadlines::new(since),
            crlf: CrlfBudget { since, bytes: 0 },
            last_pong: None,
            paused: false,
            early,
            ended: false,
        }
    }

    pub(super) fn poll<S, H>(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        wire: &mut Wire<S>,
        input: &mut BytesMut,
        env: &Env<H>,
    ) -> Turn<T>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        H: Handler<Session = T>,
    {
        self.connection.begin(cx.waker());
        let rang = self.ring(now, env);
        match self.pass(cx, now, wire, input, env) {
            Pass::End(reason, flush) => self.close(now, env, reason, flush),
            Pass::Done { blocked } => {
                if !self.connection.rest(wire.unsent(), blocked) {
                    return Turn::Again;
                }
                let limits = &env.shared.limits;
                let timer = env.handler.next_timer(&self.session).map(|at| match rang {
                    true => at.max(now + TIMER_STEP),
                    false => at,
                });
                Turn::Wait(
                    [self.deadlines.next(&self.connection, limits), timer]
                        .into_iter()
                        .flatten()
                        .min(),
                )
            }
        }
    }

    /// Calls the handler's timer if it is due or asked for.
    fn ring<H: Handler<Session = T>>(&mut self, now: Instant, env: &Env<H>) -> bool {
        let asked = self.connection.take_timer_asked();
        let due = env.handler.next_timer(&self.session).is_some_and(|at| at <= now);
        if asked || due {
            env.handler.timer(&self.connection, &mut self.session, now);
        }
        asked || due
    }

    /// Reads all there is, then writes all there is.
    fn pass<S, H>(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        wire: &mut Wire<S>,
        input: &mut BytesMut,
        env: &Env<H>,
    ) -> Pass
    where
        S: AsyncRead + AsyncWrite + Unpin,
        H: Handler<Session = T>,
    {
        let limits = &env.shared.limits;
        loop {
            if let Some(missed) = self.deadlines.missed(&self.connection, now, limits) {
                self.miss(missed, input, env);
            }
            let end = self.receive(cx, now, wire, input, env);
            env.handler.work(&self.connection, &mut self.session, cx);
            // Before a close, too: an answer may be waiting.
            let flushed = wire.poll_flush(cx, Some(&self.connection));
            if let Some(reason) = self.connection.closing() {
                return Pass::End(reason, flushed.is_ok());
            }
            let flushed = match flushed {
                Ok(flushed) => flushed,
                Err(error) => return Pass::End(reason_of(&error), false),
            };
            if let Some((reason, flush)) = end {
                return Pass::End(reason, flush);
            }
            let pending = if flushed {
                0
            } else {
                wire.unsent() + self.connection.queued()
            };
            self.deadlines.wrote(wire.taken(), pending, now, limits);
            if self.paused && pending <= limits.pending_soft {
                self.paused = false;
                continue;
            }
            return Pass::Done { blocked: !flushed };
        }
    }

    /// Reads and hands on messages. Something: the connection ends.
    fn receive<S, H>(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        wire: &mut Wire<S>,
        input: &mut BytesMut,
        env: &Env<H>,
    ) -> Option<(CloseReason, bool)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        H: Handler<Session = T>,
    {
        if std::mem::take(&mut self.early) {
            self.deliver(now, input, env);
        }
        for _ in 0..READS {
            if self.connection.closing().is_some() {
                return None;
            }
            if self
                .connection
                .pending_above(env.shared.limits.pending_soft, wire.unsent())
            {
                if !std::mem::replace(&mut self.paused, true) {
                    env.shared.counters.hit(Limit::PendingSoft);
                }
                self.deadlines.paused();
                return None;
            }
            match wire.poll_fill(cx, input) {
                Poll::Pending => return None,
                Poll::Ready(Err(error)) => return Some((reason_of(&error), true)),
                Poll::Ready(Ok(filled)) => {
                    self.deliver(now, input, env);
                    if filled == Filled::End {
                        return Some((CloseReason::PeerClosed, true));
                    }
                    self.deadlines.heard(now);
                }
            }
        }
        // There may be more: it is this connection's turn again after the others'.
        cx.waker().wake_by_ref();
        None
    }

    /// Hands every complete message in `input` to the handler.
    fn deliver<H: Handler<Session = T>>(&mut self, now: Instant, input: &mut BytesMut, env: &Env<H>) {
        while self.connection.closing().is_none() {
            match self.framer.next(input) {
                Ok(None) => break,
                Ok(Some(Event::Frame(frame))) => {
                    self.deadlines.message_complete();
                    self.take_frame(frame, now, env);
                }
                Ok(Some(Event::KeepAlive { bytes, pings })) => self.take_crlfs(bytes, pings, now, env),
                Err(error) => self.refuse(&error, env),
            }
        }
        self.deadlines
            .reading(self.framer.progress(), now, &env.shared.limits);
        // An idle connection owns no buffer, and messages do not share theirs with what comes later.
        if input.is_empty() || self.framer.progress() == Progress::Failed {
            *input = BytesMut::new();
        }
    }

    fn take_frame<H: Handler<Session = T>>(&mut self, frame: Frame, now: Instant, env: &Env<H>) {
        let counters = &env.shared.counters;
        let is_response = frame.head.starts_with(b"SIP/");
        match Message::parse(frame.head, frame.body) {
            Ok(message) => {
                counters.add(Count::MessagesIn, 1);
                env.handler
                    .message(&self.connection, &mut self.session, message, now);
            }
            Err(error) => {
                counters.add(Count::ParseErrors, 1);
                tracing::debug!(connection = %self.connection.id(), %error, "message refused");
                let answer = error.response();
                let fatal = reject::doubts_framing(error.kind()) || (answer.is_none() && !is_response);
                if let Some(answer) = answer {
                    self.reply(&answer);
                }
                env.handler.rejected(&self.connection, &mut self.session, &error);
                if fatal {
                    self.connection.close(CloseReason::NotSip);
                }
            }
        }
    }

    fn take_crlfs<H: Handler<Session = T>>(
        &mut self,
        bytes: usize,
        pings: usize,
        now: Instant,
        env: &Env<H>,
    ) {
        let (limits, counters) = (&env.shared.limits, &env.shared.counters);
        if now.saturating_duration_since(self.crlf.since) >= Duration::from_secs(60) {
            self.crlf = CrlfBudget { since: now, bytes: 0 };
        }
        self.crlf.bytes = self.crlf.bytes.saturating_add(bytes);
        if self.crlf.bytes > limits.crlf_per_minute {
            counters.hit(Limit::Crlf);
            self.connection.close(CloseReason::KeepAliveFlood);
            return;
        }
        if pings == 0 {
            return;
        }
        counters.add(Count::Pings, pings as u64);
        if !self.connection.answers_pings() {
            return;
        }
        if self
            .last_pong
            .is_some_and(|last| now.saturating_duration_since(last) < limits.pong_interval)
        {
            counters.hit(Limit::Pong);
        } else if self.connection.pong().is_ok() {
            self.last_pong = Some(now);
            counters.add(Count::Pongs, 1);
        }
    }

    /// Answers what can be answered; nothing behind the error is ever looked at.
    fn refuse<H: Handler<Session = T>>(&mut self, error: &FramingError, env: &Env<H>) {
        env.shared.counters.count_framing(error.kind);
        tracing::debug!(connection = %self.connection.id(), %error, "framing lost");
        if let Some(answer) = reject::answer(error) {
            self.reply(&answer);
        }
        self.connection.close(CloseReason::Framing);
    }

    fn reply(&self, answer: &sip_types::Response) {
        // A queue that is full or closed ends the connection anyway.
        let _ = self.connection.send(answer.head().clone(), answer.body().clone());
    }

    fn miss<H: Handler<Session = T>>(&mut self, missed: Missed, input: &mut BytesMut, env: &Env<H>) {
        match missed {
            Missed::Message => {
                if let Some(error) = self.framer.expire(input) {
                    self.refuse(&error, env);
                }
                self.deadlines.message_complete();
            }
            Missed::Close(reason, limit) => {
                env.shared.counters.hit(limit);
                self.connection.close(reason);
            }
        }
    }

    fn close<H>(&mut self, now: Instant, env: &Env<H>, reason: CloseReason, flush: bool) -> Turn<T>
    where
        H: Handler<Session = T>,
    {
        self.connection.close(reason);
        let reason = self.connection.closing().unwrap_or(reason);
        self.end(env, reason);
        // Whoever does not read gets nothing more.
        if !flush
            || matches!(
                reason,
                CloseReason::SlowReader | CloseReason::Overflow | CloseReason::Broken
            )
        {
            self.connection.finish();
            return Turn::Next(Phase::Gone);
        }
        let connection = Arc::clone(&self.connection);
        Turn::Next(Phase::Closing(Closing::new(
            Some(connection),
            now,
            &env.shared.limits,
        )))
    }

    /// Tells everybody that the connection is over.
    pub(super) fn end<H: Handler<Session = T>>(&mut self, env: &Env<H>, reason: CloseReason) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.connection.close(reason);
        env.registry.remove(self.connection.id());
        env.shared.counters.count_closed(reason);
        if reason == CloseReason::Fault {
            self.connection.finish();
        }
        env.handler.closed(&self.connection, &mut self.session, reason);
    }

    #[cfg(test)]
    pub(super) fn queue_memory(&self) -> usize {
        self.connection.queue_memory()
    }

    /// The task is dropped with the connection still open: the runtime stops.
    pub(super) fn abandon<H>(&mut self, env: &Env<H>) {
        self.connection.finish();
        env.registry.remove(self.connection.id());
        env.shared.counters.count_closed(CloseReason::Shutdown);
    }
}
