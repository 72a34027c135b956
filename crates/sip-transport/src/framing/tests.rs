use super::*;
use proptest::prelude::*;

const PAGE: &str = "MESSAGE sip:bob@example.test SIP/2.0\r\nVia: SIP/2.0/TLS a;branch=z9hG4bK1\r\n\
     Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";

/// What a whole stream amounts to, however it is cut.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    frames: Vec<(String, String)>,
    pings: usize,
    crlf_bytes: usize,
    error: Option<(FramingErrorKind, String)>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn small() -> FramingLimits {
    FramingLimits {
        start_line: 64,
        header_line: 80,
        head: 400,
        body: 100,
    }
}

fn read_with(limits: FramingLimits, stream: &[u8], cuts: &[usize]) -> Read {
    let mut framer = Framer::new(limits);
    let mut buf = BytesMut::new();
    let mut read = Read::default();
    let mut from = 0;
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    ends.push(stream.len());
    ends.sort_unstable();
    for end in ends {
        buf.extend_from_slice(&stream[from..end]);
        from = end;
        loop {
            match framer.next(&mut buf) {
                Ok(None) => break,
                Ok(Some(Event::Frame(frame))) => read.frames.push((text(&frame.head), text(&frame.body))),
                Ok(Some(Event::KeepAlive { bytes, pings })) => {
                    read.crlf_bytes += bytes;
                    read.pings += pings;
                }
                Err(error) => {
                    assert_eq!(read.error, None, "a second error");
                    assert_eq!(framer.progress(), Progress::Failed);
                    read.error = Some((error.kind, text(&error.reply_source)));
                }
            }
        }
    }
    read
}

/// Reads the stream in one piece and byte by byte, which must not differ.
fn read(stream: &[u8]) -> Read {
    let whole = read_with(small(), stream, &[]);
    let bytes: Vec<usize> = (0..stream.len()).collect();
    assert_eq!(whole, read_with(small(), stream, &bytes), "{:?}", text(stream));
    whole
}

fn fails(stream: &str) -> FramingErrorKind {
    let read = read(stream.as_bytes());
    assert_eq!(read.frames, [], "{stream:?}");
    read.error.unwrap_or_else(|| panic!("no error: {stream:?}")).0
}

#[test]
fn pipelined_messages_come_out_one_by_one() {
    let stream = format!("{PAGE}{PAGE}\r\n\r\n{PAGE}");
    let read = read(stream.as_bytes());
    assert_eq!(read.frames.len(), 3);
    assert_eq!(read.error, None);
    assert_eq!(read.pings, 1);
    for (head, body) in read.frames {
        assert_eq!(format!("{head}{body}"), PAGE);
        assert_eq!(body, "hello");
    }
}

#[test]
fn an_empty_body_ends_with_the_head() {
    let read = read(b"A b c\r\nl: 0\r\n\r\nD e f\r\nL:0\r\n\r\n");
    assert_eq!(read.frames.len(), 2);
    assert!(read.frames.iter().all(|(_, body)| body.is_empty()));
}

#[test]
fn pings_are_double_crlfs_between_messages() {
    for (stream, pings) in [
        ("\r\n", 0),
        ("\r\n\r\n", 1),
        ("\r\n\r\n\r\n", 1),
        ("\r\n\r\n\r\n\r\n", 2),
        ("\r\n\r\n\r", 1),
    ] {
        let read = read(stream.as_bytes());
        assert_eq!(
            (read.pings, read.crlf_bytes),
            (pings, stream.len() / 2 * 2),
            "{stream:?}"
        );
    }
}

