//! The identity of a message, given once at the sender's front end.

use rpc::{EndpointId, MessageId};
use sha2::{Digest as _, Sha256};
use sip_types::{AddressOfRecord, Request};

/// What makes two transmissions the same message.
pub(crate) struct Source<'a> {
    /// Authenticated sender.
    pub(crate) sender: &'a AddressOfRecord,
    /// Its endpoint.
    pub(crate) endpoint: &'a EndpointId,
    /// Recipient.
    pub(crate) to: &'a AddressOfRecord,
    /// The sender's own message id, if it gave one.
    pub(crate) own_id: Option<&'a str>,
}

/// Makes the id: the sender's own id bound to the sender, else a digest of sender, endpoint, Call-ID, CSeq, From tag,
/// body and conversation. Lync-family clients started in the same second share Call-IDs and tags, hence the sender; a
/// text repeated under a new CSeq without an own id is a new message.
pub(crate) fn message_id(source: &Source<'_>, request: &Request) -> MessageId {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    add(source.sender.as_str().as_bytes());
    add(source.to.as_str().as_bytes());
    match source.own_id {
        Some(id) => add(id.as_bytes()),
        None => {
            add(source.endpoint.as_str().as_bytes());
            for part in [request.call_id().ok(), request.headers().from_tag()]
                .into_iter()
                .flatten()
            {
                add(part.as_bytes());
            }
            add(&request.cseq().map_or(0, |cseq| cseq.number).to_be_bytes());
            add(request.body());
        }
    }
    let digest = hash.finalize();
    let first = digest
        .iter()
        .take(16)
        .fold(0, |number: u128, byte| (number << 8) | u128::from(*byte));
    MessageId(first)
}
