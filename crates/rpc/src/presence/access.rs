//! Who may see how much.

use std::sync::Arc;

use sip_types::AddressOfRecord;

/// How much a watcher sees. The number is the Lync family's container of that level.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum AccessLevel {
    /// Name and mail only, as if always offline: nobody in particular (container 0).
    Default,
    /// Availability, name, title, company (100).
    External,
    /// Everything but private numbers (200).
    Colleagues,
    /// The same, and may interrupt somebody who does not want to be disturbed (300).
    Workgroup,
    /// Everything (400).
    Friends,
    /// Offline, and no messages (32000).
    Blocked,
}

impl AccessLevel {
    /// All, from little to much; blocked last, as by number.
    pub const ALL: [AccessLevel; 6] = [
        AccessLevel::Default,
        AccessLevel::External,
        AccessLevel::Colleagues,
        AccessLevel::Workgroup,
        AccessLevel::Friends,
        AccessLevel::Blocked,
    ];

    /// The container's number.
    pub const fn container(self) -> u16 {
        match self {
            AccessLevel::Default => 0,
            AccessLevel::External => 100,
            AccessLevel::Colleagues => 200,
            AccessLevel::Workgroup => 300,
            AccessLevel::Friends => 400,
            AccessLevel::Blocked => 32_000,
        }
    }

    /// The level with this container, if it is one.
    pub fn of_container(container: u16) -> Option<Self> {
        AccessLevel::ALL
            .into_iter()
            .find(|level| level.container() == container)
    }

    /// The name on command lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            AccessLevel::Default => "default",
            AccessLevel::External => "external",
            AccessLevel::Colleagues => "colleagues",
            AccessLevel::Workgroup => "workgroup",
            AccessLevel::Friends => "friends",
            AccessLevel::Blocked => "blocked",
        }
    }
}

/// Where a watcher comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Origin {
    /// A user of this pool's domains.
    SameEnterprise,
    /// A user of a partner's domain.
    Federated,
    /// A user of a public provider.
    PublicCloud,
}

/// Who is a member of a container.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ContainerMember {
    /// One user.
    User(AddressOfRecord),
    /// Everybody of a domain, lower case.
    Domain(Arc<str>),
    /// Everybody of this pool's domains.
    SameEnterprise,
    /// Everybody of a partner.
    Federated,
    /// Everybody of public providers.
    PublicCloud,
    /// Everybody.
    Everyone,
}

impl ContainerMember {
    /// How specific it is: larger wins.
    const fn rank(&self) -> u8 {
        match self {
            ContainerMember::User(_) => 4,
            ContainerMember::Domain(_) => 3,
            ContainerMember::SameEnterprise => 2,
            ContainerMember::Federated | ContainerMember::PublicCloud => 1,
            ContainerMember::Everyone => 0,
        }
    }

    /// Whether it means this watcher.
    fn includes(&self, watcher: &AddressOfRecord, origin: Origin) -> bool {
        match self {
            ContainerMember::User(user) => user == watcher,
            ContainerMember::Domain(domain) => watcher.domain() == &**domain,
            ContainerMember::SameEnterprise => origin == Origin::SameEnterprise,
            ContainerMember::Federated => origin == Origin::Federated,
            ContainerMember::PublicCloud => origin == Origin::PublicCloud,
            ContainerMember::Everyone => true,
        }
    }
}

/// The members of one container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Container {
    /// Its number, 0 to 32767.
    pub id: u16,
    /// Counts its changes.
    pub version: u32,
    /// Its members, each once.
    pub members: Vec<ContainerMember>,
}

/// Who sees how much of one presentity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessRules {
    /// Whose rules.
    pub presentity: AddressOfRecord,
    /// Containers with members, by number. The presentity itself needs none.
    pub containers: Vec<Container>,
    /// Privacy mode: whoever is not named as a user or domain sees [`AccessLevel::Default`], unless it is a contact.
    pub contacts_only: bool,
}

impl AccessRules {
    /// What somebody who changed nothing has: the same enterprise are colleagues, federated users external.
    pub fn usual(presentity: AddressOfRecord) -> Self {
        let container = |level: AccessLevel, member| Container {
            id: level.container(),
            version: 1,
            members: vec![member],
        };
        AccessRules {
            presentity,
            containers: vec![
                container(AccessLevel::External, ContainerMember::Federated),
                container(AccessLevel::Colleagues, ContainerMember::SameEnterprise),
            ],
            contacts_only: false,
        }
    }

