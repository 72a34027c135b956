//! Connections in memory, with time under control.

use super::{Driver, Role};
use crate::connection::{CloseReason, SendError};
use crate::counters::Counters;
use crate::counters::{Count, Limit};
use crate::framing::FramingErrorKind;
use crate::limits::Limits;
use crate::proxy::Expectation;
use crate::test_rig::{Recorder, Rig, Told, driver, driver_on, pass, request, settle};
use crate::tls::CertificateStore;
use crate::tls::tests::{Authority, localhost};
use bytes::Bytes;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, DuplexStream};

const SECOND: Duration = Duration::from_secs(1);

fn status(text: &str) -> &str {
    text.get(8..11).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order_by_one_write() {
    let mut rig = Rig::new();
    let stream: String = ["a", "b", "c"]
        .map(|name| request("OPTIONS", name, "", "body"))
        .concat();
    rig.say(&stream).await;
    let answers = rig.read().await;
    let order: Vec<&str> = answers
        .lines()
        .filter_map(|line| line.strip_prefix("Call-ID: "))
        .collect();
    assert_eq!(order, ["a", "b", "c"]);
    assert_eq!(rig.counters.get(Count::Writes), 1);
    assert_eq!(rig.counters.get(Count::Reads), 1);
    assert_eq!(rig.counters.get(Count::MessagesIn), 3);
    assert_eq!(rig.counters.get(Count::MessagesOut), 3);
    assert_eq!(rig.counters.get(Count::BytesIn), stream.len() as u64);
    assert_eq!(rig.counters.get(Count::BytesOut), answers.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn another_task_can_send_and_its_message_is_written_at_once() {
    let mut rig = Rig::new();
    settle().await;
    let connection = rig.handler.connection();
    assert_eq!((connection.peer().port(), connection.is_tls()), (40000, false));
    connection
        .send(Bytes::from_static(b"head"), Bytes::from_static(b"body"))
        .unwrap();
    connection
        .send(Bytes::from_static(b"more"), Bytes::new())
        .unwrap();
    assert_eq!(connection.pending(), 12);
    assert_eq!(rig.read().await, "headbodymore");
    assert_eq!(connection.pending(), 0);
    // The pipe takes one slice a call; a socket takes all.
    assert!(rig.counters.get(Count::Writes) <= 3);
}

#[tokio::test(start_paused = true)]
async fn what_a_session_has_under_way_wakes_its_connection_and_is_written_with_the_rest() {
    let mut rig = Rig::new();
    let (over, waits) = tokio::sync::oneshot::channel();
    *rig.handler.under_way.lock() = Some(waits);
    rig.say(&request("OPTIONS", "first", "", "")).await;
    assert_eq!(status(&rig.read().await), "200");
    over.send(()).unwrap();
    assert_eq!(rig.read().await, "late");
    // Over before anything is read: one wake-up answers both.
    let (over, waits) = tokio::sync::oneshot::channel();
    *rig.handler.under_way.lock() = Some(waits);
    over.send(()).unwrap();
    let writes = rig.counters.get(Count::Writes);
    rig.say(&request("OPTIONS", "second", "", "")).await;
    assert!(rig.read().await.ends_with("late"));
    assert!(rig.counters.get(Count::Writes) <= writes + 2);
}

#[tokio::test(start_paused = true)]
async fn a_hidden_request_is_never_run() {
    for length in ["Content-Length: 0\r\n", "Content-Length: +0\r\n", "l: 4, 4\r\n"] {
        let mut rig = Rig::new();
        let hidden = request("MESSAGE", "hidden", "", "");
        rig.send(request("OPTIONS", "first", length, "") + &hidden).await;
        rig.send(&hidden).await;
        let (answer, seconds) = rig.read_to_end().await;
        assert_eq!(
            (status(&answer), answer.matches("SIP/2.0 ").count(), seconds),
            ("400", 1, 0),
            "{answer}"
        );
        assert!(
            answer.contains("Call-ID: first\r\n") && answer.contains("To: <sip:first@example.test>;tag=")
        );
        assert_eq!(rig.handler.messages(), Vec::<String>::new());
        assert_eq!(rig.handler.closed(), Some(CloseReason::Framing));
        // What is sent after the close is read by nobody.
        rig.say(&hidden).await;
        assert_eq!(rig.handler.messages(), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_refused_at_its_head() {
    let long = |name: &str| request("OPTIONS", name, &format!("X: {}\r\n", "x".repeat(9000)), "");
    let many = (0..10)
        .map(|_| format!("X: {}\r\n", "x".repeat(8000)))
        .collect::<String>();
    let big = request("MESSAGE", "big", "", "").replace("Content-Length: 0", "Content-Length: 131073");
    for (stream, expect, kind) in [
        (big, "413", FramingErrorKind::BodyTooLarge),
        (
            request("OPTIONS", &"u".repeat(9000), "", ""),
            "",
            FramingErrorKind::StartLineTooLong,
        ),
        (long("header"), "400", FramingErrorKind::HeaderLineTooLong),
        (
            request("OPTIONS", "head", &many, ""),
            "513",
            FramingErrorKind::HeadTooLong,
        ),
    ] {
        let mut rig = Rig::new();
        rig.send(stream).await;
        let (answer, seconds) = rig.read_to_end().await;
        assert_eq!((status(&answer), seconds), (expect, 0), "{kind:?}");
        assert_eq!(rig.counters.framing_errors(kind), 1);
        assert_eq!(
            rig.handler.told(),
            [Told::Accepted, Told::Closed(CloseReason::Framing)]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_request_uri_gets_414() {
    let mut rig = Rig::new();
    let stream = request("OPTIONS", "x", "", "").replacen("sip:x@", &format!("sip:{}@", "u".repeat(9000)), 1);
    rig.send(stream).await;
    assert_eq!(status(&rig.read_to_end().await.0), "414");
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_answered_with_408_after_ten_seconds_whatever_its_progress() {
    let mut rig = Rig::new();
    pass(7 * SECOND).await;
    let text = request("OPTIONS", "slow", "", "");
    let (most, rest) = text.split_at(text.len() - 40);
    rig.say(most).await;
    let since = tokio::time::Instant::now();
    for byte in rest.as_bytes().chunks(1).take(9) {
        pass(SECOND).await;
        assert!(rig.is_open().await);
        rig.say(byte).await;
    }
    let (answer, _) = rig.read_to_end().await;
    assert_eq!(since.elapsed().as_secs(), 10);
    assert_eq!(status(&answer), "408");
    assert_eq!(rig.counters.limit_hits(Limit::HeadTime), 1);
    assert_eq!(rig.handler.messages(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_without_via_is_closed_without_an_answer() {
    let mut rig = Rig::new();
    rig.say("OPTIONS sip:a SIP/2.0\r\nFr").await;
    assert_eq!(rig.read_to_end().await, (String::new(), 10));
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_answered_with_408() {
    let mut rig = Rig::new();
    let text = request("MESSAGE", "slow", "", "0123456789");
    rig.say(&text[..text.len() - 1]).await;
    let (answer, seconds) = rig.read_to_end().await;
    assert_eq!((status(&answer), seconds), ("408", 10));
    assert_eq!(rig.counters.limit_hits(Limit::BodyTime), 1);
}

#[tokio::test(start_paused = true)]
async fn each_message_has_its_own_time() {
    let mut rig = Rig::new();
    let text = request("REGISTER", "r", "", "");
    let (front, back) = text.split_at(30);
    rig.say(front).await;
    for _ in 0..5 {
        pass(6 * SECOND).await;
        rig.say(format!("{back}{front}")).await;
    }
    assert!(rig.is_open().await);
    assert_eq!(rig.handler.messages().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_authenticates_is_closed_after_thirty_seconds() {
    let mut rig = Rig::new();
    for _ in 0..29 {
        pass(SECOND).await;
        rig.say(request("OPTIONS", "busy", "", "")).await;
    }
    let (_, seconds) = rig.read_to_end().await;
    assert_eq!(seconds, 1);
    assert_eq!(rig.handler.closed(), Some(CloseReason::Unauthenticated));
    assert_eq!(rig.counters.limit_hits(Limit::Unauthenticated), 1);
}

#[tokio::test(start_paused = true)]
async fn silence_is_judged_by_the_keep_alive() {
    let mut rig = Rig::new();
    rig.say(request("REGISTER", "r", "", "")).await;
    rig.handler.connection().set_keepalive(60 * SECOND, false);
    for _ in 0..10 {
        pass(149 * SECOND).await;
        assert!(rig.is_open().await);
        rig.say("\r\n\r\n").await;
    }
    let (_, seconds) = rig.read_to_end().await;
    assert_eq!(seconds, 150);
    assert_eq!(rig.handler.closed(), Some(CloseReason::Idle));

    // Without one, or with a longer one, twenty minutes.
    for agreed in [None, Some(3600 * SECOND)] {
        let mut rig = Rig::new();
        rig.say(request("REGISTER", "r", "", "")).await;
        if let Some(interval) = agreed {
            rig.handler.connection().set_keepalive(interval, false);
        }
        assert_eq!(rig.read_to_end().await.1, 20 * 60);
    }
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_only_when_agreed_and_once_a_second() {
    let mut rig = Rig::new();
    rig.say("\r\n\r\n").await;
    assert_eq!(rig.read().await, "");
    rig.handler.connection().set_keepalive(60 * SECOND, true);
    rig.say("\r\n\r\n\r\n\r\n").await;
    rig.say("\r\n\r\n").await;
    assert_eq!(rig.read().await, "\r\n");
    pass(SECOND).await;
    rig.say("\r\n").await;
    rig.say("\r\n").await;
    assert_eq!(rig.read().await, "\r\n");
    assert_eq!(
        [Count::Pings, Count::Pongs].map(|count| rig.counters.get(count)),
        [5, 2]
    );
    assert_eq!(rig.counters.limit_hits(Limit::Pong), 1);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_line_ends_closes_the_connection() {
    let mut rig = Rig::new();
    rig.say(request("REGISTER", "r", "", "")).await;
    for _ in 0..3 {
        rig.say("\r\n".repeat(30 * 1024)).await;
        pass(61 * SECOND).await;
    }
    assert!(rig.is_open().await);
    rig.say("\r\n".repeat(30 * 1024)).await;
    rig.say("\r\n".repeat(3 * 1024)).await;
    rig.read_to_end().await;
    assert_eq!(rig.handler.closed(), Some(CloseReason::KeepAliveFlood));
    assert_eq!(rig.counters.limit_hits(Limit::Crlf), 1);
}

/// A pipe that takes little, answers that are large.
async fn unread(answer: usize, requests: usize) -> Rig {
    let mut rig = Rig::with(Limits::default(), 4096, Expectation::None);
    *rig.handler.answer_size.lock() = answer;
    for number in 0..requests {
        rig.say(request("REGISTER", &format!("r{number}"), "", "")).await;
    }
    rig
}

#[tokio::test(start_paused = true)]
async fn requests_of_a_peer_that_does_not_read_wait() {
    let mut rig = unread(100_000, 3).await;
    assert_eq!(rig.handler.messages().len(), 3);
    rig.say(request("OPTIONS", "waits", "", "")).await;
    assert_eq!(rig.handler.messages().len(), 3);
    assert_eq!(rig.counters.limit_hits(Limit::PendingSoft), 1);

    let mut read = 0;
    while rig.handler.messages().len() < 4 {
        let some = rig.read().await.len();
        assert!(some > 0);
        read += some;
    }
    // Less than 256 KiB wait as soon as it goes on.
    assert!((30_000..80_000).contains(&read), "{read}");
    assert!(rig.is_open().await);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_closed_after_ten_seconds() {
    let mut rig = unread(100_000, 3).await;
    pass(Duration::from_millis(9_900)).await;
    assert!(rig.is_open().await);
    pass(Duration::from_millis(200)).await;
    assert_eq!(rig.handler.closed(), Some(CloseReason::SlowReader));
    assert_eq!(rig.counters.limit_hits(Limit::SlowReader), 1);
    assert!(rig.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn reading_a_drop_now_and_then_does_not_help() {
    let mut rig = unread(120_000, 3).await;
    for _ in 0..9 {
        pass(SECOND).await;
        assert!(rig.read().await.len() <= 4096);
    }
    pass(2 * SECOND).await;
    assert_eq!(rig.handler.closed(), Some(CloseReason::SlowReader));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_tls_is_closed_and_costs_no_more_than_what_waits() {
    let authority = Authority::new();
    let store = CertificateStore::load(authority.issue(2040)).unwrap();
    let role = Role::Server {
        tls: Some(store.current()),
        proxy: Expectation::None,
    };
    let (handler, counters) = (Arc::<Recorder>::default(), Arc::<Counters>::default());
    let (pipe, near) = driver(Limits::default(), 8192, role, &handler, &counters);
    let (opened, mut usable) = tokio::sync::oneshot::channel();
    let role = Role::Client {
        tls: Some((Arc::new(authority.client()), localhost())),
        opened,
    };
    let mut far = driver_on(pipe, Limits::default(), role, &Arc::default(), &Arc::default());
    let task = tokio::spawn(near);
    // The far end is moved by hand, and left alone as soon as the handshake is done.
    while handler.connections() == 0 {
        work(&mut far).await;
        tokio::task::yield_now().await;
    }
    assert!(usable.try_recv().is_ok());
    let connection = handler.connection();
    let chunk = Bytes::from(vec![b'x'; 100_000]);
    for _ in 0..3 {
        connection.send(chunk.clone(), Bytes::new()).unwrap();
        settle().await;
    }
    // Encrypted data counts as it waits; a record adds a few bytes.
    assert!(
        (285_000..303_000).contains(&connection.pending()),
        "{}",
        connection.pending()
    );
    pass(11 * SECOND).await;
    assert_eq!(handler.closed(), Some(CloseReason::SlowReader));
    assert!(task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_little_that_is_never_read_is_enough_in_the_end() {
    let mut rig = unread(10_000, 1).await;
    pass(29 * SECOND).await;
    assert!(rig.is_open().await);
    pass(2 * SECOND).await;
    assert_eq!(rig.handler.closed(), Some(CloseReason::SlowReader));
}

#[tokio::test(start_paused = true)]
async fn more_than_a_mebibyte_waiting_closes_at_once() {
    let rig = Rig::with(Limits::default(), 4096, Expectation::None);
    settle().await;
    let connection = rig.handler.connection();
    let chunk = Bytes::from(vec![0; 100_000]);
    for _ in 0..10 {
        connection.send(chunk.clone(), Bytes::new()).unwrap();
    }
    settle().await;
    assert!(connection.pending() > 990_000);
    assert_eq!(connection.send(chunk.clone(), Bytes::new()), Err(SendError::Full));
    assert_eq!(connection.send(chunk, Bytes::new()), Err(SendError::Closed));
    settle().await;
    assert_eq!(rig.handler.closed(), Some(CloseReason::Overflow));
    assert_eq!(rig.counters.limit_hits(Limit::PendingHard), 1);
    assert_eq!(connection.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn closing_writes_what_is_queued_and_refuses_the_rest() {
    let mut rig = Rig::new();
    rig.send(request("OPTIONS", "a", "", "") + &request("OPTIONS", "b", "Subject: close\r\n", ""))
        .await;
    rig.send(request("OPTIONS", "c", "", "")).await;
    let (answers, seconds) = rig.read_to_end().await;
    assert_eq!((answers.matches("SIP/2.0 200").count(), seconds), (1, 0));
    assert_eq!(rig.handler.messages().len(), 2);
    assert_eq!(rig.handler.closed(), Some(CloseReason::Finished));
    let connection = rig.handler.connection();
    assert_eq!(connection.closing(), Some(CloseReason::Finished));
    assert_eq!(
        connection.send(Bytes::from_static(b"x"), Bytes::new()),
        Err(SendError::Closed)
    );
    // The peer still sends: that is thrown away for a while, so that it can read.
    rig.say(request("OPTIONS", "d", "", "")).await;
    assert!(!rig.task.is_finished());
    pass(3 * SECOND).await;
    assert!(rig.task.is_finished());
    assert_eq!(rig.handler.messages().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_closes_gets_what_is_queued() {
    let mut rig = Rig::new();
    rig.send(request("OPTIONS", "last", "", "")).await;
    rig.peer.shutdown().await.unwrap();
    let (answer, seconds) = rig.read_to_end().await;
    assert_eq!((status(&answer), seconds), ("200", 0));
    assert_eq!(rig.handler.closed(), Some(CloseReason::PeerClosed));
    settle().await;
    assert!(rig.task.is_finished());
    assert_eq!(
        (
            rig.counters.active(),
            rig.counters.closed(CloseReason::PeerClosed)
        ),
        (0, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn the_handlers_timer_rings_when_it_wants_and_when_it_is_woken() {
    let mut rig = Rig::new();
    rig.say(request("REGISTER", "r", "", "")).await;
    let timers = |rig: &Rig| {
        rig.handler
            .told()
            .iter()
            .filter(|told| **told == Told::Timer)
            .count()
    };
    let connection = rig.handler.connection();
    connection.wake();
    settle().await;
    assert_eq!(timers(&rig), 1);

    // Another task gives the session a deadline, then wakes the connection so that it learns of it.
    *rig.handler.timer_at.lock() = Some(crate::driver::now() + 3 * SECOND);
    connection.wake();
    settle().await;
    assert_eq!(timers(&rig), 2);
    pass(Duration::from_millis(2_900)).await;
    assert_eq!(timers(&rig), 2);
    pass(Duration::from_millis(200)).await;
    assert_eq!(timers(&rig), 3);
    assert!(rig.is_open().await);
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_own_connection_only() {
    let mut rig = Rig::new();
    rig.send(request("OPTIONS", "a", "Subject: panic\r\n", "")).await;
    assert_eq!(rig.read_to_end().await, (String::new(), 0));
    assert_eq!(rig.handler.closed(), Some(CloseReason::Fault));
    assert!((&mut rig.task).await.is_ok());
    assert_eq!(rig.counters.closed(CloseReason::Fault), 1);
    assert_eq!(
        rig.handler.connection().send(Bytes::new(), Bytes::new()),
        Err(SendError::Closed)
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_that_does_not_parse_is_answered_and_ends_the_connection_only_if_its_end_is_in_doubt() {
    let mut rig = Rig::new();
    rig.say(request("OPTIONS", "a", "X: \u{0}\r\n", "")).await;
    assert_eq!(status(&rig.read().await), "400");
    rig.say("SIP/2.0 200 OK\r\nX: \u{0}\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(rig.read().await, "");
    rig.say(request("OPTIONS", "b", "", "")).await;
    assert_eq!(status(&rig.read().await), "200");
    assert_eq!(
        rig.handler.told()[1..3],
        [Told::Rejected(400), Told::Rejected(400)]
    );

    rig.say("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(rig.read_to_end().await.0, "");
    assert_eq!(rig.handler.closed(), Some(CloseReason::NotSip));
}

#[tokio::test(start_paused = true)]
async fn large_messages_cross_over_tls_through_a_narrow_pipe() {
    let authority = Authority::new();
    let store = CertificateStore::load(authority.issue(2040)).unwrap();
    let (handler, counters) = (Arc::<Recorder>::default(), Arc::<Counters>::default());
    *handler.answer_size.lock() = 20_000;
    let role = Role::Server {
        tls: Some(store.current()),
        proxy: Expectation::None,
    };
    // Records are cut everywhere, and both ends send while they hold parts of records of the other.
    let (pipe, near) = driver(Limits::default(), 777, role, &handler, &counters);
    let (opened, usable) = tokio::sync::oneshot::channel();
    let role = Role::Client {
        tls: Some((Arc::new(authority.client()), localhost())),
        opened,
    };
    let client = Arc::<Recorder>::default();
    let far = driver_on(pipe, Limits::default(), role, &client, &Arc::default());
    tokio::spawn(near);
    tokio::spawn(far);
    let connection = usable.await.unwrap();
    for _ in 0..8 {
        let text = request("MESSAGE", "m", "", &"x".repeat(30_000));
        connection.send(Bytes::from(text), Bytes::new()).unwrap();
    }
    while client.messages().len() < 8 {
        settle().await;
        assert_eq!((client.closed(), handler.closed()), (None, None));
    }
    assert_eq!(handler.messages().len(), 8);
    assert_eq!(client.messages(), vec!["SIP/2.0 200 OK"; 8]);
}

/// One wake-up of a task that was not spawned.
async fn work(driver: &mut Driver<DuplexStream, Recorder>) {
    poll_fn(|cx| {
        assert!(driver.run(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_holds_no_buffers() {
    let (handler, counters) = (Arc::<Recorder>::default(), Arc::<Counters>::default());
    let role = Role::Server {
        tls: None,
        proxy: Expectation::None,
    };
    let (mut peer, mut driver) = driver(Limits::default(), 1 << 20, role, &handler, &counters);
    work(&mut driver).await;
    assert_eq!(driver.buffer_memory(), 0);
    for _ in 0..40 {
        peer.write_all(request("MESSAGE", "m", "", &"x".repeat(10_000)).as_bytes())
            .await
            .unwrap();
    }
    work(&mut driver).await;
    work(&mut driver).await;
    assert_eq!(handler.messages().len(), 40);
    assert!(
        driver.buffer_memory() <= 2 * 16 * size_of::<Bytes>(),
        "{}",
        driver.buffer_memory()
    );

    // A part of a message is held, and no more than that.
    peer.write_all(&b"OPTIONS sip:a SIP/2.0\r\n"[..]).await.unwrap();
    work(&mut driver).await;
    assert!((20..2000).contains(&driver.buffer_memory()));
}

fn proxied(rest: &str) -> Vec<u8> {
    let mut bytes =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\xc6\x33\x64\x01\x9c\x41\x13\xc5".to_vec();
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[tokio::test(start_paused = true)]
async fn a_balancer_names_the_client() {
    for proxy in [Expectation::Required, Expectation::Optional] {
        let mut rig = Rig::with(Limits::default(), 1 << 20, proxy);
        let stream = proxied(&request("OPTIONS", "a", "", ""));
        for byte in stream.chunks(1) {
            rig.say(byte).await;
        }
        assert_eq!(status(&rig.read().await), "200");
        let connection = rig.handler.connection();
        assert_eq!(connection.peer(), "203.0.113.9:40001".parse().unwrap());
        assert_eq!(connection.local(), "198.51.100.1:5061".parse().unwrap());
        assert!(!connection.is_probe());
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_a_balancer_is_no_client() {
    let mut rig = Rig::with(Limits::default(), 1 << 20, Expectation::Required);
    let mut stream = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec();
    stream.extend(request("OPTIONS", "a", "", "").bytes());
    rig.say(stream).await;
    assert_eq!(status(&rig.read().await), "200");
    let connection = rig.handler.connection();
    assert!(connection.is_probe() && connection.peer().port() == 40000);
    assert_eq!(rig.counters.get(Count::Probe), 1);
}

#[tokio::test(start_paused = true)]
async fn where_a_header_is_due_nothing_else_is_taken() {
    let mut rig = Rig::with(Limits::default(), 1 << 20, Expectation::Required);
    rig.send(request("OPTIONS", "a", "", "")).await;
    assert_eq!(rig.read_to_end().await, (String::new(), 0));
    assert_eq!(
        (rig.handler.connections(), rig.counters.get(Count::ProxyRefused)),
        (0, 1)
    );

    let mut rig = Rig::with(Limits::default(), 1 << 20, Expectation::Required);
    rig.send(b"\r\n\r\n\0").await;
    assert_eq!(rig.read_to_end().await, (String::new(), 3));
    assert_eq!(rig.counters.limit_hits(Limit::ProxyTime), 1);
}

#[tokio::test(start_paused = true)]
async fn where_a_header_may_come_a_client_without_one_is_served() {
    let mut rig = Rig::with(Limits::default(), 1 << 20, Expectation::Optional);
    rig.say(format!("\r\n\r\n{}", request("OPTIONS", "a", "", "")))
        .await;
    assert_eq!(status(&rig.read().await), "200");
    assert_eq!(rig.counters.get(Count::Pings), 1);

    // A keep-alive alone looks like the beginning of a header.
    let mut rig = Rig::with(Limits::default(), 1 << 20, Expectation::Optional);
    rig.say("\r\n\r\n").await;
    assert_eq!(rig.handler.connections(), 0);
    pass(4 * SECOND).await;
    assert_eq!(
        (rig.handler.connections(), rig.counters.get(Count::Pings)),
        (1, 1)
    );
}
