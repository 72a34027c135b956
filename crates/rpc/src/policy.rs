//! The policy kind of a role, as data: the role says what can be set, whoever composes the server tells the policy engine.

/// The value a setting has where no policy sets it, and what values it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SettingDefault {
    /// On or off.
    Bool(bool),
    /// A number and the range that is allowed.
    Number {
        /// Where nothing is set.
        default: i64,
        /// Smallest allowed value.
        min: i64,
        /// Largest allowed value.
        max: i64,
    },
}

/// One setting of a policy kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoleSetting {
    /// Name on the command line and in the store.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Type, default and range.
    pub default: SettingDefault,
}

/// The kind of policy that a role reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RolePolicy {
    /// Name on the command line and in the store.
    pub name: &'static str,
    /// What it is about, in one line.
    pub summary: &'static str,
    /// Its settings.
    pub settings: &'static [RoleSetting],
}