    /// The level of a watcher, and the membership that gave it: blocked wins, then the most specific kind of member, then the
    /// highest level. `None`: nothing names this watcher.
    ///
    /// The presentity itself is a friend: its own clients see everything.
    pub fn explain(
        &self,
        watcher: &AddressOfRecord,
        origin: Origin,
    ) -> (AccessLevel, Option<&ContainerMember>) {
        if *watcher == self.presentity {
            return (AccessLevel::Friends, None);
        }
        let mut best: Option<(AccessLevel, &ContainerMember)> = None;
        for container in &self.containers {
            let Some(level) = AccessLevel::of_container(container.id) else {
                continue;
            };
            for member in &container.members {
                let is_class = member.rank() < 3;
                if !member.includes(watcher, origin)
                    || (self.contacts_only && is_class && level != AccessLevel::Blocked)
                {
                    continue;
                }
                let better = best.is_none_or(|(at, by)| {
                    (level == AccessLevel::Blocked, member.rank(), level)
                        > (at == AccessLevel::Blocked, by.rank(), at)
                });
                if better {
                    best = Some((level, member));
                }
            }
        }
        best.map_or((AccessLevel::Default, None), |(level, member)| {
            (level, Some(member))
        })
    }

    /// The level of a watcher; see [`AccessRules::explain`].
    pub fn level_of(&self, watcher: &AddressOfRecord, origin: Origin) -> AccessLevel {
        self.explain(watcher, origin).0
    }
}

/// One change of a container's members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MemberChange {
    /// Adds a member; harmless if it is one.
    Add(ContainerMember),
    /// Removes a member; harmless if it is none.
    Remove(ContainerMember),
}

/// Changes of containers, all or none of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemberChanges {
    /// Container number, the version the client knows (`None`: whatever it is), what changes in it.
    pub containers: Vec<(u16, Option<u32>, Vec<MemberChange>)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aor(text: &str) -> AddressOfRecord {
        AddressOfRecord::parse(text).unwrap()
    }

    fn rules(containers: &[(AccessLevel, ContainerMember)]) -> AccessRules {
        AccessRules {
            presentity: aor("alice@example.test"),
            containers: containers
                .iter()
                .map(|(level, member)| Container {
                    id: level.container(),
                    version: 1,
                    members: vec![member.clone()],
                })
                .collect(),
            contacts_only: false,
        }
    }

    #[test]
    fn a_colleague_can_be_lowered_to_external_because_a_name_is_more_specific_than_a_class() {
        let bob = aor("bob@example.test");
        let rules = rules(&[
            (AccessLevel::Colleagues, ContainerMember::SameEnterprise),
            (AccessLevel::External, ContainerMember::User(bob.clone())),
        ]);
        assert_eq!(
            rules.level_of(&bob, Origin::SameEnterprise),
            AccessLevel::External
        );
        assert_eq!(
            rules.level_of(&aor("carol@example.test"), Origin::SameEnterprise),
            AccessLevel::Colleagues
        );
    }

    #[test]
    fn blocked_wins_over_whatever_is_more_specific() {
        let bob = aor("bob@example.test");
        let rules = rules(&[
            (AccessLevel::Friends, ContainerMember::User(bob.clone())),
            (
                AccessLevel::Blocked,
                ContainerMember::Domain("example.test".into()),
            ),
        ]);
        assert_eq!(rules.level_of(&bob, Origin::SameEnterprise), AccessLevel::Blocked);
    }

    #[test]
    fn among_equals_the_highest_level_counts_and_nobody_in_particular_sees_the_least() {
        let bob = aor("bob@example.test");
        let rules = rules(&[
            (AccessLevel::External, ContainerMember::User(bob.clone())),
            (AccessLevel::Workgroup, ContainerMember::User(bob.clone())),
        ]);
        assert_eq!(
            rules.level_of(&bob, Origin::SameEnterprise),
            AccessLevel::Workgroup
        );
        assert_eq!(
            rules.level_of(&aor("dave@other.test"), Origin::Federated),
            AccessLevel::Default
        );
    }

    #[test]
    fn in_privacy_mode_classes_count_for_nothing_but_blocking() {
        let bob = aor("bob@example.test");
        let mut rules = rules(&[(AccessLevel::Colleagues, ContainerMember::SameEnterprise)]);
        rules.contacts_only = true;
        assert_eq!(rules.level_of(&bob, Origin::SameEnterprise), AccessLevel::Default);
        rules.containers[0]
            .members
            .push(ContainerMember::User(bob.clone()));
        assert_eq!(
            rules.level_of(&bob, Origin::SameEnterprise),
            AccessLevel::Colleagues
        );
    }
}
