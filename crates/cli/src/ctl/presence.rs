//! `porticoctl presence ...`.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand, ValueEnum};
use hyper::Method;
use server::control::api::{CalendarReport, LevelMembers, Levels, OutOfOfficeReport, Presence, Report};

use super::client::segment;
use super::failure::Failure;
use super::{Format, Terms};
use crate::out;

/// What to do with presence.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Show what a user's own clients see of the user, or what a watcher sees
    Show {
        /// Address of the user
        user: String,
        /// Who looks
        #[arg(long)]
        watcher: Option<String>,
    },
    /// Show it, and again after every change, until interrupted; with -o json one object per line
    Watch {
        /// Address of the user
        user: String,
        /// Who looks
        #[arg(long)]
        watcher: Option<String>,
    },
    /// Show who is at which access level
    Levels {
        /// Address of the user
        user: String,
    },
    /// Set access levels, or report what a calendar or an administrator has to say
    ///
    /// Times are RFC 3339, such as 2026-11-21T10:00:00Z, or Unix seconds. Access levels are set first; what is reported is
    /// published all or not at all.
    Set(Set),
}

/// What to set.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub struct Set {
    /// Address of the user
    user: String,
    /// Put a watcher at a level: default, external, colleagues, workgroup, friends or blocked. A watcher is an address,
    /// domain:DOMAIN, same-enterprise, federated, public-cloud or everyone
    #[arg(long, value_name = "WATCHER=LEVEL", group = "change")]
    level: Vec<String>,
    /// busy: a meeting from --from (now) until --until. free: meetings that overlap this time, or all, are taken back
    #[arg(long, group = "change")]
    calendar: Option<Calendar>,
    /// on: out of office from --from (now) until --until (`off`)
    #[arg(long, group = "change", conflicts_with = "calendar")]
    out_of_office: Option<Switch>,
    /// When it begins
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// When it ends
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// What the meeting is about
    #[arg(long, value_name = "TEXT", requires = "calendar")]
    subject: Option<String>,
    /// Where the meeting is
    #[arg(long, value_name = "TEXT", requires = "calendar")]
    location: Option<String>,
    /// The text of the out-of-office reply
    #[arg(long, value_name = "TEXT", requires = "out_of_office")]
    reply: Option<String>,
    /// Show a note with the user, besides the user's own
    #[arg(long, value_name = "TEXT", group = "change")]
    note: Option<String>,
    /// Take that note back
    #[arg(long, group = "change", conflicts_with = "note")]
    clear_note: bool,
}

/// What the calendar says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Calendar {
    /// A meeting
    Busy,
    /// No meeting
    Free,
}

/// On or off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Switch {
    /// It is so
    On,
    /// It is not
    Off,
}

pub(super) async fn run(terms: &Terms, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Show { user, watcher } => {
            let path = format!("{}{}", path(&user), by(watcher.as_deref()));
            let presence: Presence = terms.client.get(&path).await?;
            terms.show(&presence, |presence| text(presence, now()));
            Ok(())
        }
        Verb::Watch { user, watcher } => {
            let path = format!("{}/watch{}", path(&user), by(watcher.as_deref()));
            let format = terms.format;
            terms
                .client
                .follow(&path, |presence: Presence| match format {
                    Format::Table => out::line(&line(&presence)),
                    // Invariant: what was read from JSON can be written as JSON.
                    Format::Json => out::line(&serde_json::to_string(&presence).unwrap_or_default()),
                })
                .await
        }
        Verb::Levels { user } => {
            let levels: Vec<LevelMembers> = terms.client.get(&format!("{}/levels", path(&user))).await?;
            terms.show(&levels, |levels| levels_text(levels));
            Ok(())
        }
        Verb::Set(set) => self::set(terms, set).await,
    }
}

async fn set(terms: &Terms, set: Set) -> Result<(), Failure> {
    let path = path(&set.user);
    let levels = levels(&set.level)?;
    if (set.from.is_some() || set.until.is_some()) && set.calendar.is_none() && set.out_of_office.is_none() {
        return Err(Failure::usage(
            "--from and --until go with --calendar or --out-of-office",
        ));
    }
    let user = set.user.clone();
    let report = report(set)?;
    if !levels.is_empty() {
        let wish = Levels { levels };
        let _now: Vec<LevelMembers> = terms
            .client
            .send(Method::PATCH, &format!("{path}/levels"), &wish)
            .await?;
    }
    if report != Report::default() {
        terms.client.post(&path, &report).await?;
    }
    terms.done(&format!("presence of {user} is set"));
    Ok(())
}

/// Reads `WATCHER=LEVEL`; what the two may be the server knows.
fn levels(words: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut levels = BTreeMap::new();
    for word in words {
        let Some((watcher, level)) = word.rsplit_once('=').filter(|(watcher, _)| !watcher.is_empty()) else {
            return Err(Failure::usage(format!(
                "`{word}` is no level: write --level WATCHER=LEVEL"
            )));
        };
        if levels.insert(watcher.to_owned(), level.to_owned()).is_some() {
            return Err(Failure::usage(format!("{watcher} is there twice")));
        }
    }
    Ok(levels)
}

