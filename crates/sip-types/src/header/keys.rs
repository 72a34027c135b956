//! What the transaction and dialog layers look at in every message, without taking whole values apart.

use super::{HeaderName, Headers};
use crate::name_addr::Parts;
use crate::params::each;
use crate::syntax::{split_list, starts_quoted, unquote};
use crate::text::SipStr;

impl Headers {
    /// The branch of the first Via value.
    ///
    /// Like the tags below this looks at nothing else in the value: whether the value is well-formed is the question
    /// of [`Request::validate`](crate::Request::validate) and of the typed headers.
    pub fn branch(&self) -> Option<SipStr> {
        self.look(HeaderName::Via, |owner, value| {
            let first = split_list(value).next()?.ok()?;
            let (_, params) = crate::syntax::cut(first, b';')?;
            param(owner, params, "branch")
        })
    }

    /// The tag of From.
    pub fn from_tag(&self) -> Option<SipStr> {
        self.look(HeaderName::From, |owner, value| {
            param(owner, Parts::of(value).ok()?.params, "tag")
        })
    }

    /// The tag of To.
    pub fn to_tag(&self) -> Option<SipStr> {
        self.look(HeaderName::To, |owner, value| {
            param(owner, Parts::of(value).ok()?.params, "tag")
        })
    }
}

/// The value of a parameter in `params`, a piece of `owner`; `None` if it is empty.
fn param(owner: &SipStr, params: &str, name: &str) -> Option<SipStr> {
    let (_, value) = each(params).find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    let raw = owner.slice_of(value);
    let plain = if starts_quoted(value) { unquote(&raw)? } else { raw };
    Some(plain).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::Message;

    fn message(fields: &str) -> Message {
        Message::parse(format!("SIP/2.0 200 OK\r\n{fields}\r\n").into(), Bytes::new()).unwrap()
    }

    #[test]
    fn they_agree_with_the_typed_headers() {
        let message = message(
            "v: SIP / 2.0 / TCP h : 5060 ; x=\",;\" ; Branch = z9hG4bK1, SIP/2.0/TCP i;branch=2\r\n\
             f: \"a;tag=0\" <sip:a;tag=1@h;tag=2> ; tag = 3\r\nt: sip:b@h;Tag=\"4 5\"\r\n",
        );
        let crate::Message::Response(response) = message else {
            panic!("a response")
        };
        let headers = response.headers();
        assert_eq!(headers.branch(), response.top_via().unwrap().branch());
        assert_eq!(headers.branch().unwrap(), "z9hG4bK1");
        assert_eq!(headers.from_tag(), response.from().unwrap().tag());
        assert_eq!(headers.from_tag().unwrap(), "3");
        assert_eq!(headers.to_tag(), response.to().unwrap().tag());
        assert_eq!(headers.to_tag().unwrap(), "4 5");
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let empty = message("");
        let message =
            message("v: SIP/2.0/TCP h;branch=\r\nFrom: <sip:a@h;tag=1>\r\nTo: \"x <sip:a@h>;tag=1\r\n");
        assert_eq!(message.headers().branch(), None);
        assert_eq!(message.headers().from_tag(), None);
        assert_eq!(message.headers().to_tag(), None);
        assert_eq!(empty.headers().branch(), None);
    }
}
