//! Which transaction a message belongs to: RFC 3261 sections 17.1.3 and 17.2.3.
//!
//! A key is the compared fields written one after the other, each with its length in front, so that no two lists of
//! fields give the same bytes whatever a peer puts into them. Comparing keys is comparing bytes; nothing is decided
//! by a hash alone.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use sip_types::{HeaderError, HeaderName, Method, Request, Response, SipStr};
use smallvec::SmallVec;

/// A key while it is only looked up: on the stack for all but very long headers.
pub(crate) type KeyBytes = SmallVec<[u8; 256]>;

/// Rules of RFC 3261: the branch is unique.
const BY_BRANCH: u8 = 1;
/// Rules of RFC 2543: there is no branch, or one without the magic cookie.
const BY_FIELDS: u8 = 2;

/// The identity of one transaction of one flow. Cloning counts a reference.
///
/// Equality and order of hashing are those of the compared fields; `serial` tells a transaction from an earlier one
/// that had the same fields, so that a late answer can not reach the wrong one.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) serial: u64,
}

impl Key {
    pub(crate) fn new(bytes: &[u8], serial: u64) -> Self {
        Self {
            bytes: Arc::from(bytes),
            serial,
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

/// A key to look up, without making it one.
#[derive(Hash)]
pub(crate) struct Lookup<'a>(pub(crate) &'a [u8]);

impl Lookup<'_> {
    pub(crate) fn is(&self, key: &Key) -> bool {
        *self.0 == *key.bytes
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.serial)
    }
}

/// The fields that identify a request, read once; keys for several methods can be made of them.
pub(crate) enum RequestIdentity {
    /// A branch with the magic cookie: section 17.2.3, items 1 to 3.
    Branch {
        branch: SipStr,
        host: SipStr,
        port: Option<u16>,
    },
    /// The fields of RFC 2543, for peers that send no such branch. Lync-family clients do so in dialogs and in the
    /// INVITE of an IM.
    Fields(Box<Fields>),
}

/// What RFC 2543 compares.
pub(crate) struct Fields {
    uri: SipStr,
    to_tag: SipStr,
    from_tag: SipStr,
    call_id: SipStr,
    cseq: u32,
    via: SipStr,
}

impl RequestIdentity {
    /// Reads the identity.
    ///
    /// # Errors
    /// A header it needs is missing or malformed.
    pub(crate) fn of(request: &Request) -> Result<Self, HeaderError> {
        let via = request.top_via()?;
        if let Some(branch) = via.transaction_branch() {
            return Ok(Self::Branch {
                branch,
                host: via.host,
                port: via.port,
            });
        }
        Ok(Self::Fields(Box::new(Fields {
            uri: request.uri().clone(),
            // A missing tag and an empty one are the same for RFC 2543 peers.
            to_tag: request.to()?.tag().unwrap_or_default(),
            from_tag: request.from()?.tag().unwrap_or_default(),
            call_id: request.call_id()?,
            cseq: request.cseq()?.number,
            // Verbatim: a peer that repeats a request repeats its text.
            via: request.headers().get(&HeaderName::Via).unwrap_or_default(),
        })))
    }

    /// The key of a server transaction of `method` with these fields. ACK and CANCEL ask for that of INVITE.
    pub(crate) fn key(&self, method: &Method) -> KeyBytes {
        match self {
            Self::Branch { branch, host, port } => {
                let mut key = start(BY_BRANCH, method);
                push(&mut key, branch.as_bytes());
                // Hosts compare without case; Via itself keeps them as written.
                let host_at = key.len();
                push(&mut key, host.as_bytes());
                key.iter_mut()
                    .skip(host_at)
                    .for_each(|byte| byte.make_ascii_lowercase());
                push(&mut key, &port.map_or([0; 3], |port| [1, high(port), low(port)]));
                key
            }
            Self::Fields(fields) => fields.key(method, &fields.to_tag),
        }
    }

    /// For an ACK by the rules of RFC 2543: the INVITE it acknowledges had no To tag yet, the ACK has that of the
    /// response. Gives the INVITE's key and the tag its response must have; `None` where it does not apply.
    pub(crate) fn key_of_untagged_invite(&self) -> Option<(KeyBytes, &SipStr)> {
        match self {
            Self::Fields(fields) if !fields.to_tag.is_empty() => {
                Some((fields.key(&Method::Invite, &SipStr::default()), &fields.to_tag))
            }
            _ => None,
        }
    }
}

