//! SIGHUP: the configuration is read again; what can change while the server runs changes, and what cannot is named.

use config::{Config, Layers, Problems, Setting};
use telemetry::LogFilter;

/// Keys that take effect at once. Everything else is built into what runs.
const AT_ONCE: [&str; 2] = ["telemetry.log", "telemetry.identities"];

/// What a reload compares with and acts on.
pub(super) struct Reload {
    /// The layers, read anew each time.
    pub(super) layers: Box<dyn Fn() -> Layers>,
    /// What applies now: as it was at the start, but for the keys that take effect at once.
    pub(super) settings: Vec<Setting>,
    pub(super) log: LogFilter,
}

impl Reload {
    /// Reads the configuration and says in the log what came of it. With a configuration that is not usable nothing
    /// changes.
    pub(super) fn run(&mut self) {
        match (self.layers)().load_with_origins() {
            Ok((config, settings)) => self.apply(&config, settings),
            Err(Problems(problems)) => {
                for problem in problems {
                    tracing::error!(%problem, "the configuration is not usable; the old one stays");
                }
            }
        }
    }

    fn apply(&mut self, config: &Config, settings: Vec<Setting>) {
        let (at_once, restart) = changed(&self.settings, &settings);
        if !restart.is_empty() {
            tracing::warn!(keys = restart.join(", "), "changed, and needs a restart");
        }
        tracing::info!(changed = at_once.join(", "), "configuration read");
        if let Err(error) = self.log.set(&config.telemetry.log) {
            // The old filter stays, and is what the next reload compares with.
            tracing::error!(%error, "telemetry.log is not usable; the old one stays");
            return;
        }
        telemetry::show_identities(config.telemetry.identities);
        for new in settings {
            let known = self.settings.iter_mut().find(|old| old.key == new.key);
            if let Some(old) = known.filter(|old| AT_ONCE.contains(&old.key)) {
                *old = new;
            }
        }
    }
}

/// The keys whose values differ: those that take effect at once, and those that need a restart.
fn changed(old: &[Setting], new: &[Setting]) -> (Vec<&'static str>, Vec<&'static str>) {
    new.iter()
        .filter(|new| !old.iter().any(|old| old.key == new.key && old.value == new.value))
        .map(|new| new.key)
        .partition(|key| AT_ONCE.contains(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(log: &str, port: &str) -> Vec<Setting> {
        let layers = Layers::new("data").flag("--log", "telemetry.log", log);
        let layers = layers.flag("--tls", "sip.tls_listen", port);
        layers.load_with_origins().unwrap().1
    }

    #[test]
    fn a_changed_key_is_applied_or_named() {
        let old = settings("info", "127.0.0.1:5061");
        assert_eq!(
            changed(&old, &settings("info", "127.0.0.1:5061")),
            (vec![], vec![])
        );
        assert_eq!(
            changed(&old, &settings("debug", "127.0.0.1:5062")),
            (vec!["telemetry.log"], vec!["sip.tls_listen"])
        );
    }

    #[test]
    fn every_key_that_takes_effect_at_once_is_a_key() {
        let known = settings("info", "127.0.0.1:0");
        for key in AT_ONCE {
            assert!(known.iter().any(|setting| setting.key == key), "{key}");
        }
    }
}
