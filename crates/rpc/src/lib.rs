//! The contract between roles: one trait and one client type per role, and the table of error codes.
//!
//! What crosses a role boundary is a domain verb (*register this endpoint*, *submit this message*), never SIP. A caller
//! holds a client type ([`RegistrarClient`], [`ImMcuClient`], [`PresenceClient`], [`FrontEndClient`]) and cannot tell whether the role runs
//! in this process or elsewhere.
//!
//! This crate holds no behaviour: no socket, no clock, no state but the table of front ends and, for whoever calls and is
//! called, the requests under way ([`InFlight`]). The shapes of the wire are in `proto/`; the types here are what roles work
//! with.
//!
//! To let a role ask another something new: add the method to the trait here with a comment that says what a retry does,
//! implement it in the role, and add the message to the `.proto` file of the same name.

mod directory;
mod endpoint;
mod error;
mod fence;
mod front_end;
mod immcu;
mod in_flight;
mod people;
mod policy;
pub mod presence;
mod registrar;

pub use directory::{
    AccountChange, AccountView, Directory, DirectoryClient, EffectivePolicy, GroupChange, GroupView,
    NewAccount, NewGroup, PolicyScope, PolicyValue, PolicyView, SessionView,
};
pub use endpoint::{
    ClientFamily, ConnectionId, ConversationKey, EndpointAddress, EndpointId, Epoch, ImMode, LegId, MessageId,
};
pub use error::{Error, ErrorCode};
pub use fence::{Fence, NoFence};
pub use front_end::{
    Deliver, FrontEnd, FrontEndClient, FrontEnds, Path, Progress, Ring, RingAnswer, Target, TargetOutcome,
};
pub use immcu::{
    Content, FailureReason, HeldLeg, HeldLegs, ImMcu, ImMcuClient, InstantMessage, LegHolder, MessageKind,
    Open, Opened, Signal, Submit, Typing,
};
pub use in_flight::{InFlight, InFlightRequest};
pub use people::{MAX_FOUND, PeopleFound, PeopleSearch, Person};
pub use policy::{RolePolicy, RoleSetting, SettingDefault};
pub use presence::{Presence, PresenceClient};
pub use registrar::{
    Authenticate, Binding, BindingChange, BindingEnd, Freshness, Identity, Location, Proof, Refusal,
    Register, RegisterError, Registered, Registrar, RegistrarChange, RegistrarClient, SessionKey, Unregister,
    Which,
};