impl Fields {
    fn key(&self, method: &Method, to_tag: &SipStr) -> KeyBytes {
        let mut key = start(BY_FIELDS, method);
        for field in [&self.uri, to_tag, &self.from_tag, &self.call_id, &self.via] {
            push(&mut key, field.as_bytes());
        }
        push(&mut key, &self.cseq.to_be_bytes());
        key
    }
}

/// The key of a client transaction: our own branch, and the method, since a CANCEL has the branch of its INVITE.
pub(crate) fn client_key(branch: &str, method: &Method) -> KeyBytes {
    let mut key = start(BY_BRANCH, method);
    push(&mut key, branch.as_bytes());
    key
}

/// The key of the client transaction a response belongs to (section 17.1.3).
///
/// # Errors
/// The response has no readable Via with a branch, or no CSeq.
pub(crate) fn key_of_response(response: &Response) -> Result<KeyBytes, HeaderError> {
    let branch = response
        .top_via()?
        .branch()
        .ok_or(HeaderError::Missing(HeaderName::Via))?;
    Ok(client_key(&branch, &response.cseq()?.method))
}

fn start(rules: u8, method: &Method) -> KeyBytes {
    let mut key = KeyBytes::new();
    key.push(rules);
    push(&mut key, method.as_str().as_bytes());
    key
}

fn push(key: &mut KeyBytes, field: &[u8]) {
    // A head is shorter than 4 GiB by the limits of the parser.
    let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
    key.extend_from_slice(&length.to_be_bytes());
    key.extend_from_slice(field);
}

const fn high(port: u16) -> u8 {
    port.to_be_bytes()[0]
}

const fn low(port: u16) -> u8 {
    port.to_be_bytes()[1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::request;

    fn key(text: &str) -> KeyBytes {
        let request = request(text);
        RequestIdentity::of(&request).unwrap().key(request.method())
    }

    const BRANCH: &str = "MESSAGE sip:bob@example.test SIP/2.0\r\nVia: SIP/2.0/TLS Alice.example.test;branch=z9hG4bK1\r\n\
        From: <sip:alice@example.test>;tag=a\r\nTo: <sip:bob@example.test>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\n\r\n";

    #[test]
    fn with_a_branch_nothing_but_branch_sent_by_and_method_counts() {
        let same = BRANCH
            .replace("bob", "carol")
            .replace("tag=a", "tag=b")
            .replace("Call-ID: 1", "Call-ID: 2");
        assert_eq!(key(BRANCH), key(&same));
        assert_eq!(
            key(BRANCH),
            key(&BRANCH.replace("Alice", "alice")),
            "host without case"
        );
        assert_eq!(
            key(BRANCH),
            key(&BRANCH.replace("TLS", "tls")),
            "transport is not of sent-by"
        );
        assert_ne!(key(BRANCH), key(&BRANCH.replace("z9hG4bK1", "z9hG4bK2")));
        assert_ne!(key(BRANCH), key(&BRANCH.replace("Alice", "other")));
        assert_ne!(
            key(BRANCH),
            key(&BRANCH.replace(".test;branch", ".test:5061;branch"))
        );
        assert_ne!(key(BRANCH), key(&BRANCH.replace("MESSAGE", "INFO")));
    }

    #[test]
    fn without_a_cookie_all_fields_of_rfc_2543_count() {
        for old in [
            BRANCH.replace(";branch=z9hG4bK1", ""),
            BRANCH.replace("z9hG4bK1", "1"),
            BRANCH.replace("K1", "K"),
        ] {
            assert_eq!(key(&old), key(&old));
            assert_ne!(key(&old), key(BRANCH));
            for (from, to) in [
                ("MESSAGE sip:bob", "MESSAGE sip:carol"),
                ("To: <sip:bob@example.test>", "To: <sip:bob@example.test>;tag=b"),
                ("tag=a", "tag=b"),
                ("Call-ID: 1", "Call-ID: 2"),
                ("CSeq: 1", "CSeq: 2"),
                ("MESSAGE", "INFO"),
                ("Alice", "alice"),
            ] {
                assert_ne!(key(&old), key(&old.replace(from, to)), "{from}");
            }
        }
    }

    #[test]
    fn fields_can_not_flow_into_each_other() {
        let old = BRANCH.replace(";branch=z9hG4bK1", "");
        let one = old.replace("tag=a", "tag=ab").replace("Call-ID: 1", "Call-ID: c");
        let two = old.replace("Call-ID: 1", "Call-ID: bc");
        assert_ne!(key(&one), key(&two));
    }

    #[test]
    fn a_request_without_via_has_no_identity() {
        let request = request(&BRANCH.replace("Via:", "X-Via:"));
        assert!(RequestIdentity::of(&request).is_err());
    }
}
