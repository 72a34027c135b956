//! `Privacy`: RFC 3323 section 4.2.

use std::fmt;

use crate::header::{HeaderError, HeaderName, TypedHeader};
use crate::limits;
use crate::syntax::{is_token, trim};
use crate::text::SipStr;

/// What the sender wants hidden: `id`, `header`, `session`, `user`, `none`, `critical`. At least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privacy(Vec<SipStr>);

impl Privacy {
    /// Whether `value` is asked for.
    pub fn has(&self, value: &str) -> bool {
        self.0.iter().any(|known| known.eq_ignore_ascii_case(value))
    }

    /// All that is asked for, as written.
    pub fn values(&self) -> &[SipStr] {
        &self.0
    }
}

impl TypedHeader for Privacy {
    const NAME: HeaderName = HeaderName::Privacy;

    fn parse(value: &SipStr) -> Result<Self, HeaderError> {
        // The grammar separates by semicolons; some peers write commas.
        let values: Vec<_> = value.split([';', ',']).map(|one| value.slice_of(trim(one))).collect();
        if values.len() > limits::PARAMETERS || !values.iter().all(|one| is_token(one)) {
            return Err(HeaderError::invalid::<Self>("malformed privacy value"));
        }
        Ok(Self(values))
    }
}

impl fmt::Display for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for value in &self.0 {
            write!(f, "{separator}{value}")?;
            separator = ";";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn values_are_separated_by_semicolons() {
        let privacy: Privacy = check("id ; critical", "id;critical");
        assert!(privacy.has("ID") && privacy.has("critical") && !privacy.has("none"));
        assert_eq!(privacy.values().len(), 2);
        check::<Privacy>("user, id", "user;id");
        refuse::<Privacy>(&["", ";", "id;", "a b", "id=1"]);
    }
}
