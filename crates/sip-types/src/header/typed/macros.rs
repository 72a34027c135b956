//! The shapes that many headers share. Each header still has its own file, with what is special to it.

/// A header whose value is a [`NameAddr`](crate::NameAddr); `list` if several may stand in one field.
macro_rules! name_addr_header {
    ($(#[$doc:meta])* $name:ident $(, list = $list:literal)?) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(pub $crate::NameAddr);

        impl $crate::header::TypedHeader for $name {
            const NAME: $crate::HeaderName = $crate::HeaderName::$name;
            $(const COMMA_SEPARATED: bool = $list;)?

            fn parse(value: &$crate::SipStr) -> Result<Self, $crate::HeaderError> {
                $crate::NameAddr::parse(value).map(Self).map_err($crate::HeaderError::syntax::<Self>)
            }
        }

        impl ::core::ops::Deref for $name {
            type Target = $crate::NameAddr;
            fn deref(&self) -> &$crate::NameAddr {
                &self.0
            }
        }

        impl ::core::convert::From<$crate::NameAddr> for $name {
            fn from(address: $crate::NameAddr) -> Self {
                Self(address)
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

/// A header whose values are tokens, separated by commas; the type is one of them.
macro_rules! token_list_header {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name($crate::SipStr);

        impl $name {
            /// The value for `token`; `None` if it is not a token.
            pub fn new(token: impl Into<$crate::SipStr>) -> Option<Self> {
                let token = token.into();
                $crate::syntax::is_token(&token).then_some(Self(token))
            }

            /// The token.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether this is `token`, without regard to case.
            pub fn is(&self, token: &str) -> bool {
                self.0.eq_ignore_ascii_case(token)
            }
        }

        impl $crate::header::TypedHeader for $name {
            const NAME: $crate::HeaderName = $crate::HeaderName::$name;
            const COMMA_SEPARATED: bool = true;

            fn parse(value: &$crate::SipStr) -> Result<Self, $crate::HeaderError> {
                Self::new(value.clone()).ok_or($crate::HeaderError::invalid::<Self>("not a token"))
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// A header whose value is one decimal number of 32 bits, at most `max`.
macro_rules! number_header {
    ($(#[$doc:meta])* $name:ident, max = $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $crate::header::TypedHeader for $name {
            const NAME: $crate::HeaderName = $crate::HeaderName::$name;

            fn parse(value: &$crate::SipStr) -> Result<Self, $crate::HeaderError> {
                let number = $crate::syntax::parse_u32(value).map_err($crate::HeaderError::syntax::<Self>)?;
                if number > $max {
                    return Err($crate::HeaderError::invalid::<Self>("number out of range"));
                }
                Ok(Self(number))
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

/// A header whose value is one token.
macro_rules! token_header {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name($crate::SipStr);

        impl $name {
            /// The value for `token`; `None` if it is not a token.
            pub fn new(token: impl Into<$crate::SipStr>) -> Option<Self> {
                let token = token.into();
                $crate::syntax::is_token(&token).then_some(Self(token))
            }

            /// The token.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl $crate::header::TypedHeader for $name {
            const NAME: $crate::HeaderName = $crate::HeaderName::$name;

            fn parse(value: &$crate::SipStr) -> Result<Self, $crate::HeaderError> {
                Self::new(value.clone()).ok_or($crate::HeaderError::invalid::<Self>("not a token"))
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// A header whose value is a token and parameters; `list` if several may stand in one field.
macro_rules! token_params_header {
    ($(#[$doc:meta])* $name:ident { $(#[$field_doc:meta])* $field:ident } $(, list = $list:literal)?) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name {
            $(#[$field_doc])*
            pub $field: $crate::SipStr,
            /// The parameters.
            pub params: $crate::Params,
        }

        impl $name {
            /// A value without parameters; `None` if it is not a token.
            pub fn new(token: impl Into<$crate::SipStr>) -> Option<Self> {
                let $field = token.into();
                $crate::syntax::is_token(&$field).then(|| Self { $field, params: $crate::Params::new() })
            }

            /// The same with one parameter set; see [`Params::with`](crate::Params::with).
            #[must_use]
            pub fn with_param(mut self, name: &str, value: &str) -> Self {
                self.params = self.params.with(name, value);
                self
            }

            /// Whether the token is `token`, without regard to case.
            pub fn is(&self, token: &str) -> bool {
                self.$field.eq_ignore_ascii_case(token)
            }
        }

        impl $crate::header::TypedHeader for $name {
            const NAME: $crate::HeaderName = $crate::HeaderName::$name;
            $(const COMMA_SEPARATED: bool = $list;)?

            fn parse(value: &$crate::SipStr) -> Result<Self, $crate::HeaderError> {
                let (token, params) = super::macros::before_params(value);
                if !$crate::syntax::is_token(token) {
                    return Err($crate::HeaderError::invalid::<Self>("not a token"));
                }
                let params = $crate::Params::parse_in(value, params).map_err($crate::HeaderError::syntax::<Self>)?;
                Ok(Self { $field: value.slice_of(token), params })
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                write!(f, "{}{}", self.$field, self.params)
            }
        }
    };
}

/// A header whose value is text for people.
macro_rules! text_header {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name($crate::SipStr);

        impl $name {
            /// The value for `text`; blanks at its ends are removed and control characters become spaces.
            pub fn new(text: &str) -> Self {
                let clean = |character: char| if character.is_control() { ' ' } else { character };
                let text: String = text.chars().map(clean).collect();
                Self($crate::SipStr::copy_from($crate::syntax::trim(&text)))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl $crate::header::TypedHeader for $name {
            const NAME: $crate::HeaderName = $crate::HeaderName::$name;

            fn parse(value: &$crate::SipStr) -> Result<Self, $crate::HeaderError> {
                super::comment::check_text(value).map_err($crate::HeaderError::syntax::<Self>)?;
                Ok(Self(value.slice_of($crate::syntax::trim(value))))
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// Splits a value at its first semicolon: what is before it, trimmed, and the parameters.
pub(super) fn before_params(value: &str) -> (&str, &str) {
    let text = crate::syntax::trim(value);
    let end = memchr::memchr(b';', text.as_bytes()).unwrap_or(text.len());
    let (before, params) = crate::syntax::split_at(text, end);
    (crate::syntax::trim(before), params)
}

/// A header with a challenge or credentials: a scheme and parameters.
macro_rules! auth_header {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(pub $crate::AuthParams);

        impl $crate::header::TypedHeader for $name {
            const NAME: $crate::HeaderName = $crate::HeaderName::$name;

            fn parse(value: &$crate::SipStr) -> Result<Self, $crate::HeaderError> {
                $crate::AuthParams::parse(value).map(Self).map_err($crate::HeaderError::syntax::<Self>)
            }
        }

        impl ::core::ops::Deref for $name {
            type Target = $crate::AuthParams;
            fn deref(&self) -> &$crate::AuthParams {
                &self.0
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Display::fmt(&self.0, f)
            }
        }

        /// Without the values: they are credentials.
        impl ::core::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

pub(super) use {
    auth_header, name_addr_header, number_header, text_header, token_header, token_list_header,
    token_params_header,
};