#[test]
fn content_length_in_doubt_is_an_error_and_nothing_behind_it_is_read() {
    use FramingErrorKind::*;
    for (length, kind) in [
        ("", ContentLengthMissing),
        (
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            ContentLengthRepeated,
        ),
        ("Content-Length: 5\r\nl: 0\r\n", ContentLengthRepeated),
        ("Content-Length: 5, 5\r\n", ContentLengthInvalid),
        ("Content-Length: -5\r\n", ContentLengthInvalid),
        ("Content-Length: 0x5\r\n", ContentLengthInvalid),
        ("Content-Length: 18446744073709551621\r\n", ContentLengthInvalid),
        ("Content-Length:\r\n", ContentLengthInvalid),
        ("Content-Length: 101\r\n", BodyTooLarge),
        ("Content-Length: 18446744073709551615\r\n", BodyTooLarge),
    ] {
        assert_eq!(
            fails(&format!("A b c\r\n{length}\r\nhello{PAGE}{PAGE}")),
            kind,
            "{length:?}"
        );
    }
}

#[test]
fn a_content_length_hidden_in_a_fold_does_not_count() {
    // The second line continues Subject; a reader that took it for a header would see a hidden request.
    let read = read(b"A b c\r\nSubject: x\r\n Content-Length: 99\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(read.frames.len(), 1);
    assert_eq!(read.frames[0].1, "hi");
    assert_eq!(
        fails("A b c\r\n Content-Length: 2\r\n\r\nhi"),
        FramingErrorKind::ContentLengthMissing
    );
}

#[test]
fn bare_line_ends_are_refused_at_the_end_of_the_head() {
    for stream in [
        "A b c\nl: 0\n\n",
        "A b c\r\nl: 0\n\r\n",
        "A b c\r\nx: a\rb\r\nl: 0\r\n\r\n",
        "A b c\r\nx: a\nb: c\r\nl: 0\r\n\r\n",
        "A b c\r\nl: 0\r\r\n\r\n",
        "\nA b c\r\nl: 0\r\n\r\n",
        "\rA b c\r\nl: 0\r\n\r\n",
    ] {
        assert_eq!(
            fails(&format!("{stream}{PAGE}")),
            FramingErrorKind::BareLineEnd,
            "{stream:?}"
        );
    }
}

#[test]
fn bounds_are_exact() {
    let limits = small();
    let message = |start: usize, header: usize, body: usize| {
        format!(
            "{}\r\nx:{}\r\nl: {body}\r\n\r\n{}",
            "s".repeat(start),
            "h".repeat(header - 2),
            "b".repeat(body)
        )
    };
    assert_eq!(read(message(64, 80, 100).as_bytes()).frames.len(), 1);
    assert_eq!(fails(&message(65, 80, 100)), FramingErrorKind::StartLineTooLong);
    assert_eq!(fails(&message(64, 81, 100)), FramingErrorKind::HeaderLineTooLong);
    assert_eq!(fails(&message(64, 80, 101)), FramingErrorKind::BodyTooLarge);

    let head = |padding: usize| {
        let rest = "A b c\r\nl: 0\r\n\r\n".len();
        let mut fields = String::new();
        let mut left = padding - rest;
        while left > 0 {
            let line = if left > 120 { 80 } else { left };
            fields += &format!("x:{}\r\n", "h".repeat(line.min(left) - 4));
            left -= line;
        }
        format!("A b c\r\n{fields}l: 0\r\n\r\n")
    };
    assert_eq!(head(limits.head).len(), limits.head);
    assert_eq!(read(head(limits.head).as_bytes()).frames.len(), 1);
    assert_eq!(fails(&head(limits.head + 1)), FramingErrorKind::HeadTooLong);
}

#[test]
fn a_folded_field_is_bounded_as_a_whole() {
    let folded = format!(
        "A b c\r\nx: {}\r\n {}\r\nl: 0\r\n\r\n",
        "a".repeat(40),
        "b".repeat(40)
    );
    assert_eq!(fails(&folded), FramingErrorKind::HeaderLineTooLong);
}

#[test]
fn an_endless_start_line_ends_at_the_bound_of_the_head() {
    let read = read("s".repeat(5000).as_bytes());
    assert_eq!(
        read.error,
        Some((FramingErrorKind::StartLineTooLong, String::new()))
    );
}

#[test]
fn an_answer_can_be_built_from_what_stands_behind_the_fault() {
    let stream = format!("A b c\r\nx: {}\r\nVia: v\r\nl: 0\r\n\r\n{PAGE}", "h".repeat(90));
    let (_, source) = read(stream.as_bytes()).error.unwrap();
    assert_eq!(source, "A b c\r\nVia: v\r\nl: 0\r\n\r\n");
}

#[test]
fn a_message_that_is_late_is_given_up() {
    for (sent, kind, source) in [
        (
            "A b c\r\nVia: v\r\nTo: un",
            FramingErrorKind::HeadTimeout,
            "A b c\r\nVia: v\r\n\r\n",
        ),
        (
            "A b c\r\nl: 9\r\n\r\nhell",
            FramingErrorKind::BodyTimeout,
            "A b c\r\nl: 9\r\n\r\n",
        ),
        ("A b", FramingErrorKind::HeadTimeout, ""),
    ] {
        let mut framer = Framer::new(small());
        let mut buf = BytesMut::from(sent);
        assert_eq!(framer.next(&mut buf), Ok(None));
        let error = framer.expire(&mut buf).unwrap();
        assert_eq!((error.kind, text(&error.reply_source)), (kind, source.to_owned()));
        assert_eq!(
            (framer.next(&mut BytesMut::from(PAGE)), framer.expire(&mut buf)),
            (Ok(None), None)
        );
    }
}

#[test]
fn names_and_indexes_of_errors_agree() {
    for (index, kind) in FramingErrorKind::ALL.into_iter().enumerate() {
        assert_eq!(kind.index(), index);
        assert!((400..600).contains(&kind.status()));
    }
}

/// Pieces that streams are made of: whole messages, keep-alives and everything that is nearly one.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just(PAGE.to_owned()),
        3 => Just("A b c\r\nl: 0\r\n\r\n".to_owned()),
        2 => Just("\r\n".to_owned()),
        1 => Just("\r\n\r\n".to_owned()),
        1 => Just("A b c\r\nl: 3\r\nContent-Length: 3\r\n\r\nx".to_owned()),
        1 => Just("A b c\r\n l: 3\r\n\r\n".to_owned()),
        1 => Just("A b c\r\nx: y\r\n z\nl: 0\r\n\r\n".to_owned()),
        1 => "[ab:l0-9 \r\n]{0,40}",
        1 => "[a-z]{60,90}\r\n",
    ]
}

