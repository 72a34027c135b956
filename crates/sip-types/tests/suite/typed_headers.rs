//! Parses every header of a message that has a type, and checks that what it prints parses to the same.

use std::fmt::Debug;

use sip_types::{HeaderError, Headers, TypedHeader, typed};

fn try_one<H: TypedHeader + PartialEq + Debug>(value: &str) {
    let Ok(first) = H::parse(&value.to_owned().into()) else {
        return;
    };
    let printed = first.to_string();
    let second = H::parse(&printed.clone().into())
        .unwrap_or_else(|error| panic!("{}: {value:?} prints {printed:?}: {error}", H::NAME));
    assert_eq!(second, first, "{}: {value:?} prints {printed:?}", H::NAME);
    assert_eq!(second.to_string(), printed);
}

/// Parses all values of type `H`.
fn check<H: TypedHeader + PartialEq + Debug>(headers: &Headers, errors: &mut Vec<(String, HeaderError)>) {
    match headers.list::<H>() {
        Err(error) => errors.push((H::NAME.to_string(), error)),
        Ok(values) => values.iter().for_each(|value| try_one::<H>(&value.to_string())),
    }
}

macro_rules! check_all {
    ($($header:ident)+) => {
        /// Parses `value` as each type; what is accepted must print to something that parses to the same.
        pub(crate) fn try_all(value: &str) {
            $(try_one::<typed::$header>(value);)+
        }

        /// The headers whose values do not parse.
        pub(crate) fn errors(headers: &Headers) -> Vec<(String, HeaderError)> {
            let mut errors = Vec::new();
            $(check::<typed::$header>(headers, &mut errors);)+
            errors
        }
    };
}

check_all! {
    Accept AcceptEncoding AcceptLanguage AlertInfo Allow AllowEvents AuthenticationInfo Authorization CSeq CallId
    CallInfo Contact ContentDisposition ContentEncoding ContentLanguage ContentLength ContentType Date ErrorInfo Event
    Expires FlowTimer From InReplyTo Join MaxForwards MimeVersion MinExpires Organization PAssertedIdentity
    PPreferredIdentity Path Priority Privacy ProxyAuthenticate ProxyAuthorization ProxyRequire Reason RecordRoute
    ReferSub ReferTo ReferredBy Replaces ReplyTo Require RetryAfter Route Server ServiceRoute SipEtag SipIfMatch
    Subject SubscriptionState Supported Timestamp To Unsupported UserAgent Via Warning WwwAuthenticate
}
