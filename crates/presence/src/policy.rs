//! The policy kind of this role, as data: what can be set, and what applies when nothing is.

use rpc::{EffectivePolicy, RolePolicy, RoleSetting, SettingDefault};

const DEFAULT_MAX_CONTACTS: i64 = 250;

const MAX_CONTACTS: RoleSetting = RoleSetting {
    name: "max_contacts",
    summary: "contacts in the list of a user",
    default: SettingDefault::Number {
        default: DEFAULT_MAX_CONTACTS,
        min: 0,
        max: 1_000,
    },
};

const DEFAULT_MAX_PROMPTED: i64 = 200;

const MAX_PROMPTED: RoleSetting = RoleSetting {
    name: "max_prompted_subscribers",
    summary: "new watchers a user is told of until they are acknowledged; 0: none",
    default: SettingDefault::Number {
        default: DEFAULT_MAX_PROMPTED,
        min: 0,
        max: 600,
    },
};

const DEFAULT_MAX_GROUP_SIZE: i64 = 100;

const MAX_GROUP_SIZE: RoleSetting = RoleSetting {
    name: "max_group_size_to_expand",
    summary: "members up to which an organisational group in the contact list is shown as its members",
    default: SettingDefault::Number {
        default: DEFAULT_MAX_GROUP_SIZE,
        min: 1,
        max: 1_000,
    },
};

const PRIVACY_MODE: RoleSetting = RoleSetting {
    name: "privacy_mode",
    summary: "only contacts, and people and domains that were named, see presence",
    default: SettingDefault::Bool(false),
};

/// The policy kind `presence`, to be registered with the policy engine by whoever composes the server.
pub const PRESENCE_POLICY: RolePolicy = RolePolicy {
    name: "presence",
    summary: "contacts, watchers and privacy",
    settings: &[MAX_CONTACTS, MAX_GROUP_SIZE, MAX_PROMPTED, PRIVACY_MODE],
};

/// The settings that apply to one person.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PresencePolicy {
    pub(crate) max_contacts: u32,
    pub(crate) max_group_size: u32,
    pub(crate) max_prompted: usize,
    pub(crate) privacy_mode: bool,
}

impl PresencePolicy {
    /// Reads what the policy engine found; settings it does not know have the default of [`PRESENCE_POLICY`].
    pub(crate) fn read(policy: &EffectivePolicy) -> Self {
        let contacts = policy.number(MAX_CONTACTS.name, DEFAULT_MAX_CONTACTS);
        let group_size = policy.number(MAX_GROUP_SIZE.name, DEFAULT_MAX_GROUP_SIZE);
        let prompted = policy.number(MAX_PROMPTED.name, DEFAULT_MAX_PROMPTED);
        PresencePolicy {
            max_contacts: u32::try_from(contacts).unwrap_or(0),
            max_group_size: u32::try_from(group_size).unwrap_or(0),
            max_prompted: usize::try_from(prompted).unwrap_or(0),
            privacy_mode: policy.bool(PRIVACY_MODE.name, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc::PolicyValue;

    fn read(values: &[(&str, PolicyValue)]) -> PresencePolicy {
        PresencePolicy::read(&EffectivePolicy {
            kind: PRESENCE_POLICY.name.to_owned(),
            scope: None,
            reason: String::new(),
            values: values
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
        })
    }

    #[test]
    fn without_a_policy_the_defaults_of_the_kind_apply() {
        let expected = PresencePolicy {
            max_contacts: 250,
            max_group_size: 100,
            max_prompted: 200,
            privacy_mode: false,
        };
        assert_eq!(read(&[]), expected);
    }

    #[test]
    fn what_a_policy_sets_wins() {
        let policy = read(&[
            ("max_contacts", PolicyValue::Number(1_000)),
            ("max_group_size_to_expand", PolicyValue::Number(30)),
            ("max_prompted_subscribers", PolicyValue::Number(0)),
            ("privacy_mode", PolicyValue::Bool(true)),
        ]);
        let expected = PresencePolicy {
            max_contacts: 1_000,
            max_group_size: 30,
            max_prompted: 0,
            privacy_mode: true,
        };
        assert_eq!(policy, expected);
    }

    #[test]
    fn every_default_lies_in_its_own_range() {
        for setting in PRESENCE_POLICY.settings {
            if let SettingDefault::Number { default, min, max } = setting.default {
                assert!((min..=max).contains(&default), "{}", setting.name);
            }
        }
    }
}
