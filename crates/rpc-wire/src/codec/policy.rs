//! Policies and their settings.

use std::collections::{BTreeMap, HashMap};

use rpc::{EffectivePolicy, PolicyScope, PolicyValue, PolicyView};

use super::{Malformed, named};
use crate::proto::registrar::v1 as wire;

impl From<&PolicyValue> for wire::PolicyValue {
    fn from(value: &PolicyValue) -> Self {
        let value = match value {
            PolicyValue::Bool(value) => wire::policy_value::Value::Bool(*value),
            PolicyValue::Number(value) => wire::policy_value::Value::Number(*value),
            PolicyValue::Text(value) => wire::policy_value::Value::Text(value.clone()),
        };
        wire::PolicyValue { value: Some(value) }
    }
}

fn values_to_wire(values: &BTreeMap<String, PolicyValue>) -> HashMap<String, wire::PolicyValue> {
    let one = |(key, value): (&String, &PolicyValue)| (key.clone(), value.into());
    values.iter().map(one).collect()
}

/// A setting whose type this version does not know is left out, as one that was never made.
fn values(values: HashMap<String, wire::PolicyValue>) -> BTreeMap<String, PolicyValue> {
    let one = |(key, value): (String, wire::PolicyValue)| {
        let value = match value.value? {
            wire::policy_value::Value::Bool(value) => PolicyValue::Bool(value),
            wire::policy_value::Value::Number(value) => PolicyValue::Number(value),
            wire::policy_value::Value::Text(value) => PolicyValue::Text(value),
        };
        Some((key, value))
    };
    values.into_iter().filter_map(one).collect()
}

/// The scope of a policy. Empty is malformed.
pub(crate) fn scope(field: &'static str, name: &str) -> Result<PolicyScope, Malformed> {
    named(field, name)?;
    Ok(PolicyScope::parse(name))
}

impl From<&EffectivePolicy> for wire::EffectivePolicy {
    fn from(policy: &EffectivePolicy) -> Self {
        wire::EffectivePolicy {
            kind: policy.kind.clone(),
            scope: policy.scope.as_ref().map(PolicyScope::to_string),
            reason: policy.reason.clone(),
            values: values_to_wire(&policy.values),
        }
    }
}

impl TryFrom<wire::EffectivePolicy> for EffectivePolicy {
    type Error = Malformed;

    fn try_from(policy: wire::EffectivePolicy) -> Result<Self, Malformed> {
        named("effective_policy.kind", &policy.kind)?;
        let scope = policy.scope.as_deref();
        Ok(EffectivePolicy {
            kind: policy.kind,
            scope: scope
                .map(|name| self::scope("effective_policy.scope", name))
                .transpose()?,
            reason: policy.reason,
            values: values(policy.values),
        })
    }
}

impl From<&PolicyView> for wire::Policy {
    fn from(policy: &PolicyView) -> Self {
        wire::Policy {
            kind: policy.kind.clone(),
            scope: policy.scope.to_string(),
            values: values_to_wire(&policy.values),
        }
    }
}

impl TryFrom<wire::Policy> for PolicyView {
    type Error = Malformed;

    fn try_from(policy: wire::Policy) -> Result<Self, Malformed> {
        named("policy.kind", &policy.kind)?;
        Ok(PolicyView {
            scope: scope("policy.scope", &policy.scope)?,
            kind: policy.kind,
            values: values(policy.values),
        })
    }
}
