//! `Date`: RFC 3261 section 20.17.

use std::fmt;

use crate::header::{HeaderError, HeaderName, TypedHeader};
use crate::syntax::{parse_u8, parse_u16, trim};
use crate::text::SipStr;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY: u64 = 86_400;
/// The last second of the year 9999: four digits are all the format has.
const MAX: u64 = 253_402_300_799;

/// A point in time, `Sat, 13 Nov 2010 23:29:00 GMT`. There is no other zone than GMT, and no time before 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    unix: u64,
}

impl Date {
    /// The date of this many seconds since 1970; times after the year 9999 become its last second.
    pub fn from_unix(seconds: u64) -> Self {
        Self { unix: seconds.min(MAX) }
    }

    /// Seconds since 1970.
    pub fn unix(self) -> u64 {
        self.unix
    }
}

impl TypedHeader for Date {
    const NAME: HeaderName = HeaderName::Date;

    fn parse(value: &SipStr) -> Result<Self, HeaderError> {
        parse(trim(value)).ok_or(HeaderError::invalid::<Self>("not an RFC 1123 date in GMT"))
    }
}

/// `wkday "," SP 2DIGIT SP month SP 4DIGIT SP 2DIGIT ":" 2DIGIT ":" 2DIGIT SP "GMT"`. The name of the day is not
/// compared with the date.
fn parse(text: &str) -> Option<Date> {
    let mut words = text.split(' ');
    let weekday = words.next()?.strip_suffix(',')?;
    if !DAYS.iter().any(|known| known.eq_ignore_ascii_case(weekday)) {
        return None;
    }
    let day = fixed(words.next()?, 2)?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|known| known.eq_ignore_ascii_case(month))?;
    let year = fixed(words.next()?, 4)?;
    let mut clock = words.next()?.split(':');
    let (hour, minute, second) = (fixed(clock.next()?, 2)?, fixed(clock.next()?, 2)?, fixed(clock.next()?, 2)?);
    let zone = words.next()?;
    let over = clock.next().is_some() || words.next().is_some();
    if over || !zone.eq_ignore_ascii_case("GMT") || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_since_1970(year, u64::try_from(month).ok()?, day)?;
    let seconds = hour.checked_mul(3600)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)?;
    Some(Date::from_unix(days.checked_mul(DAY)?.checked_add(seconds)?))
}

/// A number of exactly this many digits.
fn fixed(text: &str, digits: usize) -> Option<u64> {
    if text.len() != digits {
        return None;
    }
    parse_u16(text).ok().or_else(|| parse_u8(text).ok().map(u16::from)).map(u64::from)
}

/// Days from 1970-01-01; `month` counts from 0.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let length = month_length(year, month);
    if year < 1970 || day == 0 || day > length {
        return None;
    }
    let earlier_years = days_before_year(year).checked_sub(days_before_year(1970))?;
    let earlier_months: u64 = (0..month).map(|month| month_length(year, month)).sum();
    earlier_years.checked_add(earlier_months)?.checked_add(day)?.checked_sub(1)
}

/// Days from the (proleptic) year 1 to the beginning of `year`, which is 1 to 9999.
fn days_before_year(year: u64) -> u64 {
    let past = year.saturating_sub(1);
    (past * 365 + past / 4 + past / 400).saturating_sub(past / 100)
}

fn month_length(year: u64, month: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 if leap => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, clock) = (self.unix / DAY, self.unix % DAY);
        let name = |names: &[&'static str], at: u64| usize::try_from(at).ok().and_then(|at| names.get(at).copied());
        let weekday = name(&DAYS, days % 7).unwrap_or_default();
        let from_year_one = days.saturating_add(days_before_year(1970));
        // Never too late a year, at most one too early.
        let mut year = from_year_one / 366 + 1;
        while days_before_year(year.saturating_add(1)) <= from_year_one {
            year = year.saturating_add(1);
        }
        let mut day = from_year_one.saturating_sub(days_before_year(year));
        let mut month = 0;
        while month < 11 && day >= month_length(year, month) {
            day = day.saturating_sub(month_length(year, month));
            month = month.saturating_add(1);
        }
        let month = name(&MONTHS, month).unwrap_or_default();
        let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
        write!(f, "{weekday}, {:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT", day.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn dates_are_seconds() {
        let cases = [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sat, 13 Nov 2010 23:29:00 GMT", 1_289_690_940),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ];
        for (text, unix) in cases {
            assert_eq!(check::<Date>(text, text).unix(), unix, "{text}");
        }
    }

    #[test]
    fn every_day_prints_and_parses() {
        for day in (0..60_000).chain(2_900_000..2_932_000) {
            let date = Date::from_unix(day * DAY + day % DAY);
            check::<Date>(&date.to_string(), &date.to_string());
        }
        assert_eq!(Date::from_unix(u64::MAX).to_string(), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn other_forms_are_refused() {
        refuse::<Date>(&[
            "",
            "Fri, 01 Jan 2010 16:00:00 EST",
            "Fri, 1 Jan 2010 16:00:00 GMT",
            "Fri 01 Jan 2010 16:00:00 GMT",
            "Fry, 01 Jan 2010 16:00:00 GMT",
            "Fri, 32 Jan 2010 16:00:00 GMT",
            "Mon, 29 Feb 2100 16:00:00 GMT",
            "Fri, 00 Jan 2010 16:00:00 GMT",
            "Fri, 01 Jan 1969 16:00:00 GMT",
            "Fri, 01 Jan 2010 24:00:00 GMT",
            "Fri, 01 Jan 2010 16:00 GMT",
            "Fri, 01 Jan 2010 16:00:00 GMT x",
            "Fri, 01 Jan 2010 16:00:00:00 GMT",
        ]);
    }
}
