//! Answers for people.

use std::collections::BTreeMap;

use server::control::api::{Group, GroupMembers, Session, User, Value};

use crate::out::table;

pub(super) fn users(users: &[User]) -> String {
    let rows: Vec<Vec<String>> = users
        .iter()
        .map(|user| {
            vec![
                user.address.clone(),
                user.display_name.clone(),
                user.site.clone(),
                yes_no(user.enabled),
                yes_no(user.ntlm),
            ]
        })
        .collect();
    table(&["address", "name", "site", "enabled", "ntlm"], &rows)
}

pub(super) fn groups(groups: &[Group]) -> String {
    let rows: Vec<Vec<String>> = groups
        .iter()
        .map(|group| {
            vec![
                group.address.clone(),
                group.display_name.clone(),
                group.size.to_string(),
            ]
        })
        .collect();
    table(&["address", "name", "members"], &rows)
}

pub(super) fn group_members(group: &GroupMembers) -> String {
    let rows: Vec<Vec<String>> = group.members.iter().map(|member| vec![member.clone()]).collect();
    let head = groups(std::slice::from_ref(&group.group));
    head + &table(&["member"], &rows)
}

pub(super) fn sessions(sessions: &[Session]) -> String {
    let rows: Vec<Vec<String>> = sessions
        .iter()
        .map(|session| {
            vec![
                session.endpoint.clone(),
                session.member.clone(),
                session.family.clone(),
                session.mode.clone(),
                format!("{} s", session.expires_in),
                session.user_agent.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table(
        &["endpoint", "member", "family", "mode", "expires", "client"],
        &rows,
    )
}

/// `key=value` on one line.
pub(super) fn values(values: &BTreeMap<String, Value>) -> String {
    let pairs: Vec<String> = values
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(" ")
}

pub(super) fn yes_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}
