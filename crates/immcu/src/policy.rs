//! The policy kind of this role, as data: what can be set, and what applies when nothing is.

use rpc::{EffectivePolicy, RolePolicy, RoleSetting, SettingDefault};

const ENABLED: RoleSetting = RoleSetting {
    name: "enabled",
    summary: "may send and receive instant messages",
    default: SettingDefault::Bool(true),
};

/// 64 KiB after decoding: the product's limit for one text.
const DEFAULT_MAX_TEXT_BYTES: i64 = 65_536;

/// At most 128 KiB, the largest body a client may send.
const MAX_TEXT_BYTES: RoleSetting = RoleSetting {
    name: "max_text_bytes",
    summary: "largest text in bytes, sent or received",
    default: SettingDefault::Number {
        default: DEFAULT_MAX_TEXT_BYTES,
        min: 1,
        max: 131_072,
    },
};

/// The policy kind `im`, to be registered with the policy engine by whoever composes the server.
pub const IM_POLICY: RolePolicy = RolePolicy {
    name: "im",
    summary: "instant messages between two people",
    settings: &[ENABLED, MAX_TEXT_BYTES],
};

/// The settings that apply to one person.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ImPolicy {
    /// May send and receive.
    pub(crate) enabled: bool,
    /// Largest text in bytes.
    pub(crate) max_text_bytes: usize,
}

impl ImPolicy {
    /// Reads what the policy engine found; settings it does not know have the default of [`IM_POLICY`].
    pub(crate) fn read(policy: &EffectivePolicy) -> Self {
        let max = policy.number(MAX_TEXT_BYTES.name, DEFAULT_MAX_TEXT_BYTES);
        ImPolicy {
            enabled: policy.bool(ENABLED.name, true),
            max_text_bytes: usize::try_from(max).unwrap_or(0),
        }
    }
}

impl Default for ImPolicy {
    fn default() -> Self {
        ImPolicy {
            enabled: true,
            max_text_bytes: DEFAULT_MAX_TEXT_BYTES as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc::PolicyValue;

    fn effective(values: &[(&str, PolicyValue)]) -> EffectivePolicy {
        EffectivePolicy {
            kind: "im".to_owned(),
            scope: None,
            reason: String::new(),
            values: values
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
        }
    }

    #[test]
    fn without_a_policy_the_defaults_of_the_kind_apply() {
        let policy = ImPolicy::read(&effective(&[]));
        assert_eq!(policy, ImPolicy::default());
    }

    #[test]
    fn what_a_policy_sets_wins() {
        let policy = ImPolicy::read(&effective(&[
            ("enabled", PolicyValue::Bool(false)),
            ("max_text_bytes", PolicyValue::Number(10)),
        ]));
        assert_eq!(
            policy,
            ImPolicy {
                enabled: false,
                max_text_bytes: 10
            }
        );
    }

    #[test]
    fn every_default_lies_in_its_own_range() {
        for setting in IM_POLICY.settings {
            if let SettingDefault::Number { default, min, max } = setting.default {
                assert!((min..=max).contains(&default), "{}", setting.name);
            }
        }
    }
}
