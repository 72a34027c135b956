//! Presence as the switchboard has it: a board of documents as they were published, and who looks at which.
//!
//! A change goes to everybody who looks, at once and as it is. Nothing is merged, paced, refused or ended.

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use sip_transport::Connection;
use sip_types::{HeaderName, Request, Response, StatusCode};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Between the documents of a list.
const BOUNDARY: &str = "switchboard";

/// Documents, and who looks at them, by the URI.
#[derive(Debug, Default)]
pub(super) struct Board {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    documents: HashMap<String, Bytes>,
    watchers: HashMap<String, Vec<Arc<Watcher>>>,
}

/// One subscription.
#[derive(Debug)]
struct Watcher {
    connection: Arc<Connection>,
    /// Where to, and the header lines that are the same each time.
    target: String,
    lines: String,
    number: AtomicU32,
    is_list: bool,
}

impl Board {
    /// Takes a PUBLISH.
    pub(super) fn publish(&self, request: &Request) -> Response {
        let user = request.uri().to_string();
        let document = Bytes::copy_from_slice(request.body());
        let mut inner = self.inner.lock();
        inner.documents.insert(user.clone(), document.clone());
        for watcher in inner.watchers.get(&user).into_iter().flatten() {
            watcher.notify(&[&document]);
        }
        request
            .reply(StatusCode::OK)
            .to_tag("switchboard")
            .header(HeaderName::SipEtag, "any")
            .header(HeaderName::Expires, 3600)
            .build()
    }

    /// Takes a SUBSCRIBE. None: it makes no dialog.
    pub(super) fn subscribe(&self, connection: &Arc<Connection>, request: &Request) -> Option<Response> {
        let value = |name: &HeaderName| request.headers().get(name).map(|value| value.to_string());
        let users = match request.body().is_empty() {
            true => vec![request.uri().to_string()],
            false => entries(request.body()),
        };
        let contact = value(&HeaderName::Contact)?;
        let watcher = Arc::new(Watcher {
            connection: Arc::clone(connection),
            target: contact.trim_matches(['<', '>']).to_owned(),
            lines: format!(
                "From: {};tag=switchboard\r\nTo: {}\r\nCall-ID: {}\r\nContact: <sip:switchboard@127.0.0.1>\r\n\
                 Event: presence\r\nSubscription-State: active;expires=3600\r\n",
                value(&HeaderName::To)?,
                value(&HeaderName::From)?,
                value(&HeaderName::CallId)?
            ),
            number: AtomicU32::new(0),
            is_list: !request.body().is_empty(),
        });
        let ok = request
            .reply(StatusCode::OK)
            .to_tag("switchboard")
            .header(HeaderName::Contact, "<sip:switchboard@127.0.0.1>")
            .header(HeaderName::Expires, 3600)
            .build();
        // Before the first NOTIFY; a connection that is gone is told nothing.
        let _ = connection.send(ok.head().clone(), ok.body().clone());
        let mut inner = self.inner.lock();
        let documents: Vec<&Bytes> = users
            .iter()
            .filter_map(|user| inner.documents.get(user))
            .collect();
        watcher.notify(&documents);
        for user in users {
            let watchers = inner.watchers.entry(user).or_default();
            watchers.push(Arc::clone(&watcher));
        }
        None
    }

    /// A connection is closed.
    pub(super) fn forget(&self, connection: &Connection) {
        for watchers in self.inner.lock().watchers.values_mut() {
            watchers.retain(|watcher| watcher.connection.id() != connection.id());
        }
    }
}

impl Watcher {
    fn notify(&self, documents: &[&Bytes]) {
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        let (content_type, body) = match (documents, self.is_list) {
            ([document], false) => ("application/pidf+xml", Bytes::clone(document)),
            ([], _) => ("", Bytes::new()),
            _ => ("multipart/related;boundary=switchboard", together(documents)),
        };
        let mut head = BytesMut::with_capacity(512);
        // Writing to memory does not fail.
        let _ = write!(
            head,
            "NOTIFY {} SIP/2.0\r\nVia: SIP/2.0/TLS {};branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n{}CSeq: {number} NOTIFY\r\n",
            self.target,
            self.connection.local(),
            self.lines
        );
        if !content_type.is_empty() {
            let _ = write!(head, "Content-Type: {content_type}\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
        // A connection that is gone is told nothing.
        let _ = self.connection.send(head.freeze(), body);
    }
}

fn together(documents: &[&Bytes]) -> Bytes {
    let mut body = BytesMut::new();
    for document in documents {
        let _ = write!(body, "--{BOUNDARY}\r\nContent-Type: application/pidf+xml\r\n\r\n");
        body.extend_from_slice(document);
        body.extend_from_slice(b"\r\n");
    }
    let _ = write!(body, "--{BOUNDARY}--\r\n");
    body.freeze()
}

/// The members of a list, as this tool writes them.
fn entries(list: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(list).unwrap_or_default();
    let entries = text.split("<entry uri=\"").skip(1);
    entries
        .filter_map(|entry| entry.split_once('"').map(|(uri, _)| uri.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_its_documents_stand_together() {
        let list = b"<list><entry uri=\"sip:a@b\"/><entry uri=\"sip:c@d\"/></list>";
        assert_eq!(entries(list), ["sip:a@b", "sip:c@d"]);
        let (one, other) = (Bytes::from("one"), Bytes::from("other"));
        let body = together(&[&one, &other]);
        let text = std::str::from_utf8(&body).unwrap();
        assert_eq!(text.matches("--switchboard\r\n").count(), 2);
        assert!(text.contains("\r\n\r\nother\r\n--switchboard--\r\n"), "{text}");
    }
}