fn report(set: Set) -> Result<Report, Failure> {
    if set.calendar == Some(Calendar::Busy) && set.until.is_none() {
        return Err(Failure::usage("a meeting needs its end: --until TIME"));
    }
    let calendar = set.calendar.map(|calendar| CalendarReport {
        busy: calendar == Calendar::Busy,
        from: set.from.clone(),
        until: set.until.clone(),
        subject: set.subject,
        location: set.location,
    });
    let out_of_office = set.out_of_office.map(|switch| OutOfOfficeReport {
        away: switch == Switch::On,
        from: set.from,
        until: set.until,
        text: set.reply,
    });
    let cleared = set.clear_note.then(String::new);
    Ok(Report {
        calendar,
        out_of_office,
        note: set.note.or(cleared),
    })
}

fn path(user: &str) -> String {
    format!("/v1/presence/{}", segment(user))
}

fn by(watcher: Option<&str>) -> String {
    watcher.map_or_else(String::new, |watcher| format!("?watcher={}", segment(watcher)))
}

/// Unix seconds now.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// What somebody sees, on several lines.
pub(super) fn text(presence: &Presence, now: u64) -> String {
    let watcher = presence.watcher.as_ref().unwrap_or(&presence.presentity);
    // Who sees little is not told since when, either.
    let lasted = match presence.since {
        0 => String::new(),
        since => format!(", for {}", age(now.saturating_sub(since))),
    };
    let mut text = format!(
        "{} · seen by {watcher} as {}\n  state      {} ({}){lasted}\n",
        presence.presentity, presence.level, presence.state, presence.availability,
    );
    let mut line = |name: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            text.push_str(&format!("  {name:10} {value}\n"));
        }
    };
    line("activity", presence.activity.as_deref());
    line("meeting", presence.meeting_subject.as_deref());
    line("place", presence.location.as_deref());
    let last_active = presence.last_active.map(|at| age(now.saturating_sub(at)));
    let last_active = last_active.map(|age| format!("{age} ago"));
    line("active", last_active.as_deref());
    line("name", Some(&presence.display_name));
    for note in &presence.notes {
        let kind = if note.kind == "personal" {
            "note"
        } else {
            "away note"
        };
        line(kind, Some(&note.text));
    }
    text
}

/// The same on one line.
fn line(presence: &Presence) -> String {
    let mut line = format!(
        "{} {} {} ({})",
        presence.presentity, presence.level, presence.state, presence.availability
    );
    let words = [&presence.activity, &presence.meeting_subject, &presence.location];
    for word in words.into_iter().flatten() {
        line.push_str(&format!(" · {word}"));
    }
    for note in &presence.notes {
        line.push_str(&format!(" · \"{}\"", note.text));
    }
    // One change is one line, whatever people write.
    line.replace(['\n', '\r'], " ")
}

fn levels_text(levels: &[LevelMembers]) -> String {
    let members = levels.iter().flat_map(|level| {
        let row = |member: &String| vec![member.clone(), level.level.clone()];
        level.members.iter().map(row)
    });
    let rows: Vec<Vec<String>> = members.collect();
    out::table(&["watcher", "level"], &rows)
}

/// A time in its largest unit.
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn levels_are_watcher_and_level() {
        let levels = levels(&words("bob@example.test=blocked domain:example.org=external")).unwrap();
        assert_eq!(levels["bob@example.test"], "blocked");
        assert_eq!(levels["domain:example.org"], "external");
    }

    #[test]
    fn a_slip_in_a_level_is_a_usage_error() {
        for text in [
            "bob@example.test",
            "=blocked",
            "a@b.test=friends a@b.test=blocked",
        ] {
            assert_eq!(super::levels(&words(text)).unwrap_err().exit_code(), 2, "{text}");
        }
    }

    #[test]
    fn one_change_is_one_line() {
        let mut presence = Presence {
            presentity: "amy@example.test".to_owned(),
            watcher: None,
            level: "friends".to_owned(),
            state: "busy".to_owned(),
            availability: 6_500,
            activity: Some("in-a-meeting".to_owned()),
            since: 100,
            last_active: None,
            location: None,
            meeting_subject: Some("Budget\nand more".to_owned()),
            notes: Vec::new(),
            display_name: "Amy".to_owned(),
        };
        assert_eq!(
            line(&presence),
            "amy@example.test friends busy (6500) · in-a-meeting · Budget and more"
        );
        assert!(text(&presence, 160).contains("busy (6500), for 1 min"));
        presence.since = 0;
        assert!(text(&presence, 160).contains("busy (6500)\n"));
    }

    #[test]
    fn ages_are_told_in_their_largest_unit() {
        assert_eq!([59, 60, 7_200, 200_000].map(age), ["59 s", "1 min", "2 h", "2 d"]);
    }
}
