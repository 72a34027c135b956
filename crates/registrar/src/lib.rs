//! The registrar role: who somebody is, where they can be reached, and which policy applies to them.
//!
//! [`RegistrarService`] is the role; it has two faces, [`rpc::Registrar`] for the other roles and [`rpc::Directory`] for
//! administrators. It knows **no** SIP (front ends turn REGISTER into [`rpc::Register`]) and **no** SQL (it is handed
//! [`Stores`]). Credentials never leave it: proofs come in, identities and session keys go out.
//!
//! | Question | Where |
//! |---|---|
//! | Is this proof right? | `authenticate`, with `credentials` for what is stored |
//! | What does this REGISTER change? | `register::rules`, pure; `register` makes it true |
//! | Where is this user? | `location`, from memory |
//! | Who ends what is not refreshed? | `expiry`, one task |
//! | Who notices what others changed in the stores? | `following`, one task |
//! | Which policy applies? | [`PolicyKind`] and `policy::engine` |
//! | Whom does somebody mean? | `search` |
//! | Who changed what? | `audit` |
//!
//! **To add a policy kind** of another role: describe it as a [`PolicyKind`] and register it in the [`PolicyKinds`] given
//! to [`RegistrarService::start`]; the role reads it with [`rpc::Registrar::policy`]. **To add a rule of REGISTER**: the table
//! and the function in `register/rules.rs`, a row in its tests, and the model of the property test.
//!
//! Invariants: no lock is held across a wait; a refresh and a lookup of somebody who is signed in touch no database;
//! whatever fails to verify fails alike.

mod accounts;
mod audit;
mod authenticate;
mod changes;
mod clock;
mod counters;
mod credentials;
mod directory;
mod epoch;
mod error;
mod expiry;
mod following;
mod groups;
mod gruu;
mod location;
mod policy;
mod pooled;
mod register;
mod search;
mod service;

#[cfg(test)]
mod testing;

pub use clock::{Clock, SystemClock};
pub use counters::CountersSnapshot;
pub use policy::{
    PolicyKind, PolicyKinds, RegisterKindError, Setting, SettingRule, WholeCheck, registration_kind,
};
pub use pooled::PooledRegistrar;
pub use service::{RegistrarConfig, RegistrarService, Stores};
