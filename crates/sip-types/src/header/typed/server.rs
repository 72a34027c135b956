//! `Server`: RFC 3261 section 20.35.

use super::macros::text_header;

text_header! {
    /// The program that answers.
    Server
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn the_text_is_kept_as_it_is() {
        assert_eq!(check::<Server>("RTC/4.0", "RTC/4.0").as_str(), "RTC/4.0");
        check::<Server>("", "");
        assert_eq!(Server::new(" a\r\nb ").as_str(), "a  b");
        let deep = "(".repeat(9);
        refuse::<Server>(&["a\u{7}b", &deep]);
    }
}
