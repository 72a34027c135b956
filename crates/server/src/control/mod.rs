//! The local control socket: a small HTTP interface for `porticoctl` on the machine itself.
//!
//! There are no passwords and no tokens: the socket is in the data directory, readable by its owner only, and a peer is
//! served only if it runs as the same user as this server, or as root.

pub mod api;
mod contacts;
mod groups;
mod nodes;
mod policies;
mod presence;
mod socket;
mod users;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use rpc::{DirectoryClient, ErrorCode, RegistrarClient};
use sip_types::AddressOfRecord;

use crate::health::Health;
use crate::ops::DrainRequest;
use crate::serve::Drainer;

pub(crate) use self::presence::Presences;
pub(crate) use policies::convert as setting_value;
pub(crate) use socket::{ControlSocket, bind};

/// Where the control socket of this data directory is.
pub fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// What requests are answered from.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) registrar: RegistrarClient,
    pub(crate) directory: DirectoryClient,
    pub(crate) presence: Arc<Presences>,
    /// What can be said about the server itself, without totals.
    pub(crate) status: Arc<dyn Fn() -> api::Status + Send + Sync>,
    /// The members of the pool, as this one knows them.
    pub(crate) nodes: Arc<dyn Fn() -> Vec<api::Node> + Send + Sync>,
    pub(crate) health: Arc<Health>,
    pub(crate) drain: DrainRequest,
    pub(crate) drainer: Drainer,
    /// Kinds of policy the roles registered.
    pub(crate) kinds: Arc<[api::PolicyKind]>,
    /// Whether a new account may use NTLM unless told otherwise.
    pub(crate) ntlm_by_default: bool,
}

/// The interface.
pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/nodes", get(nodes::list))
        .route(
            "/v1/drain",
            get(nodes::drained).post(nodes::drain).delete(nodes::undrain),
        )
        .route("/v1/stop", post(nodes::stop))
        .route("/v1/rebalance", post(nodes::rebalance))
        .route("/v1/users", get(users::list).post(users::create))
        .route(
            "/v1/users/{address}",
            get(users::show).patch(users::change).delete(users::delete),
        )
        .route(
            "/v1/users/{address}/sessions",
            get(users::sessions).delete(users::kick),
        )
        .route("/v1/users/{address}/contacts", get(contacts::list))
        .route(
            "/v1/users/{address}/contacts/{contact}",
            put(contacts::set).delete(contacts::remove),
        )
        .route("/v1/groups", get(groups::list).post(groups::create))
        .route(
            "/v1/groups/{address}",
            get(groups::show).patch(groups::change).delete(groups::delete),
        )
        .route(
            "/v1/presence/{address}",
            get(presence::show).post(presence::report),
        )
        .route("/v1/presence/{address}/watch", get(presence::watch))
        .route(
            "/v1/presence/{address}/levels",
            get(presence::levels).patch(presence::set_levels),
        )
        .route("/v1/presence/{address}/explain/{watcher}", get(presence::explain))
        .route("/v1/policy-kinds", get(policies::kinds))
        .route("/v1/policies", get(policies::list))
        .route(
            "/v1/policies/{kind}/{name}",
            get(policies::show)
                .post(policies::create)
                .patch(policies::set)
                .delete(policies::delete),
        )
        .route(
            "/v1/grants/{kind}/{address}",
            put(policies::grant).delete(policies::revoke),
        )
        .route("/v1/effective/{kind}/{address}", get(policies::effective))
        .fallback(unknown_path)
        .with_state(control)
}

async fn status(State(control): State<Control>) -> Result<Json<api::Status>, Refusal> {
    let mut status = (control.status)();
    status.totals = control.directory.totals().await?;
    Ok(Json(status))
}

async fn unknown_path() -> Refusal {
    Refusal(rpc::Error::new(
        ErrorCode::NotFound,
        "this server has no such operation; is porticoctl newer?",
    ))
}

/// An error of a role as an HTTP answer.
struct Refusal(rpc::Error);

impl From<rpc::Error> for Refusal {
    fn from(error: rpc::Error) -> Self {
        Refusal(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = api::Problem {
            code: self.0.code.as_str().to_owned(),
            message: self.0.message,
        };
        (http_status(self.0.code), Json(problem)).into_response()
    }
}

fn http_status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidRequest => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Conflict => StatusCode::CONFLICT,
        ErrorCode::TooMany => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The address a path or a body names.
fn address(text: &str) -> Result<AddressOfRecord, Refusal> {
    AddressOfRecord::parse(text).map_err(|_| {
        let message = format!("`{text}` is not an address such as alice@example.test");
        Refusal(rpc::Error::new(ErrorCode::InvalidRequest, message))
    })
}

fn not_found(what: &str, name: &impl std::fmt::Display) -> Refusal {
    Refusal(rpc::Error::new(ErrorCode::NotFound, format!("no {what} {name}")))
}
