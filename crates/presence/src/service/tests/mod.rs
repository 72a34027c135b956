//! The role over a store in memory and a registrar that does what a test says. Time is virtual.

mod changes;
mod copying;
mod fakes;
mod groups;
mod news;
mod partitions;

use std::time::Duration;

use rpc::presence::{
    AccessLevel, Availability, Bound, ContactChange, ContactRefusal, ContainerMember, Follow, Lifetime,
    MemberChange, Note, NoteKind, Origin, PresenceNews, PublicationContent, PublicationKey, PublishOne,
    PublishRefusal, SeenWatcher, Source, StateInput, StoredVersion, WatcherStatus, category,
};
use rpc::{BindingEnd, EndpointId, ErrorCode, Presence};

use self::fakes::{Fixture, aor, machine, set, state};
use super::*;
