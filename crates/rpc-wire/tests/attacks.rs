//! Attacks on HTTP/2 against the listener: others are served meanwhile, and memory stays bounded. Frames are written by
//! hand, because no client library sends what these do.

#![cfg(test)]

mod rig;

use std::time::Duration;

use rig::{Rig, Way, aor};
use rpc::Freshness;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// How much the process may grow under an attack.
const MAX_GROWTH_KIB: u64 = 64 * 1_024;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `POST http /portico.registrar.v1.Registrar/Lookup` in HPACK without the dynamic table.
fn request_headers() -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    for (index, value) in [(0x04, "/portico.registrar.v1.Registrar/Lookup"), (0x01, "a")] {
        block.extend([index, u8::try_from(value.len()).unwrap()]);
        block.extend(value.as_bytes());
    }
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
        for text in [name, value] {
            if text == name {
                block.push(0);
            }
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

struct Attacker(TcpStream);

impl Attacker {
    async fn new(rig: &Rig) -> Self {
        let address = rig.served.as_ref().unwrap().address;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        Attacker(stream)
    }

    /// Asks as a client would: what is sent here is understood, so that it is the attack that ends a connection.
    async fn is_served(&mut self) {
        let aor = b"alice@example.test";
        let mut message = vec![0, 0, 0, 0, u8::try_from(aor.len() + 2).unwrap(), 0x0a];
        message.push(u8::try_from(aor.len()).unwrap());
        message.extend(aor);
        let mut request = frame(HEADERS, END_HEADERS, 1, &request_headers());
        request.extend(frame(DATA, END_STREAM, 1, &message));
        self.0.write_all(&request).await.unwrap();
        let mut seen = Vec::new();
        let answered = async {
            // `:status 200` is the first byte of the answer's headers.
            while !frames(&seen).any(|(kind, payload)| kind == HEADERS && payload[0] == 0x88) {
                let mut buffer = [0; 4_096];
                let length = self.0.read(&mut buffer).await.unwrap();
                assert_ne!(length, 0, "closed over a request: {:?}", reason_of_goaway(&seen));
                seen.extend_from_slice(&buffer[..length]);
            }
        };
        timeout(Duration::from_secs(3), answered)
            .await
            .expect("an answer");
    }

    /// Sends until all is sent, the server closes, or it takes no more for a second. Returns what was taken, in bytes.
    async fn flood(&mut self, chunks: impl Iterator<Item = Vec<u8>>) -> usize {
        let mut taken = 0;
        for chunk in chunks {
            match timeout(Duration::from_secs(1), self.0.write_all(&chunk)).await {
                Ok(Ok(())) => taken += chunk.len(),
                Ok(Err(_)) | Err(_) => break,
            }
        }
        taken
    }

    /// Reads until the server closes; the reason of the GOAWAY if one came. Panics if it stays open.
    async fn closed(&mut self) -> Option<u32> {
        let mut seen = Vec::new();
        let mut buffer = vec![0; 65_536];
        let reading = async {
            while let Ok(length @ 1..) = self.0.read(&mut buffer).await {
                seen.extend_from_slice(&buffer[..length]);
            }
        };
        timeout(Duration::from_secs(5), reading)
            .await
            .expect("the server closes");
        reason_of_goaway(&seen)
    }
}

/// The whole frames in these bytes: kind and payload.
fn frames(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_be_bytes([0, *bytes.first()?, *bytes.get(1)?, *bytes.get(2)?]) as usize;
        let (kind, payload) = (*bytes.get(3)?, bytes.get(9..9 + length)?);
        bytes = &bytes[9 + length..];
        Some((kind, payload))
    })
}