proptest! {
    #[test]
    fn the_cut_into_reads_never_matters(
        pieces in prop::collection::vec(piece(), 0..8),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let stream = pieces.concat();
        prop_assert_eq!(
            read_with(small(), stream.as_bytes(), &[]),
            read_with(small(), stream.as_bytes(), &cuts)
        );
    }

    #[test]
    fn a_request_hidden_behind_a_doubtful_length_never_appears(
        length in prop_oneof![
            Just(String::new()),
            Just("Content-Length: 0\r\nContent-Length: 0\r\n".to_owned()),
            Just("l: 0\r\nContent-Length: 70\r\n".to_owned()),
            "Content-Length: [+-]?[0-9]{1,3}[,; x][0-9]{0,3}[a-z]\r\n",
            "Content-Length: [0-9]{20,40}9\r\n".prop_filter("overflow", |l| l.len() > 50),
        ],
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        let stream = format!("INVITE sip:a SIP/2.0\r\nVia: v\r\n{length}\r\n{PAGE}{PAGE}");
        let read = read_with(FramingLimits::default(), stream.as_bytes(), &cuts);
        prop_assert_eq!(read.frames, vec![]);
        prop_assert!(read.error.is_some());
    }

    #[test]
    fn any_bytes_are_survived_with_bounded_memory(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let limits = small();
        let mut framer = Framer::new(limits);
        let mut buf = BytesMut::new();
        for chunk in bytes.chunks(50) {
            buf.extend_from_slice(chunk);
            while let Ok(Some(_)) = framer.next(&mut buf) {}
            prop_assert!(buf.len() < limits.head + limits.body);
        }
    }
}
