//! Kinds of policies: which settings there are, and what may be written into them.

use std::collections::BTreeMap;

use rpc::PolicyValue;

/// What a setting may hold, and what it is when nobody makes it.
#[derive(Clone, Debug)]
pub enum SettingRule {
    /// `true` or `false`.
    Switch {
        /// Value when nobody makes it.
        default: bool,
    },
    /// A whole number.
    Number {
        /// Value when nobody makes it.
        default: i64,
        /// Smallest allowed.
        min: i64,
        /// Largest allowed.
        max: i64,
    },
    /// One of these words.
    Choice {
        /// Value when nobody makes it.
        default: &'static str,
        /// All that are allowed.
        choices: &'static [&'static str],
    },
    /// Any text without control characters.
    Text {
        /// Value when nobody makes it.
        default: &'static str,
        /// Longest allowed, in characters.
        max_length: usize,
    },
}

impl SettingRule {
    /// The value when nobody makes it.
    pub fn default_value(&self) -> PolicyValue {
        match self {
            SettingRule::Switch { default } => PolicyValue::Bool(*default),
            SettingRule::Number { default, .. } => PolicyValue::Number(*default),
            SettingRule::Choice { default, .. } | SettingRule::Text { default, .. } => {
                PolicyValue::Text((*default).to_owned())
            }
        }
    }

    /// What may be written, in words.
    pub fn allowed(&self) -> String {
        match self {
            SettingRule::Switch { .. } => "true or false".to_owned(),
            SettingRule::Number { min, max, .. } => format!("a whole number from {min} to {max}"),
            SettingRule::Choice { choices, .. } => format!("one of {}", choices.join(", ")),
            SettingRule::Text { max_length, .. } => format!("text of at most {max_length} characters"),
        }
    }

    /// Reads a value as written by an operator.
    fn parse(&self, text: &str) -> Option<PolicyValue> {
        let value = match self {
            SettingRule::Switch { .. } => PolicyValue::Bool(text.parse().ok()?),
            SettingRule::Number { .. } => PolicyValue::Number(text.parse().ok()?),
            SettingRule::Choice { .. } | SettingRule::Text { .. } => PolicyValue::Text(text.to_owned()),
        };
        self.admits(&value).then_some(value)
    }

    /// Whether a value is of the right type and within bounds.
    fn admits(&self, value: &PolicyValue) -> bool {
        match (self, value) {
            (SettingRule::Switch { .. }, PolicyValue::Bool(_)) => true,
            (SettingRule::Number { min, max, .. }, PolicyValue::Number(number)) => {
                (min..=max).contains(&number)
            }
            (SettingRule::Choice { choices, .. }, PolicyValue::Text(word)) => {
                choices.contains(&word.as_str())
            }
            (SettingRule::Text { max_length, .. }, PolicyValue::Text(text)) => {
                text.chars().count() <= *max_length && !text.chars().any(char::is_control)
            }
            _ => false,
        }
    }
}

/// One thing an operator may set.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its name, lower case with underscores.
    pub key: &'static str,
    /// What it may hold.
    pub rule: SettingRule,
    /// What it does, for the operator: one sentence.
    pub description: &'static str,
}

/// Checks the whole of a policy once every setting alone is right, with defaults filled in. The text says what is wrong.
pub type WholeCheck = fn(&BTreeMap<String, PolicyValue>) -> Result<(), String>;

/// Something an operator may decide for everybody, a site or some users.
#[derive(Clone, Debug)]
pub struct PolicyKind {
    /// Its name, lower case with hyphens: what stands on the command line.
    pub name: &'static str,
    /// What it is about, for the operator: one sentence.
    pub description: &'static str,
    /// Its settings.
    pub settings: Vec<Setting>,
    /// A rule between settings, if there is one.
    pub check: Option<WholeCheck>,
}

impl PolicyKind {
    fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// Every setting with its default.
    pub fn defaults(&self) -> BTreeMap<String, PolicyValue> {
        let pairs = self
            .settings
            .iter()
            .map(|setting| (setting.key.to_owned(), setting.rule.default_value()));
        pairs.collect()
    }

