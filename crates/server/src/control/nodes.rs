//! The members of the pool, and the planned stop of this one.

use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::{Control, api};
use crate::health::State as MemberState;

/// The longest wait of one request: below the patience of whoever asks.
const LONGEST_WAIT: u64 = 20;

#[derive(Deserialize)]
pub(super) struct Wait {
    /// Seconds to wait for the end of the drain.
    #[serde(default)]
    wait: u64,
}

pub(super) async fn list(State(control): State<Control>) -> Json<Vec<api::Node>> {
    Json((control.nodes)())
}

/// Starts a drain. Doing it again changes nothing.
pub(super) async fn drain(State(control): State<Control>) -> (StatusCode, Json<api::Drain>) {
    tracing::info!("asked to drain over the control socket");
    control.drain.ask();
    (StatusCode::ACCEPTED, Json(state(&control)))
}

/// How far a drain is. Starts none.
pub(super) async fn drained(State(control): State<Control>, Query(wait): Query<Wait>) -> Json<api::Drain> {
    let wait = Duration::from_secs(wait.wait.min(LONGEST_WAIT));
    // The answer says how it ended.
    let _in_time = tokio::time::timeout(wait, control.health.reached(MemberState::Drained)).await;
    Json(state(&control))
}

fn state(control: &Control) -> api::Drain {
    api::Drain {
        state: control.health.state().as_str().to_owned(),
    }
}
