//! The members of the pool, and what an operator does with this one: drain it, take that back, stop it, move clients.

use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use rpc::{Error, ErrorCode};
use serde::Deserialize;

use super::{Control, Refusal, api};
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

/// Starts a drain after which the process goes on. Doing it again changes nothing.
pub(super) async fn drain(State(control): State<Control>) -> Result<(StatusCode, Json<api::Drain>), Refusal> {
    tracing::info!("asked to drain over the control socket");
    control.drainer.drain().await?;
    Ok((StatusCode::ACCEPTED, Json(state(&control))))
}

/// Takes a drain back. Without one it changes nothing.
pub(super) async fn undrain(State(control): State<Control>) -> Result<Json<api::Drain>, Refusal> {
    tracing::info!("asked over the control socket to take a drain back");
    control.drainer.undrain().await?;
    Ok(Json(state(&control)))
}

/// Starts a drain at the end of which the process ends: the same as SIGTERM.
pub(super) async fn stop(State(control): State<Control>) -> (StatusCode, Json<api::Drain>) {
    tracing::info!("asked to stop over the control socket");
    control.drain.ask();
    (StatusCode::ACCEPTED, Json(state(&control)))
}

/// Begins to move some clients elsewhere.
pub(super) async fn rebalance(
    State(control): State<Control>,
    Json(wish): Json<api::Rebalance>,
) -> Result<(StatusCode, Json<api::Moving>), Refusal> {
    if !(1..=100).contains(&wish.percent) {
        let text = "percent is a number from 1 to 100";
        return Err(Refusal(Error::new(ErrorCode::InvalidRequest, text)));
    }
    let clients = control.drainer.rebalance(wish.percent)?;
    tracing::info!(clients, "asked over the control socket to move clients");
    Ok((StatusCode::ACCEPTED, Json(api::Moving { clients })))
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
