//! The one policy engine of the product.
//!
//! A role that lets an operator decide something describes it as a [`PolicyKind`]: settings with types, bounds and
//! defaults. Kinds are collected in [`PolicyKinds`] when the server is composed. A *policy* is a stored set of values for a
//! kind and a scope: everybody, a site, or a tag that is granted to users.
//!
//! **The nearest policy wins as a whole**: the one granted to the user, else the one of the user's site, else the global
//! one. Settings it does not make have the defaults of the kind; policies further away are not looked into. So an operator
//! has to read one policy, not three, to know what applies (this is how the product this one replaces does it).
//!
//! A change takes effect at once: [`PolicyEngine`] keeps all stored policies in memory with a generation number, and an
//! answer that was worked out under an older number is worked out again.

mod engine;
mod kind;
mod registration;

pub use kind::{PolicyKind, PolicyKinds, RegisterKindError, Setting, SettingRule, WholeCheck};

pub(crate) use engine::{Assignment, CachedPolicies, PolicyEngine};
pub use registration::registration_kind;
pub(crate) use registration::{Limits, REGISTRATION};
