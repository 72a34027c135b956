//! What `porticoctl status` shows of the member itself.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use config::Config;

use crate::certificate::Certificate;
use crate::control::api::Status;
use crate::health::Health;
use crate::ready::Ready;

/// A function that says how this member is; totals are added by who asks.
pub(crate) fn reporter(
    ready: &Ready,
    config: &Config,
    health: &Arc<Health>,
    certificate: Option<Certificate>,
) -> Arc<dyn Fn() -> Status + Send + Sync> {
    let started = Instant::now();
    let health = Arc::clone(health);
    let fixed = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        member: ready.member.clone(),
        state: String::new(),
        roles: ready.roles.iter().map(|role| (*role).to_owned()).collect(),
        domains: config.pool.domains.clone(),
        listeners: ready
            .listeners
            .iter()
            .map(|(name, at)| ((*name).to_owned(), at.to_string()))
            .collect(),
        uptime: 0,
        certificate_remaining: None,
        totals: Default::default(),
        warnings: Vec::new(),
    };
    Arc::new(move || {
        let problems = health
            .report()
            .into_iter()
            .filter_map(|(name, result)| Some(format!("{name}: {}", result.err()?)));
        Status {
            state: health.state().as_str().to_owned(),
            uptime: started.elapsed().as_secs(),
            certificate_remaining: certificate
                .as_ref()
                .map(|held| held.remaining_seconds(SystemTime::now())),
            warnings: problems.collect(),
            ..fixed.clone()
        }
    })
}
