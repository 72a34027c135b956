//! What it costs to take messages off a stream: framing alone, and framing with parsing.
//!
//! `cargo bench -p sip-transport`. The stream comes in reads of 16 KiB, as from TLS records.

use bytes::BytesMut;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use sip_transport::framing::{Event, Framer, FramingLimits};
use sip_types::Message;

fn main() {
    divan::main();
}

/// Messages in one stream.
const MESSAGES: usize = 1000;

const READ: usize = 16 * 1024;

/// Page-mode messages of 1,000 bytes each, bodies included.
fn stream() -> Vec<u8> {
    let mut stream = Vec::new();
    for number in 0..MESSAGES {
        let head = format!(
            "MESSAGE sip:bob@example.test SIP/2.0\r\n\
             Via: SIP/2.0/TLS 192.0.2.10:38220;branch=z9hG4bK{number:08};rport;alias\r\n\
             Max-Forwards: 70\r\n\
             From: \"Alice Example\" <sip:alice@example.test>;tag=408663310;epid=b34afb6ebb23\r\n\
             To: <sip:bob@example.test>\r\n\
             Call-ID: EBB7g1050a4CA2iB293m5580tBBB5bFFC8x0833x\r\n\
             CSeq: 21 MESSAGE\r\n\
             Contact: <sip:alice@192.0.2.10:38220;transport=tls;ob>\r\n\
             User-Agent: Client/5.2.4 debian/12\r\n\
             Supported: replaces, outbound, gruu, path\r\n\
             Date: Sat, 21 Nov 2026 08:07:37 GMT\r\n\
             Content-Type: text/plain;charset=UTF-8\r\n\
             Content-Length: "
        );
        let body = 1000 - head.len() - 7;
        stream.extend(format!("{head}{body}\r\n\r\n{}", "x".repeat(body)).bytes());
    }
    stream
}

fn receive(bencher: Bencher<'_, '_>, take: impl Fn(sip_transport::framing::Frame) + Sync) {
    let stream = stream();
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .counter(BytesCount::new(stream.len()))
        .bench(|| {
            let mut framer = Framer::new(FramingLimits::default());
            let mut buf = BytesMut::new();
            let mut frames = 0;
            for read in stream.chunks(READ) {
                buf.extend_from_slice(read);
                while let Ok(Some(event)) = framer.next(&mut buf) {
                    if let Event::Frame(frame) = event {
                        frames += 1;
                        take(frame);
                    }
                }
            }
            assert_eq!(frames, MESSAGES);
        });
}

#[divan::bench]
fn framing(bencher: Bencher<'_, '_>) {
    receive(bencher, |frame| {
        black_box(frame);
    });
}

#[divan::bench]
fn framing_and_parsing(bencher: Bencher<'_, '_>) {
    receive(bencher, |frame| {
        assert!(black_box(Message::parse(frame.head, frame.body)).is_ok());
    });
}
