//! Conversation text: which content types are text, in which character set, and how a client that takes only
//! `text/plain` gets to read it.

use std::borrow::Cow;

use bytes::Bytes;

use crate::BodyError;
use crate::media_type::MediaType;
use crate::multipart;

/// The content type of plain text as we write it.
pub const PLAIN: &str = "text/plain;charset=UTF-8";

/// The forms in which people's words travel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TextForm {
    /// `text/plain`.
    Plain,
    /// `text/html`.
    Html,
    /// `text/rtf`.
    Rtf,
    /// `multipart/alternative` or `multipart/related`: the same words in several forms, or with pictures.
    Multipart,
}

impl TextForm {
    /// The form of a body of this content type; `None` if such a body is not conversation text. (CPIM is an
    /// envelope: ask for the type of its content.)
    pub fn of(content_type: &str) -> Option<Self> {
        let media = MediaType::parse(content_type)?;
        let forms = [
            ("text/plain", TextForm::Plain),
            ("text/html", TextForm::Html),
            ("text/rtf", TextForm::Rtf),
            ("multipart/alternative", TextForm::Multipart),
            ("multipart/related", TextForm::Multipart),
        ];
        forms
            .into_iter()
            .find(|(essence, _)| media.is(essence))
            .map(|(_, form)| form)
    }
}

/// `content_type` without the font of Lync-family clients (`msgr`), which is noise to every other client.
pub fn without_font(content_type: &str) -> Cow<'_, str> {
    match MediaType::parse(content_type) {
        Some(media) if media.parameter("msgr").is_some() => Cow::Owned(media.without("msgr")),
        _ => Cow::Borrowed(content_type),
    }
}

/// The text of a `text/...` body in its character set. Absent means UTF-8 (RFC 3428 section 10 asks for it).
///
/// # Errors
/// [`BodyError::Malformed`] if the bytes are not in that set, [`BodyError::Unsupported`] if we do not read the set.
pub fn decode<'a>(content_type: &str, body: &'a [u8]) -> Result<Cow<'a, str>, BodyError> {
    let charset =
        MediaType::parse(content_type).and_then(|media| media.parameter("charset").map(Cow::into_owned));
    match charset.unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "utf-8" | "utf8" | "us-ascii" => std::str::from_utf8(body)
            .map(Cow::Borrowed)
            .map_err(|_| BodyError::Malformed("text that is not UTF-8")),
        // The first 256 code points of Unicode are this set.
        "iso-8859-1" => Ok(Cow::Owned(body.iter().copied().map(char::from).collect())),
        _ => Err(BodyError::Unsupported("character set")),
    }
}

/// The body for a client that takes only `text/plain`, in UTF-8. Plain UTF-8 text is passed on without a copy; of a
/// multipart body the plain part is taken, else the HTML.
///
/// # Errors
/// [`BodyError::Unsupported`] if no plain text can be had from this type, else as [`decode`] and
/// [`multipart::parts`].
pub fn to_plain(content_type: &str, body: &Bytes) -> Result<Bytes, BodyError> {
    to_plain_within(content_type, body, MULTIPART_DEPTH)
}

/// How deep one multipart body may stand in another: `related` around `alternative` is all that clients send.
const MULTIPART_DEPTH: usize = 2;

fn to_plain_within(content_type: &str, body: &Bytes, depth: usize) -> Result<Bytes, BodyError> {
    match TextForm::of(content_type) {
        Some(TextForm::Plain) => Ok(match decode(content_type, body)? {
            Cow::Borrowed(_) => body.clone(),
            Cow::Owned(text) => Bytes::from(text),
        }),
        Some(TextForm::Html) => Ok(Bytes::from(html_to_plain(&decode(content_type, body)?))),
        Some(TextForm::Multipart) if depth > 0 => plainest_part(content_type, body, depth - 1),
        Some(TextForm::Multipart | TextForm::Rtf) | None => {
            Err(BodyError::Unsupported("no plain text in this type"))
        }
    }
}

fn plainest_part(content_type: &str, body: &Bytes, depth: usize) -> Result<Bytes, BodyError> {
    let parts = multipart::parts(content_type, body)?;
    for form in [TextForm::Plain, TextForm::Html, TextForm::Multipart] {
        let found = parts
            .iter()
            .find(|part| part.is_plain_encoding && TextForm::of(&part.content_type) == Some(form));
        if let Some(part) = found {
            return to_plain_within(&part.content_type, &part.body, depth);
        }
    }
    Err(BodyError::Unsupported("no plain text in any part"))
}