fn reason_of_goaway(bytes: &[u8]) -> Option<u32> {
    let last = frames(bytes).filter(|(kind, _)| *kind == GOAWAY).last();
    last.map(|(_, payload)| u32::from_be_bytes(payload[4..8].try_into().unwrap()))
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A rig, and what others see of an attack on it.
struct Watched {
    rig: Rig,
    before: u64,
}

impl Watched {
    async fn new() -> Self {
        let rig = Rig::new(Way::Tcp).await;
        serves(&rig).await;
        Watched {
            rig,
            before: resident_kib(),
        }
    }

    /// Runs an attack while somebody else asks, and asks once more afterwards.
    async fn during<T>(&self, attack: impl Future<Output = T>) -> T {
        let others = async {
            loop {
                serves(&self.rig).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let outcome = tokio::select! {
            outcome = attack => outcome,
            () = others => unreachable!("others ask for ever"),
        };
        serves(&self.rig).await;
        let growth = resident_kib().saturating_sub(self.before);
        assert!(growth < MAX_GROWTH_KIB, "the process grew by {growth} KiB");
        outcome
    }
}

async fn serves(rig: &Rig) {
    let alice = aor("alice");
    let found = rig.registrar.lookup(&alice, Freshness::Cached);
    let found = timeout(Duration::from_secs(3), found)
        .await
        .expect("others are served");
    assert!(found.unwrap().is_some());
}

const ENHANCE_YOUR_CALM: u32 = 11;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_reset_ends_the_connection() {
    let watched = Watched::new().await;
    let headers = request_headers();
    let attack = async {
        let mut attacker = Attacker::new(&watched.rig).await;
        attacker.is_served().await;
        let pair = |number: u32| {
            let stream = 2 * number + 3;
            let mut pair = frame(HEADERS, END_HEADERS, stream, &headers);
            pair.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
            pair
        };
        // Many in one write, so that the server meets them together.
        let chunks = (0..1_000).map(|chunk| (0..100).flat_map(|at| pair(chunk * 100 + at)).collect());
        let taken = attacker.flood(chunks).await;
        (taken, attacker.closed().await)
    };
    let (taken, reason) = watched.during(attack).await;
    println!("{taken} bytes were taken, then {reason:?}");
    assert!(taken < 9_000_000, "all 100,000 were taken");
    assert!(matches!(reason, None | Some(ENHANCE_YOUR_CALM)), "{reason:?}");
    watched.rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_continuations_end_the_connection() {
    let watched = Watched::new().await;
    let attack = async {
        let mut attacker = Attacker::new(&watched.rig).await;
        attacker.is_served().await;
        let first = frame(HEADERS, 0, 3, &request_headers());
        // A literal header field of 15,000 bytes in each frame.
        let mut field = vec![0, 1, b'x', 0x7f, 0x99, 0x74];
        field.extend(std::iter::repeat_n(b'y', 15_000));
        let more = frame(CONTINUATION, 0, 3, &field);
        let chunks = std::iter::once(first).chain(std::iter::repeat_n(more, 4_000));
        let taken = attacker.flood(chunks).await;
        (taken, attacker.closed().await)
    };
    let (taken, reason) = watched.during(attack).await;
    println!("{taken} bytes were taken, then {reason:?}");
    assert!(taken < 16 * 1_024 * 1_024, "{taken} bytes of headers were taken");
    watched.rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_pings_and_settings_that_nobody_reads_the_answers_of_are_stood() {
    for (kind, payload) in [(PING, [7_u8; 8].as_slice()), (SETTINGS, [].as_slice())] {
        let watched = Watched::new().await;
        let attack = async {
            let mut attacker = Attacker::new(&watched.rig).await;
            let chunk: Vec<u8> = (0..1_000).flat_map(|_| frame(kind, 0, 0, payload)).collect();
            attacker.is_served().await;
            attacker.flood(std::iter::repeat_n(chunk, 3_000)).await
        };
        let taken = watched.during(attack).await;
        assert!(taken > 100_000, "only {taken} bytes were sent: that was no flood");
        watched.rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_never_end_keep_no_more_than_their_windows() {
    let watched = Watched::new().await;
    let attack = async {
        let mut attacker = Attacker::new(&watched.rig).await;
        let open = |number: u32| frame(HEADERS, END_HEADERS, 2 * number + 1, &request_headers());
        // More streams than a connection may have, each with the beginning of a message of 4 MiB.
        let mut taken = attacker.flood((0..300).map(open)).await;
        let mut begin = vec![0, 0, 0x3f, 0xff, 0xff];
        begin.extend([0; 16_000]);
        let parts = |number: u32| frame(DATA, 0, 2 * (number % 250) + 1, &begin);
        taken += attacker.flood((0..2_000).map(parts)).await;
        taken
    };
    let taken = watched.during(attack).await;
    assert!(taken > 100_000);
    watched.rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_http2_is_closed() {
    let watched = Watched::new().await;
    let attack = async {
        let address = watched.rig.served.as_ref().unwrap().address;
        let long = vec![b'A'; 100_000];
        let beginnings: [&[u8]; 3] = [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\xff", &long];
        for beginning in beginnings {
            let mut attacker = Attacker(TcpStream::connect(address).await.unwrap());
            attacker
                .flood(std::iter::once([beginning, &[0; 64]].concat()))
                .await;
            attacker.closed().await;
        }
        // A frame longer than any may be.
        let mut attacker = Attacker::new(&watched.rig).await;
        attacker
            .flood(std::iter::once(frame(DATA, END_STREAM, 1, &vec![0; 1_000_000])))
            .await;
        attacker.closed().await
    };
    watched.during(attack).await;
    watched.rig.end().await;
}
