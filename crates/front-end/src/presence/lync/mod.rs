//! Presence for Lync-family clients (MS-PRES, MS-SIP): `read` understands what they publish, `render` writes what watchers
//! are shown; `batch`, `own` and `contacts` are what their subscriptions show, `held` what they have published.

pub(crate) mod batch;
pub(crate) mod contacts;
pub(crate) mod held;
pub(crate) mod own;
pub(crate) mod read;
pub(crate) mod render;
pub(crate) mod wanted;

/// Settings, asked for once.
pub(crate) const PROVISIONING: &str = "vnd-microsoft-provisioning-v2";

/// The contact list.
pub(crate) const ROAMING_CONTACTS: &str = "vnd-microsoft-roaming-contacts";

/// What the user has published, access levels, new watchers.
pub(crate) const ROAMING_SELF: &str = "vnd-microsoft-roaming-self";

/// What the 200 to a REGISTER allows, without blanks: SIPE 1.25 finds nothing behind one.
pub(crate) const ALLOW_EVENTS: &str =
    "vnd-microsoft-provisioning-v2,vnd-microsoft-roaming-contacts,vnd-microsoft-roaming-self,presence";

/// A notification that is not answered.
pub(crate) const BENOTIFY: &str = "ms-benotify";

/// A first notification inside the 200 to its SUBSCRIBE.
pub(crate) const PIGGYBACK: &str = "ms-piggyback-first-notify";

/// A defect of ours in a document.
fn defect(error: &dyn std::fmt::Display) {
    tracing::error!(%error, "a document for a Lync-family client was not written");
}