/// The words of an HTML fragment: tags dropped, breaks and blocks turned into line ends, basic entities decoded.
///
/// For reading only. The result is plain text and must be escaped again before it goes into any markup. It is
/// never longer than the input.
pub fn html_to_plain(html: &str) -> String {
    let mut plain = PlainText::default();
    let mut rest = html;
    while let Some(position) = rest.find(['<', '&']) {
        let (before, markup) = rest.split_at(position);
        plain.push_words(before);
        rest = if markup.starts_with('&') {
            plain.take_entity(markup)
        } else {
            plain.take_tag(markup)
        };
    }
    plain.push_words(rest);
    plain.text.truncate(plain.text.trim_end().len());
    plain.text
}

/// Collects words with the white space rules of HTML: runs count as one blank, none at the start of a line.
#[derive(Default)]
struct PlainText {
    text: String,
    blank_before_next: bool,
}

impl PlainText {
    fn push_words(&mut self, words: &str) {
        words.chars().for_each(|character| self.push(character));
    }

    fn push(&mut self, character: char) {
        if character.is_ascii_whitespace() {
            self.blank_before_next = true;
            return;
        }
        if std::mem::take(&mut self.blank_before_next) && !self.at_line_start() {
            self.text.push(' ');
        }
        self.text.push(character);
    }

    fn break_line(&mut self) {
        self.blank_before_next = false;
        self.text.push('\n');
    }

    fn at_line_start(&self) -> bool {
        self.text.is_empty() || self.text.ends_with('\n')
    }

    /// `markup` begins with `&`. Gives what follows the entity.
    fn take_entity<'a>(&mut self, markup: &'a str) -> &'a str {
        // No entity we know is longer than `&#x10ffff;`.
        let end = markup.bytes().take(10).position(|byte| byte == b';');
        let decoded = end.and_then(|end| Some((decode_entity(markup.get(1..end)?)?, markup.get(end + 1..)?)));
        match decoded {
            Some((character, after)) => {
                self.push(character);
                after
            }
            None => {
                self.push('&');
                markup.get(1..).unwrap_or_default()
            }
        }
    }

    /// `markup` begins with `<`. Gives what follows the tag, or follows the element if nobody should read it.
    fn take_tag<'a>(&mut self, markup: &'a str) -> &'a str {
        if markup.starts_with("<!--") {
            return after_first(markup, "-->");
        }
        let inner = markup.get(1..).unwrap_or_default();
        let is_tag = inner.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
        if !is_tag {
            self.push('<');
            return inner;
        }
        let name = tag_name(inner);
        let after = after_first(inner, ">");
        if ["script", "style", "title"]
            .iter()
            .any(|hidden| name.eq_ignore_ascii_case(hidden))
        {
            return skip_to_end_tag(after, name);
        }
        let breaks = [
            "br",
            "/p",
            "/div",
            "/li",
            "/tr",
            "/h1",
            "/h2",
            "/h3",
            "/blockquote",
        ];
        if breaks.iter().any(|tag| name.eq_ignore_ascii_case(tag)) {
            self.break_line();
        }
        after
    }
}

fn tag_name(inner: &str) -> &str {
    let closing = usize::from(inner.starts_with('/'));
    let length = inner
        .bytes()
        .skip(closing)
        .take_while(u8::is_ascii_alphanumeric)
        .count();
    inner.get(..closing + length).unwrap_or_default()
}

/// What follows the first `end`; nothing if there is none, since then the markup never closes.
fn after_first<'a>(text: &'a str, end: &str) -> &'a str {
    text.split_once(end).map_or("", |(_, after)| after)
}

fn skip_to_end_tag<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("</") {
        if tag_name(after).eq_ignore_ascii_case(name) {
            return after_first(after, ">");
        }
        rest = after;
    }
    ""
}

