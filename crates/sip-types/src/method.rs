//! [`Method`]: what a request asks for.

use std::fmt;

use crate::syntax::is_token;
use crate::text::SipStr;

macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)+) => {
        /// A request method. Methods are compared with regard to case (RFC 3261 section 7.1).
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Method {
            $($(#[$doc])* $variant,)+
            /// A method this crate has no name for; always a token.
            Other(SipStr),
        }

        impl Method {
            /// The method of this name.
            ///
            /// # Errors
            /// `None` if `name` is not a token.
            pub fn parse(name: &SipStr) -> Option<Self> {
                Self::parse_in(name, name)
            }

            /// The same for `name`, which is a piece of `owner`.
            pub(crate) fn parse_in(owner: &SipStr, name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$variant),)+
                    _ if is_token(name) => Some(Self::Other(owner.slice_of(name))),
                    _ => None,
                }
            }

            /// The name as it stands in a message.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(name) => name,
                }
            }
        }
    };
}

methods! {
    /// RFC 3261 section 10.
    Register = "REGISTER",
    /// RFC 3261 section 13.
    Invite = "INVITE",
    /// RFC 3261 section 17.1.1.3.
    Ack = "ACK",
    /// RFC 3261 section 15.
    Bye = "BYE",
    /// RFC 3261 section 9.
    Cancel = "CANCEL",
    /// RFC 3428.
    Message = "MESSAGE",
    /// RFC 3261 section 11.
    Options = "OPTIONS",
    /// RFC 6086.
    Info = "INFO",
    /// RFC 6665.
    Subscribe = "SUBSCRIBE",
    /// RFC 6665.
    Notify = "NOTIFY",
    /// RFC 3903.
    Publish = "PUBLISH",
    /// RFC 3515.
    Refer = "REFER",
    /// RFC 3262.
    Prack = "PRACK",
    /// RFC 3311.
    Update = "UPDATE",
    /// MS-SIP: requests of Lync-family clients with a SOAP body.
    Service = "SERVICE",
    /// MS-SIP: a notification that gets no answer.
    Benotify = "BENOTIFY",
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_methods_are_matched_with_regard_to_case() {
        assert_eq!(Method::parse(&"INVITE".into()), Some(Method::Invite));
        assert_eq!(Method::parse(&"BENOTIFY".into()), Some(Method::Benotify));
        assert_eq!(
            Method::parse(&"invite".into()),
            Some(Method::Other("invite".into()))
        );
    }

    #[test]
    fn any_token_is_a_method_and_nothing_else_is() {
        let odd = "!odd-Method_*+`.%'~";
        assert_eq!(Method::parse(&odd.into()).unwrap().as_str(), odd);
        assert_eq!(Method::parse(&"".into()), None);
        assert_eq!(Method::parse(&"IN VITE".into()), None);
        assert_eq!(Method::parse(&"INVITE\"".into()), None);
    }
}
