//! `[telemetry]`: logs.

use crate::reader::Reader;

/// Logs.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// `telemetry.log` (`info`): a level, or levels by crate: `info,sip_transport=debug`.
    pub log: String,
    /// `telemetry.identities` (`false`): full addresses of users in log lines instead of keyed hashes.
    pub identities: bool,
}

impl Telemetry {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        Telemetry {
            log: reader.get("telemetry.log", "info".to_owned()),
            identities: reader.get("telemetry.identities", false),
        }
    }
}