    /// Reads values as an operator writes them.
    ///
    /// # Errors
    /// A sentence that names the setting and says what is allowed.
    pub fn parse(&self, written: &BTreeMap<String, String>) -> Result<BTreeMap<String, PolicyValue>, String> {
        let mut values = BTreeMap::new();
        for (key, text) in written {
            let setting = self.setting(key).ok_or_else(|| self.unknown_setting(key))?;
            let value = setting.rule.parse(text.trim());
            let value = value.ok_or_else(|| self.wrong_value(setting, text))?;
            values.insert(key.clone(), value);
        }
        Ok(values)
    }

    /// Checks a policy as a whole, `values` being the settings it makes.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn check(&self, values: &BTreeMap<String, PolicyValue>) -> Result<(), String> {
        let Some(check) = self.check else { return Ok(()) };
        check(&self.complete(values)).map_err(|reason| format!("policy kind {}: {reason}", self.name))
    }

    /// Fills defaults in. A stored value the kind no longer admits (it was written by another version) counts as not made.
    pub fn complete(&self, values: &BTreeMap<String, PolicyValue>) -> BTreeMap<String, PolicyValue> {
        let mut complete = self.defaults();
        for setting in &self.settings {
            if let Some(value) = values.get(setting.key).filter(|value| setting.rule.admits(value)) {
                complete.insert(setting.key.to_owned(), value.clone());
            }
        }
        complete
    }

    fn unknown_setting(&self, key: &str) -> String {
        let known: Vec<_> = self.settings.iter().map(|setting| setting.key).collect();
        format!(
            "policy kind {} has no setting `{key}`; it has {}",
            self.name,
            known.join(", ")
        )
    }

    fn wrong_value(&self, setting: &Setting, text: &str) -> String {
        // What was written may be long or hold anything; only its beginning is repeated.
        let shown: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
        let allowed = setting.rule.allowed();
        format!(
            "setting `{}` of policy kind {} must be {allowed}, not `{shown}`",
            setting.key, self.name
        )
    }
}

/// A kind that cannot be registered: a defect of the program, found when it starts.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RegisterKindError {
    /// Two roles use one name.
    #[error("two policy kinds are called `{0}`")]
    Twice(&'static str),
    /// A setting's own default is not allowed by its rule, or the defaults together break the rule between them.
    #[error("the defaults of policy kind `{0}` break its own rules")]
    Default(&'static str),
    /// A setting stands twice.
    #[error("policy kind `{0}` has the setting `{1}` twice")]
    SettingTwice(&'static str, &'static str),
}

/// All kinds of this server.
#[derive(Clone, Default, Debug)]
pub struct PolicyKinds {
    kinds: Vec<PolicyKind>,
}

impl PolicyKinds {
    /// None yet. The registrar adds its own when it starts.
    pub fn new() -> Self {
        PolicyKinds::default()
    }

    /// Adds a kind.
    ///
    /// # Errors
    /// [`RegisterKindError`]: the kind is wrong in itself.
    pub fn register(&mut self, kind: PolicyKind) -> Result<(), RegisterKindError> {
        if self.get(kind.name).is_some() {
            return Err(RegisterKindError::Twice(kind.name));
        }
        for (index, setting) in kind.settings.iter().enumerate() {
            if kind.settings[..index]
                .iter()
                .any(|other| other.key == setting.key)
            {
                return Err(RegisterKindError::SettingTwice(kind.name, setting.key));
            }
            if !setting.rule.admits(&setting.rule.default_value()) {
                return Err(RegisterKindError::Default(kind.name));
            }
        }
        if kind.check(&BTreeMap::new()).is_err() {
            return Err(RegisterKindError::Default(kind.name));
        }
        self.kinds.push(kind);
        Ok(())
    }

    /// The kinds, in order of registration.
    pub fn iter(&self) -> impl Iterator<Item = &PolicyKind> {
        self.kinds.iter()
    }

    /// The kind of this name.
    pub fn get(&self, name: &str) -> Option<&PolicyKind> {
        self.find(name).map(|(_, kind)| kind)
    }

    /// The kind of this name, and its place, which never changes.
    pub(crate) fn find(&self, name: &str) -> Option<(usize, &PolicyKind)> {
        self.kinds.iter().enumerate().find(|(_, kind)| kind.name == name)
    }
}

#[cfg(test)]
mod tests;
