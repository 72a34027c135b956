//! Quality values `0` to `1` with up to three decimals (RFC 3261 section 25.1), as thousandths.

/// The value in thousandths; `None` if malformed or above 1.
pub(super) fn parse(text: &str) -> Option<u16> {
    let (whole, decimals) = crate::syntax::cut(text, b'.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{decimals:0<3}").parse::<u16>().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn values_are_thousandths() {
        let all = [
            ("0", 0),
            ("1", 1000),
            ("0.5", 500),
            ("0.05", 50),
            ("0.123", 123),
            ("1.000", 1000),
            ("0.", 0),
        ];
        for (text, value) in all {
            assert_eq!(parse(text), Some(value), "{text}");
        }
        for bad in ["", ".5", "1.1", "2", "0.1234", "-0", "0.x", "0,5"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
