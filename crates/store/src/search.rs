//! How accounts are found by words, the same in every backend.
//!
//! A search is words apart by blanks, all of which have to match. A word with an `@` is a complete address of record. Any
//! other is the beginning of a word of the display name or of the user part of the address. A word of a name begins at its
//! start, after a blank and after any other character that is neither letter nor digit: `luc` finds `Jean-Luc`, and so do
//! `jean` and `jean-l`.
//!
//! Names and searches are compared folded ([`fold`]), by the program and not by a database, since each of those knows
//! other letters. A database keeps the words of an account ([`words_of`]) in a table of their own, ordered bytewise: a word
//! is then found by the range of texts it is the beginning of ([`end_of_prefix`]), and no character means anything but
//! itself.
//!
//! **Invariant:** what [`fold`] and [`words_of`] make of a text is stored. When they change, a migration has to have all
//! words made again.

use std::collections::BTreeSet;

use sip_types::AddressOfRecord;
use unicode_normalization::UnicodeNormalization;

use crate::Account;

/// Most characters of a word that count: more than a user part has. It bounds the rows of an index.
const WORD_CHARS: usize = 255;

/// Most words of an account that are kept: more than a display name of 128 characters has.
const WORDS: usize = 128;

/// The combining marks of Latin, Greek and Cyrillic letters. Those of other scripts are letters of their own to a reader.
const MARKS: std::ops::RangeInclusive<char> = '\u{300}'..='\u{36f}';

/// Larger than any character in a word.
const LAST: char = char::MAX;

/// A text without what should make no difference: case, accents, and which of several ways a letter is written.
///
/// Compatibility forms are taken apart (full-width letters become plain ones), accents are left out, and letters become
/// lower, upper and again lower case, one by one: so `ß`, small or capital, is `ss` and both small sigmas are one. Control
/// characters are left out.
pub fn fold(text: &str) -> String {
    let lower = text.nfkd().flat_map(char::to_lowercase);
    let letters = lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    // Again, since another case may be made of a letter and a mark.
    let plain = letters.nfkd().filter(|c| !MARKS.contains(c));
    plain.filter(|c| !c.is_control() && *c != LAST).collect()
}

fn cut(word: &str) -> &str {
    match word.char_indices().nth(WORD_CHARS) {
        Some((end, _)) => &word[..end],
        None => word,
    }
}

/// The folded words an account is found by.
pub fn words_of(aor: &AddressOfRecord, display_name: &str) -> BTreeSet<String> {
    let user = fold(aor.user());
    let mut words = BTreeSet::from([cut(&user).to_owned()]);
    words.insert(cut(trim(&user)).to_owned());
    let name = fold(display_name);
    for word in name.split_whitespace() {
        let mut begins = true;
        for (at, c) in word.char_indices() {
            if begins && c.is_alphanumeric() && words.len() < WORDS {
                words.insert(cut(&word[at..]).to_owned());
            }
            begins = !c.is_alphanumeric();
        }
    }
    words.remove("");
    words
}

/// Without what is neither letter nor digit at its ends: quotes, brackets, commas.
fn trim(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

/// The first text behind all that begin with this word, in bytewise order: the words `word..end` begin with it.
pub fn end_of_prefix(word: &str) -> String {
    // No folded word has this character.
    format!("{word}{LAST}")
}

/// What accounts are searched for.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct AccountSearch {
    prefixes: BTreeSet<String>,
    address: Option<AddressOfRecord>,
    /// Two addresses, or one that nobody can have.
    nobody: bool,
    /// Present: accounts of these domains only.
    domains: Option<Vec<String>>,
}

impl AccountSearch {
    /// A search for accounts that match every word of these texts. One without words matches nobody.
    pub fn new<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut search = AccountSearch::default();
        for word in texts.into_iter().flat_map(str::split_whitespace) {
            search.add(word);
        }
        search
    }

    /// Only accounts of these domains match.
    #[must_use]
    pub fn within(mut self, domains: Vec<String>) -> Self {
        self.domains = Some(domains);
        self
    }

    fn add(&mut self, word: &str) {
        if word.contains('@') {
            let address = AddressOfRecord::parse(word).ok();
            self.nobody |= address.is_none()
                || self
                    .address
                    .as_ref()
                    .is_some_and(|known| Some(known) != address.as_ref());
            self.address = address;
            return;
        }
        let folded = fold(word);
        for word in folded.split_whitespace() {
            let word = cut(trim(word));
            if !word.is_empty() {
                self.prefixes.insert(word.to_owned());
            }
        }
    }

    /// Whether it can match nobody, whatever accounts there are.
    pub fn is_vain(&self) -> bool {
        let is_nowhere = self.domains.as_ref().is_some_and(Vec::is_empty);
        self.nobody || is_nowhere || (self.prefixes.is_empty() && self.address.is_none())
    }

    /// The domains of which the account has to be; `None`: any.
    pub fn domains(&self) -> Option<&[String]> {
        self.domains.as_deref()
    }

    /// What words of the account have to begin with, folded; each of them once.
    pub fn prefixes(&self) -> impl ExactSizeIterator<Item = &str> {
        self.prefixes.iter().map(String::as_str)
    }

    /// The address the account has to have.
    pub fn address(&self) -> Option<&AddressOfRecord> {
        self.address.as_ref()
    }

    /// Whether an account matches.
    pub fn matches(&self, account: &Account) -> bool {
        if self.is_vain()
            || self
                .address
                .as_ref()
                .is_some_and(|address| *address != account.aor)
        {
            return false;
        }
        let domain = account.aor.domain();
        let is_elsewhere = |domains: &[String]| !domains.iter().any(|one| one == domain);
        if self.domains().is_some_and(is_elsewhere) {
            return false;
        }
        let words = words_of(&account.aor, &account.display_name);
        self.prefixes()
            .all(|prefix| words.iter().any(|word| word.starts_with(prefix)))
    }
}

