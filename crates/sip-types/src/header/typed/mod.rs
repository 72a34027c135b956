//! Typed header values, one file per header.

mod macros;
mod media;
mod qvalue;
#[cfg(test)]
pub(crate) mod test_util;

macro_rules! headers {
    ($($file:ident: $($name:ident),+;)+) => {
        $(mod $file;)+
        $(pub use $file::{$($name),+};)+
    };
}

headers! {
    authorization: Authorization;
    call_id: CallId;
    contact: Contact, MALFORMED_EXPIRES;
    content_type: ContentType;
    cseq: CSeq;
    event: Event;
    expires: Expires;
    from: From;
    max_forwards: MaxForwards;
    proxy_authenticate: ProxyAuthenticate;
    proxy_authorization: ProxyAuthorization;
    require: Require;
    supported: Supported;
    to: To;
    via: Via, MAGIC_COOKIE;
    www_authenticate: WwwAuthenticate;
}
