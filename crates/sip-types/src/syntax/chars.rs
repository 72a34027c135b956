//! Character classes of RFC 3261 section 25.1, as one table with a bit per class.

/// A set of bytes.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Class {
    /// `token`.
    Token = 1,
    /// What stands unescaped in the user part of a URI, and `#`, which is not allowed but which clients dial.
    User = 2,
    /// What stands unescaped in the password of a URI.
    Password = 4,
    /// What stands unescaped in the parameters of a URI, and their separators.
    UriParam = 8,
    /// What stands unescaped in names and values of URI headers.
    UriHeader = 16,
    /// What may stand in a URI of any scheme: visible ASCII but delimiters.
    Uri = 32,
    /// The value of a parameter without quotes. Wider than a token: peers send URIs and base64 unquoted.
    BareValue = 64,
    /// The name of a parameter: a token, or what a URI may also have there.
    ParamName = 128,
}

impl Class {
    /// Whether `byte` belongs to the class.
    pub(crate) fn has(self, byte: u8) -> bool {
        TABLE
            .get(usize::from(byte))
            .is_some_and(|classes| classes & self as u8 != 0)
    }

    /// Whether all of `text` belongs to the class; true for the empty text.
    pub(crate) fn has_all(self, text: &str) -> bool {
        text.bytes().all(|byte| self.has(byte))
    }
}

static TABLE: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = classes(byte as u8);
        byte += 1;
    }
    table
};

const fn classes(byte: u8) -> u8 {
    let unreserved = is_unreserved(byte);
    let mut classes = 0;
    if byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
        )
    {
        classes |= Class::Token as u8 | Class::ParamName as u8;
    }
    if unreserved || matches!(byte, b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/' | b'#') {
        classes |= Class::User as u8;
    }
    if unreserved || matches!(byte, b'&' | b'=' | b'+' | b'$' | b',') {
        classes |= Class::Password as u8;
    }
    if unreserved || matches!(byte, b'[' | b']' | b'/' | b':' | b'&' | b'+' | b'$' | b';' | b'=') {
        classes |= Class::UriParam as u8;
    }
    if unreserved || matches!(byte, b'[' | b']' | b'/' | b'?' | b':' | b'+' | b'$') {
        classes |= Class::UriHeader as u8;
    }
    if byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"') {
        classes |= Class::Uri as u8;
    }
    if byte >= 0x80 || (byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'<' | b'>' | b'\\'))
    {
        classes |= Class::BareValue as u8;
    }
    if matches!(byte, b'[' | b']' | b'/' | b':' | b'&' | b'$' | b'(' | b')') {
        classes |= Class::ParamName as u8;
    }
    classes
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')'
        )
}