fn decode_entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        return char::from_u32(code.ok()?).filter(|character| !character.is_control() || *character == '\n');
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn conversation_text_is_told_from_the_rest() {
        assert_eq!(TextForm::of("text/plain"), Some(TextForm::Plain));
        assert_eq!(TextForm::of("Text/HTML; charset=utf-8"), Some(TextForm::Html));
        assert_eq!(TextForm::of("text/rtf"), Some(TextForm::Rtf));
        assert_eq!(
            TextForm::of("multipart/alternative;boundary=x"),
            Some(TextForm::Multipart)
        );
        for other in [
            "application/im-iscomposing+xml",
            "message/imdn+xml",
            "text/x-msmsgsinvite",
            "image/gif",
            "",
        ] {
            assert_eq!(TextForm::of(other), None, "{other}");
        }
    }

    #[test]
    fn the_font_is_taken_off_and_nothing_else_changes() {
        assert_eq!(
            without_font("text/plain; charset=UTF-8;msgr=WAAt"),
            "text/plain;charset=UTF-8"
        );
        assert_eq!(
            without_font("text/plain;  charset=UTF-8"),
            "text/plain;  charset=UTF-8"
        );
        assert_eq!(without_font("nonsense"), "nonsense");
    }

    #[test]
    fn character_sets_are_read_or_refused() {
        assert_eq!(decode("text/plain", "ü".as_bytes()).unwrap(), "ü");
        assert_eq!(
            decode("text/plain; charset=\"UTF-8\"", "ü".as_bytes()).unwrap(),
            "ü"
        );
        assert_eq!(decode("text/plain;charset=ISO-8859-1", b"\xfc").unwrap(), "ü");
        assert!(matches!(
            decode("text/plain", b"\xfc"),
            Err(BodyError::Malformed(_))
        ));
        assert!(matches!(
            decode("text/plain;charset=utf-16", b"a\0"),
            Err(BodyError::Unsupported(_))
        ));
    }

    #[test]
    fn plain_text_is_passed_on_without_a_copy() {
        let body = Bytes::from_static(b"hello");
        assert_eq!(to_plain("text/plain", &body).unwrap().as_ptr(), body.as_ptr());
        assert_eq!(
            to_plain("text/plain;charset=iso-8859-1", &Bytes::from_static(b"\xfc")).unwrap(),
            "ü".as_bytes()
        );
        assert!(matches!(
            to_plain("text/rtf", &body),
            Err(BodyError::Unsupported(_))
        ));
        assert!(matches!(
            to_plain("image/gif", &body),
            Err(BodyError::Unsupported(_))
        ));
    }

    #[test]
    fn of_several_forms_the_plain_one_is_taken() {
        let plain = "--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n";
        let html = "--x\r\nContent-Type: text/html\r\n\r\n<b>hello</b>\r\n";
        let take = |body: String| to_plain("multipart/alternative;boundary=x", &Bytes::from(body));
        assert_eq!(take(format!("{html}{plain}--x--")).unwrap(), "hi");
        assert_eq!(take(format!("{html}--x--")).unwrap(), "hello");
        assert!(matches!(
            take("--x\r\nContent-Type: image/gif\r\n\r\n\r\n--x--".to_owned()),
            Err(BodyError::Unsupported(_))
        ));
    }

    #[test]
    fn a_multipart_body_in_another_is_read_but_not_deeper() {
        let mut body = "hi".to_owned();
        let mut content_type = "text/plain".to_owned();
        for (level, readable) in [(1, true), (2, true), (3, false)] {
            body = format!("--b{level}\r\nContent-Type: {content_type}\r\n\r\n{body}\r\n--b{level}--");
            content_type = format!("multipart/related;boundary=b{level}");
            assert_eq!(
                to_plain(&content_type, &Bytes::from(body.clone())).is_ok(),
                readable,
                "{level}"
            );
        }
    }

    #[test]
    fn html_becomes_its_words() {
        let cases = [
            (
                "<DIV style=\"font-size:10pt\">Hello <b>Bob</b></DIV>",
                "Hello Bob",
            ),
            ("one<br>two<BR/>three", "one\ntwo\nthree"),
            ("<p>one</p>\r\n  <p>two</p>", "one\ntwo"),
            ("a  \n b", "a b"),
            (
                "1 &lt; 2 &amp;&amp; x &gt; &quot;y&quot; &#228; &#xe4;&nbsp;z",
                "1 < 2 && x > \"y\" ä ä\u{a0}z",
            ),
            ("&amp;lt;", "&lt;"),
            ("fish & chips &unknown; &#0; &", "fish & chips &unknown; &#0; &"),
            ("1 < 2 <3", "1 < 2 <3"),
            ("a<!-- <b>hidden</b> -->b", "ab"),
            ("a<style>b{}</style>c<SCRIPT>alert('</p>')</script >d", "acd"),
            ("a<script>never closed", "a"),
            ("a<b", "a"),
            ("", ""),
        ];
        for (html, plain) in cases {
            assert_eq!(html_to_plain(html), plain, "{html}");
        }
    }

    #[test]
    fn a_long_row_of_openings_takes_linear_time() {
        let html = "<script></".repeat(100_000);
        assert_eq!(html_to_plain(&html), "");
        assert_eq!(html_to_plain(&"&".repeat(100_000)).len(), 100_000);
        assert_eq!(html_to_plain(&"<".repeat(100_000)).len(), 100_000);
    }

    proptest! {
        #[test]
        fn the_words_are_never_longer_than_the_markup(html in "[<>/&;#!a-c \n\\-]{0,60}|.{0,60}") {
            prop_assert!(html_to_plain(&html).len() <= html.len());
        }

        #[test]
        fn text_without_markup_stays(text in "[a-zA-Z0-9äöü.,]{1,20}( [a-zA-Z0-9äöü.,]{1,20}){0,5}") {
            prop_assert_eq!(html_to_plain(&text), text);
        }
    }
}
