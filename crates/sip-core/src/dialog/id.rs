//! [`DialogId`]: which dialog a message is in.

use sip_types::{HeaderError, Request, Response, SipStr};

/// Call-ID and both tags (RFC 3261 section 12), seen from our end.
///
/// A tag may be empty: peers of RFC 2543 have none (section 12.1.1). They are compared byte by byte.
///
/// Identical ids of different users do occur (Lync-family clients seed them with the second they start in), so a
/// table of dialogs must have the flow or the user in its key as well.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DialogId {
    /// `Call-ID`.
    pub call_id: SipStr,
    /// The tag of our end.
    pub local_tag: SipStr,
    /// The tag of the other end.
    pub remote_tag: SipStr,
}

impl DialogId {
    /// The dialog a peer's request is in: its To tag is ours.
    ///
    /// # Errors
    /// Call-ID, From or To is missing or malformed.
    pub fn of_request(request: &Request) -> Result<Self, HeaderError> {
        Ok(Self {
            call_id: request.call_id()?,
            local_tag: request.to()?.tag().unwrap_or_default(),
            remote_tag: request.from()?.tag().unwrap_or_default(),
        })
    }

    /// The dialog a peer's response to our request is in: its From tag is ours.
    ///
    /// # Errors
    /// Call-ID, From or To is missing or malformed.
    pub fn of_response(response: &Response) -> Result<Self, HeaderError> {
        Ok(Self {
            call_id: response.call_id()?,
            local_tag: response.from()?.tag().unwrap_or_default(),
            remote_tag: response.to()?.tag().unwrap_or_default(),
        })
    }

    /// The same id in buffers of its own, for a table that outlives the message.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self {
            call_id: self.call_id.detach(),
            local_tag: self.local_tag.detach(),
            remote_tag: self.remote_tag.detach(),
        }
    }
}
