//! Text for people, and comments in parentheses.

use crate::limits;
use crate::syntax::SyntaxError;

/// Checks that `text` has no control characters but tabs, and no comments nested deeper than
/// [`limits::COMMENT_DEPTH`].
pub(super) fn check_text(text: &str) -> Result<(), SyntaxError> {
    if text
        .chars()
        .any(|character| character.is_control() && character != '\t')
    {
        return Err(SyntaxError("control character"));
    }
    let (mut depth, mut escaped) = (0usize, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth = depth.saturating_add(1),
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limits::COMMENT_DEPTH {
            return Err(SyntaxError("comments nested too deep"));
        }
    }
    Ok(())
}

/// The position behind the comment that `text` begins with; `None` if it begins with none or the comment never ends.
pub(super) fn comment_end(text: &str) -> Option<usize> {
    if !text.starts_with('(') {
        return None;
    }
    let (mut depth, mut escaped) = (0usize, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => {
                depth = depth
                    .checked_add(1)
                    .filter(|depth| *depth <= limits::COMMENT_DEPTH)?
            }
            b')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return at.checked_add(1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "(".repeat(depth), ")".repeat(depth));
        assert!(check_text(&nested(limits::COMMENT_DEPTH)).is_ok());
        assert!(check_text(&nested(limits::COMMENT_DEPTH + 1)).is_err());
        assert_eq!(
            comment_end(&nested(limits::COMMENT_DEPTH)),
            Some(2 * limits::COMMENT_DEPTH)
        );
        assert_eq!(comment_end(&nested(limits::COMMENT_DEPTH + 1)), None);
    }

    #[test]
    fn a_comment_ends_at_its_own_parenthesis() {
        assert_eq!(comment_end("(a (b) \\) c) d"), Some(12));
        assert_eq!(comment_end("(a"), None);
        assert_eq!(comment_end("a"), None);
    }
}
