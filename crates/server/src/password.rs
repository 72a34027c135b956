//! Passwords people can type from a screen.

/// Sixty-four words that are hard to confuse when read aloud: six bits each.
const WORDS: [&str; 64] = [
    "acorn", "amber", "anchor", "apple", "april", "arrow", "autumn", "badge", "bamboo", "basket", "beach",
    "bridge", "bronze", "butter", "cabin", "candle", "carbon", "castle", "cedar", "cherry", "cloud",
    "cobalt", "comet", "copper", "coral", "cotton", "crisp", "desert", "dragon", "ember", "falcon", "fern",
    "flint", "forest", "garden", "ginger", "granite", "harbor", "hazel", "indigo", "ivory", "jasmine",
    "jungle", "kettle", "lantern", "lemon", "linen", "maple", "marble", "meadow", "mosaic", "nutmeg",
    "olive", "orchid", "otter", "pebble", "pepper", "river", "saffron", "silver", "timber", "velvet",
    "walnut", "willow",
];

/// Words of one password.
const LENGTH: usize = 5;

/// A password such as `crisp-otter-lemon-river-amber-417`: five words and three digits, 40 bits. Guessing is throttled
/// by the server, so that this is out of reach over the network.
///
/// # Errors
/// The system gives no random numbers.
pub fn readable_password() -> Result<String, getrandom::Error> {
    let mut random = [0_u8; LENGTH + 2];
    getrandom::fill(&mut random)?;
    Ok(from_random(random))
}

fn from_random(random: [u8; LENGTH + 2]) -> String {
    let [words @ .., high, low] = random;
    let mut password = String::new();
    for byte in words {
        // 256 is a multiple of 64: no word is likelier than another.
        let word = WORDS
            .get(usize::from(byte) % WORDS.len())
            .copied()
            .unwrap_or_default();
        password.push_str(word);
        password.push('-');
    }
    // 65,536 is not a multiple of 1,000: some numbers are 1.5 % likelier, which costs a fiftieth of a bit.
    let digits = u16::from_be_bytes([high, low]) % 1_000;
    password.push_str(&format!("{digits:03}"));
    password
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_word_stands_twice() {
        assert_eq!(WORDS.into_iter().collect::<HashSet<_>>().len(), WORDS.len());
    }

    #[test]
    fn a_password_is_words_and_digits() {
        assert_eq!(
            from_random([0, 1, 2, 3, 63, 0, 7]),
            "acorn-amber-anchor-apple-willow-007"
        );
        assert_ne!(readable_password().unwrap(), readable_password().unwrap());
    }
}
