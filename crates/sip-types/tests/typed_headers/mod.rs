//! Parses every header of a message that has a type, and checks that what it prints parses to the same.

use sip_types::{HeaderError, Headers, TypedHeader, typed};

/// Parses all values of type `H`.
fn check<H: TypedHeader>(headers: &Headers, errors: &mut Vec<(String, HeaderError)>) {
    match headers.list::<H>() {
        Err(error) => errors.push((H::NAME.to_string(), error)),
        Ok(values) => {
            for value in values {
                let printed = value.to_string();
                let again = H::parse(&printed.clone().into());
                let again = again.unwrap_or_else(|error| panic!("{printed:?} does not parse: {error}"));
                assert_eq!(again.to_string(), printed);
            }
        }
    }
}

macro_rules! check_all {
    ($($header:ident)+) => {
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
