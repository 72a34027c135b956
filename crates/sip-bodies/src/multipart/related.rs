//! [`Related`]: parts that belong together, `multipart/related` (RFC 2387), printed.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use thiserror::Error;

use crate::media_type::is_token;

/// What the client wants that gets the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RelatedStyle {
    /// By the RFCs, with a boundary that is not quoted: Linphone 5.1 takes quotes for a part of it.
    Standard,
    /// For liblinphone 5.1, which finds a part by `Content-Id`, in this spelling and without angle brackets, and nothing else.
    Linphone,
    /// For Lync-family clients, whose parser drops the last four bytes before each delimiter: a line break more at
    /// the end of each part (without it the XML is cut and nothing of it is shown), and `start` without quotes and
    /// angle brackets wherever it can be.
    LyncFamily,
}

/// One part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RelatedPart {
    /// What other parts call it by, without angle brackets; `cid` in RLMI.
    pub content_id: String,
    /// Its content type, with parameters.
    pub content_type: String,
    /// Its content.
    pub body: Bytes,
}

/// Why parts can not be put together. A mistake of the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum RelatedError {
    /// A Content-ID is empty or has characters that would end it.
    #[error("content id of a part")]
    ContentId,
    /// A content type is empty or has control characters or quotes where it is to be quoted.
    #[error("content type of a part")]
    ContentType,
}

/// Parts that belong together, the first of which says how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Related {
    root: RelatedPart,
    others: Vec<RelatedPart>,
    style: RelatedStyle,
    boundary: String,
}

impl Related {
    /// Puts parts together behind `root`, and finds a boundary that is in none of them.
    ///
    /// # Errors
    /// [`RelatedError`] if an id or type can not stand in a header field.
    pub fn new(
        root: RelatedPart,
        others: Vec<RelatedPart>,
        style: RelatedStyle,
    ) -> Result<Self, RelatedError> {
        for part in std::iter::once(&root).chain(&others) {
            let is_id = |byte: u8| byte.is_ascii_graphic() && !b"<>\"\\".contains(&byte);
            if part.content_id.is_empty() || !part.content_id.bytes().all(is_id) {
                return Err(RelatedError::ContentId);
            }
            if part.content_type.is_empty() || part.content_type.chars().any(char::is_control) {
                return Err(RelatedError::ContentType);
            }
        }
        // It is quoted in the parameter `type`.
        if essence(&root).contains(['"', '\\']) {
            return Err(RelatedError::ContentType);
        }
        let boundary = free_boundary(std::iter::once(&root).chain(&others));
        Ok(Self {
            root,
            others,
            style,
            boundary,
        })
    }

    /// The value of Content-Type for the body.
    pub fn content_type(&self) -> String {
        let (kind, start, boundary) = (essence(&self.root), &self.root.content_id, &self.boundary);
        if self.style == RelatedStyle::LyncFamily && is_token(start) {
            format!("multipart/related;type=\"{kind}\";start={start};boundary={boundary}")
        } else {
            format!("multipart/related;type=\"{kind}\";start=\"<{start}>\";boundary={boundary}")
        }
    }

    /// Writes the body.
    pub fn print(&self) -> Bytes {
        let parts = || std::iter::once(&self.root).chain(&self.others);
        let headers = |part: &RelatedPart| part.content_id.len() + part.content_type.len() + 128;
        let length = parts().map(|part| headers(part) + part.body.len()).sum::<usize>();
        let (id_is, id_ends) = match self.style {
            RelatedStyle::Standard | RelatedStyle::LyncFamily => ("Content-ID: <", ">\r\n"),
            RelatedStyle::Linphone => ("Content-Id: ", "\r\n"),
        };
        let mut body = BytesMut::with_capacity(length + 32);
        for part in parts() {
            for piece in [
                "--",
                &self.boundary,
                "\r\nContent-Transfer-Encoding: binary\r\n",
                id_is,
                &part.content_id,
                id_ends,
                "Content-Type: ",
                &part.content_type,
                "\r\n\r\n",
            ] {
                body.extend_from_slice(piece.as_bytes());
            }
            body.extend_from_slice(&part.body);
            if self.style == RelatedStyle::LyncFamily {
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"\r\n");
        }
        for piece in ["--", &self.boundary, "--\r\n"] {
            body.extend_from_slice(piece.as_bytes());
        }
        body.freeze()
    }
}

/// Type and subtype of a part.
fn essence(part: &RelatedPart) -> &str {
    part.content_type.split(';').next().unwrap_or_default().trim()
}

const BOUNDARY_START: &str = "part-";

/// What it looks like in a body: two dashes before it.
const DELIMITER_START: &[u8] = b"--part-";

/// `part-N_` with the smallest number that no part has behind two dashes. One pass: a peer that fills its part with
/// what we might choose only makes the number larger.
fn free_boundary<'p>(parts: impl Iterator<Item = &'p RelatedPart>) -> String {
    let taken: BTreeSet<u32> = parts.flat_map(|part| taken_numbers(&part.body)).collect();
    let free = (0_u32..).zip(&taken).find(|(number, taken)| number != *taken);
    let number = free.map_or_else(
        || u32::try_from(taken.len()).unwrap_or(u32::MAX),
        |(number, _)| number,
    );
    format!("{BOUNDARY_START}{number}_")
}

