//! Changes of who is at which access level.

use rpc::presence::{
    AccessLevel, AccessRules, Contact, Container, ContainerMember, MemberChange, MemberChanges,
    PublishRefusal,
};
use sip_types::AddressOfRecord;

use crate::limits::Limits;

/// The rules after some changes. Every container that is named gets a new version, also if nothing in it changed: the
/// client counts its requests.
///
/// # Errors
/// All conflicts there are; else the first change that cannot be, or the limit of members.
pub(crate) fn apply(
    rules: &AccessRules,
    changes: &MemberChanges,
    limits: &Limits,
) -> Result<AccessRules, PublishRefusal> {
    for (container, _, changes) in &changes.containers {
        check(*container, changes)?;
    }
    let mut after = rules.clone();
    let mut conflicts = Vec::new();
    for (index, (id, known, changes)) in changes.containers.iter().enumerate() {
        let at = match after
            .containers
            .binary_search_by_key(id, |container| container.id)
        {
            Ok(at) => at,
            Err(at) => {
                let container = Container {
                    id: *id,
                    version: 0,
                    members: Vec::new(),
                };
                after.containers.insert(at, container);
                at
            }
        };
        let container = &mut after.containers[at];
        if let Some(known) = *known
            && known != container.version
        {
            conflicts.push((index, known, container.version));
            continue;
        }
        container.version = container.version.saturating_add(1);
        for change in changes {
            match change {
                MemberChange::Add(member) if container.members.contains(member) => {}
                MemberChange::Add(member) => container.members.push(member.clone()),
                MemberChange::Remove(member) => container.members.retain(|one| one != member),
            }
        }
    }
    if !conflicts.is_empty() {
        return Err(PublishRefusal::Conflict(conflicts));
    }
    let members = |rules: &AccessRules| -> usize {
        rules
            .containers
            .iter()
            .map(|container| container.members.len())
            .sum()
    };
    if members(&after) > limits.members && members(&after) > members(rules) {
        return Err(PublishRefusal::Limit(format!(
            "at most {} members are kept of all access levels",
            limits.members
        )));
    }
    Ok(after)
}

fn check(container: u16, changes: &[MemberChange]) -> Result<(), PublishRefusal> {
    let Some(level) = AccessLevel::of_container(container).filter(|level| *level != AccessLevel::Default)
    else {
        return Err(PublishRefusal::Invalid(format!(
            "container {container} has no members"
        )));
    };
    for change in changes {
        let MemberChange::Add(member) = change else {
            continue;
        };
        if !may_hold(level, member) {
            return Err(PublishRefusal::Invalid(format!(
                "container {container} has no members of this kind"
            )));
        }
    }
    Ok(())
}

/// Whether a level may hold this kind of member: what is private is for people and domains that were named.
fn may_hold(level: AccessLevel, member: &ContainerMember) -> bool {
    match member {
        ContainerMember::User(_) => true,
        ContainerMember::Domain(domain) => {
            (1..=253).contains(&domain.len())
                && !domain.contains(|c: char| c.is_ascii_uppercase() || c.is_whitespace() || c.is_control())
        }
        ContainerMember::SameEnterprise => matches!(
            level,
            AccessLevel::External | AccessLevel::Colleagues | AccessLevel::Blocked
        ),
        ContainerMember::Federated | ContainerMember::PublicCloud => {
            matches!(level, AccessLevel::External | AccessLevel::Blocked)
        }
        ContainerMember::Everyone => level == AccessLevel::External,
    }
}

/// The rules in privacy mode: classes count for nothing but blocking, and contacts that are not placed otherwise see as
/// much as their class would without it.
pub(crate) fn with_privacy<'a>(
    rules: &AccessRules,
    contacts: impl Iterator<Item = &'a Contact>,
) -> AccessRules {
    let mut after = rules.clone();
    after.contacts_only = true;
    for contact in contacts {
        let level = level_as_contact(&rules.presentity, &contact.uri);
        let id = level.container();
        let is_placed = |container: &Container| {
            AccessLevel::of_container(container.id).is_some()
                && container.members.iter().any(|member| match member {
                    ContainerMember::User(user) => *user == contact.uri,
                    ContainerMember::Domain(domain) => **domain == *contact.uri.domain(),
                    _ => false,
                })
        };
        if rules.containers.iter().any(is_placed) {
            continue;
        }
        let member = ContainerMember::User(contact.uri.clone());
        match after
            .containers
            .binary_search_by_key(&id, |container| container.id)
        {
            Ok(at) => after.containers[at].members.push(member),
            Err(at) => after.containers.insert(
                at,
                Container {
                    id,
                    version: 0,
                    members: vec![member],
                },
            ),
        }
    }
    after
}

/// People of the user's own domain are colleagues, others external.
fn level_as_contact(user: &AddressOfRecord, contact: &AddressOfRecord) -> AccessLevel {
    if user.domain() == contact.domain() {
        AccessLevel::Colleagues
    } else {
        AccessLevel::External
    }
}

#[cfg(test)]
mod tests;