#[cfg(test)]
mod tests {
    use topology::SiteId;

    use super::*;

    fn account(address: &str, name: &str) -> Account {
        Account {
            aor: AddressOfRecord::parse(address).unwrap(),
            display_name: name.to_owned(),
            site: SiteId::new("main"),
            enabled: true,
            created_at: 0,
        }
    }

    fn finds(search: &[&str], account: &Account) -> bool {
        AccountSearch::new(search.iter().copied()).matches(account)
    }

    #[test]
    fn case_accents_and_forms_of_letters_make_no_difference() {
        for (text, folded) in [
            ("Ångström", "angstrom"),
            ("A\u{30a}NGSTRO\u{308}M", "angstrom"),
            ("Straße", "strasse"),
            ("STRAẞE", "strasse"),
            ("ΟΔΥΣΣΕΎΣ", "οδυσσευσ"),
            ("Οδυσσεύς", "οδυσσευσ"),
            ("İstanbul", "istanbul"),
            ("Ｗｉｄｅ", "wide"),
            ("Шишкин Ёж", "шишкин еж"),
            ("がく", "か\u{3099}く"),
            ("a\0b\u{10ffff}c", "abc"),
        ] {
            assert_eq!(fold(text), folded, "{text}");
            assert_eq!(fold(folded), folded, "folded once is folded for good: {text}");
        }
    }

    #[test]
    fn words_begin_after_blanks_and_between_letters_and_others() {
        let words = |address: &str, name: &str| {
            let account = account(address, name);
            let words = words_of(&account.aor, &account.display_name);
            words.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(
            words("jl.picard@example.test", "Jean-Luc  Picard"),
            ["jean-luc", "jl.picard", "luc", "picard"]
        );
        assert_eq!(words("_bot_@example.test", "(The) Bot"), ["_bot_", "bot", "the)"]);
        assert_eq!(words("x@example.test", " - "), ["x"]);
        let long = "a-".repeat(200);
        let many = words("x@example.test", &long);
        assert_eq!(many.len(), WORDS);
        assert!(many.iter().all(|word| word.chars().count() <= WORD_CHARS));
    }

    #[test]
    fn every_word_has_to_match() {
        let picard = account("jl.picard@example.test", "Jean-Luc Picard");
        for found in [
            &["pic"][..],
            &["JEAN pic"],
            &["jean-l"],
            &["luc", "jl.p"],
            &["  \"Picard\", "],
            &["jl.picard@example.test"],
            &["sip:JL.Picard@EXAMPLE.test", "jean"],
            &["jl.picard@example.test sip:jl.picard@example.test"],
        ] {
            assert!(finds(found, &picard), "{found:?}");
        }
        for not_found in [
            &["icard"][..],
            &["picard riker"],
            &["picard2"],
            &["jl.picard@example"],
            &["jl.picard@example.test2"],
            &["picard", "will@example.test"],
            &["jl.picard@example.test will@example.test"],
            &["@"],
            &["x@"],
            &["example.test"],
            &[""],
            &["  "],
            &["*"],
            &["%"],
            &[],
        ] {
            assert!(!finds(not_found, &picard), "{not_found:?}");
        }
    }

    #[test]
    fn a_search_that_can_match_nobody_is_known_as_such() {
        for vain in [&[][..], &[" "], &["-"], &["a@b.test c@b.test"], &["a@"]] {
            assert!(AccountSearch::new(vain.iter().copied()).is_vain(), "{vain:?}");
        }
        assert!(!AccountSearch::new(["a"]).is_vain());
        let search = AccountSearch::new(["an AN anna"]);
        assert_eq!(search.prefixes().collect::<Vec<_>>(), ["an", "anna"]);
    }

    #[test]
    fn the_words_with_a_beginning_are_a_range() {
        for (prefix, word, inside) in [
            ("an", "an", true),
            ("an", "anna", true),
            ("an", "an\u{fffd}", true),
            ("an", "ao", false),
            ("an", "am\u{fffd}", false),
        ] {
            let within = (prefix..&*end_of_prefix(prefix)).contains(&word);
            assert_eq!(within, inside, "{prefix} {word}");
        }
    }
}
