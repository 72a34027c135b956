//! The kind `registration`: how users may sign in and stay signed in.

use std::collections::BTreeMap;

use rpc::{EffectivePolicy, PolicyValue, RegisterError};

use super::{PolicyKind, Setting, SettingRule};

/// The name of the kind.
pub(crate) const REGISTRATION: &str = "registration";

const ALLOW: &str = "allow";
const ALLOW_RFC2069: &str = "allow_rfc2069";
const MAX_ENDPOINTS: &str = "max_endpoints";
const MIN_EXPIRES: &str = "min_expires";
const DEFAULT_EXPIRES: &str = "default_expires";
const MAX_EXPIRES: &str = "max_expires";

/// A registration may be made shorter or longer than the 300 to 900 s of the product this one replaces, but not so short
/// that refreshes become load, nor so long that a dead client stays for hours.
const EXPIRES_BOUNDS: (i64, i64) = (60, 7_200);

fn number(key: &'static str, default: i64, (min, max): (i64, i64), description: &'static str) -> Setting {
    Setting {
        key,
        rule: SettingRule::Number { default, min, max },
        description,
    }
}

/// The kind `registration`, which the registrar registers by itself. For help texts where no registrar runs.
pub fn registration_kind() -> PolicyKind {
    let switch = |key, default, description| Setting {
        key,
        rule: SettingRule::Switch { default },
        description,
    };
    PolicyKind {
        name: REGISTRATION,
        description: "how users may sign in and how long a sign-in lasts without a refresh",
        settings: vec![
            switch(ALLOW, true, "whether these users may sign in at all"),
            switch(
                ALLOW_RFC2069,
                false,
                "whether Digest answers without qop count (the libpurple SIMPLE client); weaker against replay",
            ),
            number(
                MAX_ENDPOINTS,
                8,
                (1, 64),
                "endpoints signed in at once; one more displaces the oldest",
            ),
            number(
                MIN_EXPIRES,
                300,
                EXPIRES_BOUNDS,
                "seconds below which an asked expiry is refused (423)",
            ),
            number(
                DEFAULT_EXPIRES,
                600,
                EXPIRES_BOUNDS,
                "seconds granted to a client that asks for none, +-10 %",
            ),
            number(
                MAX_EXPIRES,
                900,
                EXPIRES_BOUNDS,
                "seconds granted at most, whatever is asked",
            ),
        ],
        check: Some(check),
    }
}

fn check(values: &BTreeMap<String, PolicyValue>) -> Result<(), String> {
    let seconds = |key| match values.get(key) {
        Some(PolicyValue::Number(seconds)) => *seconds,
        _ => 0,
    };
    let (min, default, max) = (
        seconds(MIN_EXPIRES),
        seconds(DEFAULT_EXPIRES),
        seconds(MAX_EXPIRES),
    );
    if min <= default && default <= max {
        return Ok(());
    }
    Err(format!(
        "min_expires <= default_expires <= max_expires is needed, not {min}, {default}, {max}"
    ))
}

/// The policy in the form the rules of REGISTER use it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    /// False: signs in nowhere.
    pub(crate) allow: bool,
    /// Whether the RFC 2069 form of Digest counts.
    pub(crate) allow_rfc2069: bool,
    /// Endpoints at once.
    pub(crate) max_endpoints: usize,
    min_expires: u32,
    default_expires: u32,
    max_expires: u32,
}

impl Limits {
    /// Reads the effective policy; the kind has checked it.
    pub(crate) fn of(policy: &EffectivePolicy) -> Self {
        let seconds = |key, fallback| u32::try_from(policy.number(key, fallback)).unwrap_or(0);
        Limits {
            allow: policy.bool(ALLOW, true),
            allow_rfc2069: policy.bool(ALLOW_RFC2069, false),
            max_endpoints: usize::try_from(policy.number(MAX_ENDPOINTS, 8))
                .unwrap_or(1)
                .max(1),
            min_expires: seconds(MIN_EXPIRES, 300),
            default_expires: seconds(DEFAULT_EXPIRES, 600),
            max_expires: seconds(MAX_EXPIRES, 900),
        }
    }

    /// Seconds granted for what was asked, spread by `random` so that clients which signed in together do not all refresh
    /// together. `lenient`: a client that asks for too little gets the minimum instead of a refusal.
    ///
    /// Without a wish the default is spread by +-10 %. A wish is only ever shortened, by up to 10 %: a registrar may
    /// grant less than was asked for, not more (RFC 3261 section 10.3 item 7).
    pub(crate) fn grant(&self, asked: Option<u32>, lenient: bool, random: u64) -> Result<u32, RegisterError> {
        let (low, high) = match asked {
            None => {
                let tenth = self.default_expires / 10;
                (
                    self.default_expires - tenth,
                    self.default_expires.saturating_add(tenth),
                )
            }
            Some(asked) if asked < self.min_expires && !lenient => {
                return Err(RegisterError::IntervalTooBrief(self.min_expires));
            }
            Some(asked) => {
                let wish = asked.max(self.min_expires).min(self.max_expires);
                (wish - wish / 10, wish)
            }
        };
        let (low, high) = (
            low.max(self.min_expires),
            high.min(self.max_expires).max(self.min_expires),
        );
        let span = u64::from(high.saturating_sub(low)) + 1;
        // The remainder is below `span`, which fits 32 bits.
        Ok(low + u32::try_from(random % span).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits::of(&EffectivePolicy {
            kind: REGISTRATION.into(),
            scope: None,
            reason: String::new(),
            values: registration_kind().defaults(),
        })
    }

    #[test]
    fn defaults_are_those_of_the_limits_page() {
        let expected = Limits {
            allow: true,
            allow_rfc2069: false,
            max_endpoints: 8,
            min_expires: 300,
            default_expires: 600,
            max_expires: 900,
        };
        assert_eq!(limits(), expected);
    }

    #[test]
    fn granted_values_are_spread_within_ten_percent_and_within_the_bounds() {
        let rows = [
            (None, 540..=660),
            (Some(600), 540..=600),
            (Some(900), 810..=900),
            (Some(3_600), 810..=900),
            (Some(u32::MAX), 810..=900),
            (Some(300), 300..=300),
            (Some(320), 300..=320),
        ];
        for (asked, expected) in rows {
            let granted: Vec<_> = (0..1_000)
                .map(|random| limits().grant(asked, false, random).unwrap())
                .collect();
            assert_eq!(granted.iter().min(), Some(expected.start()), "{asked:?}");
            assert_eq!(granted.iter().max(), Some(expected.end()), "{asked:?}");
        }
    }

    #[test]
    fn too_little_is_refused_or_raised() {
        assert!(matches!(
            limits().grant(Some(299), false, 0),
            Err(RegisterError::IntervalTooBrief(300))
        ));
        assert_eq!(limits().grant(Some(1), true, 7).unwrap(), 300);
    }

    #[test]
    fn the_expiry_settings_must_be_in_order() {
        let values = |pairs: &[(&str, i64)]| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), PolicyValue::Number(*value)))
                .collect()
        };
        registration_kind()
            .check(&values(&[(MIN_EXPIRES, 60), (MAX_EXPIRES, 7_200)]))
            .unwrap();
        let error = registration_kind()
            .check(&values(&[(MIN_EXPIRES, 700)]))
            .unwrap_err();
        assert!(error.contains("not 700, 600, 900"), "{error}");
        registration_kind()
            .check(&values(&[(DEFAULT_EXPIRES, 901)]))
            .unwrap_err();
    }
}
