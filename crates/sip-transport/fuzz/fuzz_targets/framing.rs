//! A stream gives the same messages however it is cut into reads, and what is held of it stays bounded.
//!
//! The first byte of the input says into pieces of how many bytes the stream behind it is cut.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use sip_transport::framing::{Event, Framer, FramingErrorKind, FramingLimits};

fn limits() -> FramingLimits {
    FramingLimits { start_line: 64, header_line: 128, head: 512, body: 256 }
}

type Read = (Vec<(Vec<u8>, Vec<u8>)>, usize, Option<(FramingErrorKind, Vec<u8>)>);

fn read(stream: &[u8], piece: usize) -> Read {
    let limits = limits();
    let mut framer = Framer::new(limits);
    let mut buf = BytesMut::new();
    let (mut frames, mut pings, mut error) = (Vec::new(), 0, None);
    for piece in stream.chunks(piece) {
        buf.extend_from_slice(piece);
        loop {
            match framer.next(&mut buf) {
                Ok(None) => break,
                Ok(Some(Event::Frame(frame))) => {
                    assert!(frame.head.ends_with(b"\r\n\r\n") && frame.head.len() <= limits.head);
                    assert!(frame.body.len() <= limits.body);
                    frames.push((frame.head.to_vec(), frame.body.to_vec()));
                }
                Ok(Some(Event::KeepAlive { pings: more, .. })) => pings += more,
                Err(failed) => {
                    assert!(error.is_none(), "nothing follows an error");
                    error = Some((failed.kind, failed.reply_source.to_vec()));
                }
            }
        }
        assert!(buf.len() < limits.head + limits.body);
    }
    (frames, pings, error)
}

fuzz_target!(|input: &[u8]| {
    let Some((piece, stream)) = input.split_first() else { return };
    assert_eq!(read(stream, usize::MAX), read(stream, usize::from(*piece).max(1)));
});
