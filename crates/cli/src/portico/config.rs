//! `portico config check` and `portico config show`.

use std::process::ExitCode;

use super::{Place, refuse};
use crate::out;

pub(super) fn check(place: &Place) -> ExitCode {
    match place.layers().load() {
        Ok(_) => {
            out::line("the configuration is usable");
            ExitCode::SUCCESS
        }
        Err(problems) => refuse(&problems),
    }
}

/// As a file that could be used, each key with where its value comes from.
pub(super) fn show(place: &Place) -> ExitCode {
    let settings = match place.layers().load_with_origins() {
        Ok((_, settings)) => settings,
        Err(problems) => return refuse(&problems),
    };
    let mut text = String::new();
    let mut shown = "";
    for setting in &settings {
        let (section, key) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if section != shown {
            text.push_str(&format!(
                "{}[{section}]\n",
                if shown.is_empty() { "" } else { "\n" }
            ));
            shown = section;
        }
        text.push_str(&format!(
            "{:60} # {}\n",
            format!("{key} = {}", setting.value),
            setting.origin
        ));
    }
    out::print(&text);
    ExitCode::SUCCESS
}
