//! Other members, to whom this one can leave what it has.

use membership::Membership;
use store::Lease;
use topology::Role;

/// The other members of the pool as far as they stay.
#[derive(Clone)]
pub(super) struct Others(pub(super) Membership);

impl Others {
    /// Whether somebody else runs this role and does not leave.
    pub(super) fn run(&self, role: Role) -> bool {
        !self.running(role).is_empty()
    }

    /// Those who do.
    pub(super) fn running(&self, role: Role) -> Vec<Lease> {
        let this = self.0.status().member;
        let mut members = self.0.routes().members();
        members.retain(|one| one.member != this && !one.draining && one.roles.contains(&role));
        members
    }

    /// Waits until somebody does, or until nobody does. At the end of membership it goes on waiting.
    pub(super) async fn until(&self, somebody: bool, role: Role) {
        let mut changes = self.0.routes().watch();
        while self.run(role) != somebody {
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}
