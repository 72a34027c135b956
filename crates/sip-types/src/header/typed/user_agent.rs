//! `User-Agent`: RFC 3261 section 20.41.

use super::macros::text_header;

text_header! {
    /// The program that sends the request.
    UserAgent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn the_text_is_kept_as_it_is() {
        assert_eq!(check::<UserAgent>("Purple/2.14.12 Sipe/1.25.0 (linux-x86_64; (x))", "Purple/2.14.12 Sipe/1.25.0 (linux-x86_64; (x))").as_str(), "Purple/2.14.12 Sipe/1.25.0 (linux-x86_64; (x))");
        check::<UserAgent>("", "");
        assert_eq!(UserAgent::new(" a\r\nb ").as_str(), "a  b");
        let deep = "(".repeat(9);
        refuse::<UserAgent>(&["a\u{7}b", &deep]);
    }
}
