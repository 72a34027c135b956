//! Access levels as an operator sets them: a watcher is at one level, not in several containers.

use std::sync::Arc;

use rpc::PresenceClient;
use rpc::presence::{AccessLevel, AccessRules, ContainerMember, MemberChange, MemberChanges};
use sip_types::AddressOfRecord;

use super::{Refusal, address, api, invalid, level_named, member_text, not_found, refused};

/// Who is at which level, as the user made it.
pub(super) async fn read(
    presence: &PresenceClient,
    user: &AddressOfRecord,
) -> Result<Arc<AccessRules>, Refusal> {
    let own = presence.own(user).await?.ok_or_else(|| not_found("user", user))?;
    let rules = own.rules.clone();
    Ok(rules.unwrap_or_else(|| Arc::new(AccessRules::usual(user.clone()))))
}

/// Puts watchers at levels, all or none of them.
pub(super) async fn set(
    presence: &PresenceClient,
    user: &AddressOfRecord,
    wish: &api::Levels,
) -> Result<Arc<AccessRules>, Refusal> {
    let mut wishes = Vec::new();
    for (member, level) in &wish.levels {
        wishes.push((member_named(member)?, level_named(level)?));
    }
    let rules = read(presence, user).await?;
    let changes = changes(&rules, &wishes);
    if changes.containers.is_empty() {
        return Ok(rules);
    }
    presence.change_members(user, changes).await?.map_err(refused)
}

/// What has to change for these wishes to hold. Each container is named with the version that was read, so that a change
/// made by somebody else at the same moment is noticed.
fn changes(rules: &AccessRules, wishes: &[(ContainerMember, AccessLevel)]) -> MemberChanges {
    let mut containers = Vec::new();
    for level in AccessLevel::ALL {
        let container = rules
            .containers
            .iter()
            .find(|container| container.id == level.container());
        let changes: Vec<MemberChange> = wishes
            .iter()
            .filter_map(|(member, wished)| {
                let is_in = container.is_some_and(|container| container.members.contains(member));
                match (*wished == level && level != AccessLevel::Default, is_in) {
                    (true, false) => Some(MemberChange::Add(member.clone())),
                    (false, true) => Some(MemberChange::Remove(member.clone())),
                    _ => None,
                }
            })
            .collect();
        if !changes.is_empty() {
            let version = container.map_or(0, |container| container.version);
            containers.push((level.container(), Some(version), changes));
        }
    }
    MemberChanges { containers }
}

/// The levels that have members.
pub(super) fn listed(rules: &AccessRules) -> Vec<api::LevelMembers> {
    let containers = rules.containers.iter();
    containers
        .filter(|container| !container.members.is_empty())
        .filter_map(|container| {
            Some(api::LevelMembers {
                level: AccessLevel::of_container(container.id)?.as_str().to_owned(),
                members: container.members.iter().map(member_text).collect(),
            })
        })
        .collect()
}

/// The member a word means.
fn member_named(text: &str) -> Result<ContainerMember, Refusal> {
    Ok(match text {
        "same-enterprise" => ContainerMember::SameEnterprise,
        "federated" => ContainerMember::Federated,
        "public-cloud" => ContainerMember::PublicCloud,
        "everyone" => ContainerMember::Everyone,
        _ => match text.strip_prefix("domain:") {
            Some("") => return Err(invalid("`domain:` names no domain")),
            Some(domain) => ContainerMember::Domain(domain.to_ascii_lowercase().into()),
            None => ContainerMember::User(address(text)?),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aor(text: &str) -> AddressOfRecord {
        AddressOfRecord::parse(text).unwrap()
    }

    fn bob() -> ContainerMember {
        ContainerMember::User(aor("bob@example.test"))
    }

    fn usual() -> AccessRules {
        AccessRules::usual(aor("alice@example.test"))
    }

    #[test]
    fn a_watcher_goes_from_one_level_to_another() {
        let mut rules = usual();
        rules.containers[0].members.push(bob());
        let changes = changes(&rules, &[(bob(), AccessLevel::Blocked)]);
        let expected = vec![
            (100, Some(1), vec![MemberChange::Remove(bob())]),
            (32_000, Some(0), vec![MemberChange::Add(bob())]),
        ];
        assert_eq!(changes.containers, expected);
    }

    #[test]
    fn the_default_level_takes_back_what_was_said() {
        let mut rules = usual();
        rules.containers[1].members.push(bob());
        let changes = changes(&rules, &[(bob(), AccessLevel::Default)]);
        let expected = vec![(200, Some(1), vec![MemberChange::Remove(bob())])];
        assert_eq!(changes.containers, expected);
    }

    #[test]
    fn what_is_so_already_changes_nothing() {
        let wishes = [
            (ContainerMember::SameEnterprise, AccessLevel::Colleagues),
            (bob(), AccessLevel::Default),
        ];
        assert_eq!(changes(&usual(), &wishes), MemberChanges::default());
    }

    #[test]
    fn members_are_written_as_they_are_read() {
        for text in [
            "bob@example.test",
            "domain:example.org",
            "same-enterprise",
            "federated",
            "public-cloud",
            "everyone",
        ] {
            let Ok(member) = member_named(text) else {
                panic!("{text} is a member");
            };
            assert_eq!(member_text(&member), text);
        }
        assert!(member_named("domain:").is_err());
        assert!(member_named("bob").is_err());
    }
}
