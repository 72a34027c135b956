//! What `Replaces` and `Join` share: they name a dialog.

/// A header whose value is a Call-ID with `to-tag` and `from-tag`.
macro_rules! dialog_header {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name {
            call_id: $crate::SipStr,
            params: $crate::Params,
        }

        impl $name {
            /// Names a dialog, tags as its other side sees them; `None` if a part is malformed.
            pub fn new(call_id: &str, to_tag: &str, from_tag: &str) -> Option<Self> {
                let good = super::call_id::is_call_id(call_id)
                    && $crate::syntax::is_token(to_tag)
                    && $crate::syntax::is_token(from_tag);
                good.then(|| Self {
                    call_id: $crate::SipStr::copy_from(call_id),
                    params: $crate::Params::new().with("to-tag", to_tag).with("from-tag", from_tag),
                })
            }

            /// The Call-ID of the dialog.
            pub fn call_id(&self) -> &str {
                &self.call_id
            }

            /// The tag of the side that gets this header: its local tag.
            pub fn to_tag(&self) -> $crate::SipStr {
                self.params.text("to-tag").unwrap_or_default()
            }

            /// The tag of the other side: the remote tag of who gets this header.
            pub fn from_tag(&self) -> $crate::SipStr {
                self.params.text("from-tag").unwrap_or_default()
            }

            /// All parameters.
            pub fn params(&self) -> &$crate::Params {
                &self.params
            }
        }

        impl $crate::header::TypedHeader for $name {
            const NAME: $crate::HeaderName = $crate::HeaderName::$name;

            fn parse(value: &$crate::SipStr) -> Result<Self, $crate::HeaderError> {
                let (call_id, params) = super::macros::before_params(value);
                let params = $crate::Params::parse_in(value, params).map_err($crate::HeaderError::syntax::<Self>)?;
                let has = |name: &str| params.text(name).is_some_and(|tag| !tag.is_empty());
                if !super::call_id::is_call_id(call_id) {
                    return Err($crate::HeaderError::invalid::<Self>("malformed call id"));
                }
                if !has("to-tag") || !has("from-tag") {
                    return Err($crate::HeaderError::invalid::<Self>("a tag is missing"));
                }
                Ok(Self { call_id: value.slice_of(call_id), params })
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                write!(f, "{}{}", self.call_id, self.params)
            }
        }
    };
}

pub(super) use dialog_header;
