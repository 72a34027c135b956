//! [`ReplyParts`]: what a response needs from a request, read from a head that is otherwise broken.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use super::{Response, ResponseBuilder};
use crate::header::name::lookup;
use crate::header::typed::{CSeq, CallId, From, To, Via};
use crate::header::{HeaderName, TypedHeader};
use crate::limits;
use crate::method::Method;
use crate::status::StatusCode;
use crate::syntax::{split_list, trim};
use crate::text::SipStr;

/// The headers that a response takes over from its request (RFC 3261 section 8.2.6.2), parsed: what is printed from
/// them contains nothing of a peer's bytes that was not understood.
#[derive(Clone, Debug)]
pub struct ReplyParts {
    /// All hops.
    pub via: Vec<Via>,
    /// The sender.
    pub from: From,
    /// The recipient.
    pub to: To,
    /// The call.
    pub call_id: CallId,
    /// The request's number and method.
    pub cseq: CSeq,
}

impl ReplyParts {
    /// Reads what it can from the lines of `head`. `None` unless all parts are there, once and well-formed, and this is
    /// a request other than ACK.
    pub fn salvage(head: &[u8]) -> Option<Self> {
        // No more work is done for a hostile head than for a good one.
        let head = head.get(..head.len().min(limits::HEAD))?;
        let mut fields = fields(head)?;
        let parts = Self {
            via: vias(&mut fields)?,
            from: single(&fields)?,
            to: single(&fields)?,
            call_id: single(&fields)?,
            cseq: single(&fields)?,
        };
        (parts.cseq.method != Method::Ack).then_some(parts)
    }

    /// Starts the answer. Its To tag is made from the request, so that a repeated request gets the same
    /// (RFC 3261 section 8.2.7).
    pub fn response(&self, status: StatusCode) -> ResponseBuilder {
        let mut builder = Response::builder(status);
        for via in &self.via {
            builder = builder.typed(via);
        }
        let builder = builder
            .typed(&self.from)
            .typed(&self.to)
            .typed(&self.call_id)
            .typed(&self.cseq);
        builder.to_tag(&self.stateless_tag())
    }

    fn stateless_tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.via.first().and_then(Via::branch).hash(&mut hasher);
        self.from.tag().hash(&mut hasher);
        self.call_id.hash(&mut hasher);
        self.cseq.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// The fields with names we need: name table position and unfolded value. Lines that are not clean are left out.
fn fields(head: &[u8]) -> Option<Vec<(u8, SipStr)>> {
    let wanted = [
        HeaderName::Via,
        HeaderName::From,
        HeaderName::To,
        HeaderName::CallId,
        HeaderName::CSeq,
    ];
    let mut lines = std::str::from_utf8(head).map_or_else(
        |_| lossy_lines(head),
        |text| text.split("\r\n").map(Some).collect(),
    );
    lines.truncate(limits::HEADER_FIELDS.saturating_mul(2));
    let mut lines = lines.into_iter();
    let start = lines.next()??;
    if start
        .get(..4)
        .is_none_or(|start| start.eq_ignore_ascii_case("SIP/"))
    {
        return None;
    }
    let mut fields: Vec<(u8, String)> = Vec::new();
    let mut open = false;
    for line in lines {
        match line {
            Some("") => break,
            Some(line) if line.starts_with([' ', '\t']) => {
                if let Some((_, value)) = fields.last_mut().filter(|_| open) {
                    value.push(' ');
                    value.push_str(trim(line));
                }
            }
            Some(line) => {
                let named = crate::syntax::cut(line, b':')
                    .map(|(name, value)| (lookup(trim(name).as_bytes()), value));
                open = named.is_some_and(|(id, _)| wanted.iter().any(|name| name.id() == id));
                if let Some((id, value)) = named.filter(|_| open) {
                    fields.push((id, trim(value).to_owned()));
                }
            }
            None => open = false,
        }
    }
    let clean = |value: &str| {
        value.len() <= limits::HEADER_LINE && !value.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
    };
    Some(
        fields
            .into_iter()
            .filter(|(_, value)| clean(value))
            .map(|(id, value)| (id, value.into()))
            .collect(),
    )
}

/// The lines of a head that is not UTF-8 as a whole; `None` for those that are not.
fn lossy_lines(head: &[u8]) -> Vec<Option<&str>> {
    let mut lines = Vec::new();
    let mut from = 0usize;
    for end in memchr::memmem::find_iter(head, b"\r\n").chain([head.len()]) {
        lines.push(
            head.get(from..end)
                .and_then(|line| std::str::from_utf8(line).ok()),
        );
        from = end.saturating_add(2);
    }
    lines
}

fn vias(fields: &mut [(u8, SipStr)]) -> Option<Vec<Via>> {
    let mut all = Vec::new();
    for (_, value) in fields.iter().filter(|(id, _)| *id == HeaderName::Via.id()) {
        for item in split_list(value) {
            all.push(Via::parse(&value.slice_of(item.ok()?)).ok()?);
        }
    }
    (!all.is_empty()).then_some(all)
}

fn single<H: TypedHeader>(fields: &[(u8, SipStr)]) -> Option<H> {
    let id = H::NAME.id();
    let mut values = fields.iter().filter(|(known, _)| *known == id);
    let (_, value) = values.next()?;
    if values.next().is_some() {
        return None;
    }
    H::parse(value).ok()
}