fn taken_numbers(body: &[u8]) -> impl Iterator<Item = u32> {
    memmem::find_iter(body, DELIMITER_START).filter_map(|at| {
        let rest = body.get(at + DELIMITER_START.len()..)?;
        // No number of ours has more than ten digits.
        let digits = rest
            .iter()
            .take(10)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parts;
    use super::*;
    use crate::media_type::MediaType;

    fn part(content_id: &str, content_type: &str, body: &str) -> RelatedPart {
        RelatedPart {
            content_id: content_id.to_owned(),
            content_type: content_type.to_owned(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn related(style: RelatedStyle) -> Related {
        let root = part("list", "application/rlmi+xml;charset=\"UTF-8\"", "<list/>");
        let state = part("bob@example.test", "application/pidf+xml", "<presence/>");
        Related::new(root, vec![state], style).unwrap()
    }

    #[test]
    fn the_standard_form_has_no_quotes_around_its_boundary() {
        let related = related(RelatedStyle::Standard);
        assert_eq!(
            related.content_type(),
            "multipart/related;type=\"application/rlmi+xml\";start=\"<list>\";boundary=part-0_"
        );
        assert_eq!(
            related.print(),
            "--part-0_\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <list>\r\nContent-Type: \
             application/rlmi+xml;charset=\"UTF-8\"\r\n\r\n<list/>\r\n--part-0_\r\nContent-Transfer-Encoding: \
             binary\r\nContent-ID: <bob@example.test>\r\nContent-Type: application/pidf+xml\r\n\r\n<presence/>\r\n\
             --part-0_--\r\n"
        );
    }

    #[test]
    fn parts_for_linphone_have_names_it_finds() {
        let body = related(RelatedStyle::Linphone).print();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(
            text.contains("\r\nContent-Id: bob@example.test\r\nContent-Type: application/pidf+xml\r\n\r\n"),
            "{text}"
        );
        assert!(text.ends_with("<presence/>\r\n--part-0_--\r\n"), "{text}");
    }

    #[test]
    fn parts_for_lync_family_clients_end_with_a_line_break_of_their_own() {
        let related = related(RelatedStyle::LyncFamily);
        assert_eq!(
            related.content_type(),
            "multipart/related;type=\"application/rlmi+xml\";start=list;boundary=part-0_"
        );
        let body = related.print();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(text.contains("<list/>\r\n\r\n--part-0_\r\n"), "{text}");
        assert!(text.ends_with("<presence/>\r\n\r\n--part-0_--\r\n"), "{text}");
    }

    #[test]
    fn a_batch_answer_is_printed_as_clients_read_it() {
        let root = part("resourceList", "application/rlmi+xml", "<list/>");
        let state = part(
            "bob@example.test",
            "application/msrtc-event-categories+xml",
            "<categories/>",
        );
        let answer = Related::new(root, vec![state], RelatedStyle::LyncFamily).unwrap();
        assert_eq!(
            answer.content_type(),
            "multipart/related;type=\"application/rlmi+xml\";start=resourceList;boundary=part-0_"
        );
        assert_eq!(
            answer.print(),
            "--part-0_\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <resourceList>\r\n\
             Content-Type: application/rlmi+xml\r\n\r\n<list/>\r\n\r\n--part-0_\r\n\
             Content-Transfer-Encoding: binary\r\nContent-ID: <bob@example.test>\r\n\
             Content-Type: application/msrtc-event-categories+xml\r\n\r\n<categories/>\r\n\r\n--part-0_--\r\n"
        );
    }

    #[test]
    fn an_id_that_is_no_token_is_quoted_for_lync_family_clients_too() {
        for id in ["a;boundary=b", "bob@example.test", "a/b", "a=b"] {
            let root = part(id, "text/plain", "");
            let content_type = Related::new(root, vec![], RelatedStyle::LyncFamily)
                .unwrap()
                .content_type();
            assert!(
                content_type.contains(&format!(";start=\"<{id}>\";boundary=part-0_")),
                "{content_type}"
            );
        }
    }

    #[test]
    fn a_part_can_not_hold_the_boundary() {
        let taken = "--part-0_\r\n\r\n--part-1\r\n--part-3_--part-99999999999999999999_--part-x--";
        let body = Related::new(part("a", "text/plain", taken), vec![], RelatedStyle::Standard).unwrap();
        assert!(body.content_type().ends_with("boundary=part-2_"));
        let found = parts(&body.content_type(), &body.print()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].body, taken);
    }

    #[test]
    fn ids_and_types_that_break_out_are_refused() {
        for id in ["", "a b", "a>", "<a", "a\r\nb", "ä", "a\""] {
            let outcome = Related::new(part(id, "text/plain", ""), vec![], RelatedStyle::Standard);
            assert_eq!(outcome, Err(RelatedError::ContentId), "{id:?}");
        }
        for kind in ["", "text/plain\r\nX: y", "text/\"plain\""] {
            let outcome = Related::new(part("a", kind, ""), vec![], RelatedStyle::Standard);
            assert_eq!(outcome, Err(RelatedError::ContentType), "{kind:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_put_together_is_taken_apart(
            bodies in proptest::collection::vec("(--part-[0-3]_?(--)?|[a-z]|\r\n){0,8}", 1..6),
            is_lync: bool,
        ) {
            let style = if is_lync { RelatedStyle::LyncFamily } else { RelatedStyle::Standard };
            let mut all: Vec<_> = bodies.iter().map(|body| part("x", "text/plain", body)).collect();
            let related = Related::new(all.remove(0), all, style).unwrap();
            let content_type = related.content_type();
            let media = MediaType::parse(&content_type).unwrap();
            let kind = media.parameter("type");
            prop_assert_eq!(kind.as_deref(), Some("text/plain"));
            let found = parts(&content_type, &related.print()).unwrap();
            let found: Vec<_> = found.into_iter().map(|part| part.body).collect();
            let ending = if is_lync { "\r\n" } else { "" };
            let sent: Vec<_> = bodies.iter().map(|body| format!("{body}{ending}")).collect();
            prop_assert_eq!(found, sent);
        }
    }
}
