//! What people publish, who sees how much of it, and why.
//!
//! Owners of presence are asked through [`PresenceClient`], wherever they are. To read what is seen of a user, this socket
//! follows the user for a moment, as a front end does.

mod explain;
mod following;
mod levels;
mod report;
mod shown;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use config::Config;
use futures_util::stream;
use rpc::presence::{AccessLevel, ContainerMember, Origin, PublishRefusal};
use rpc::{Error, ErrorCode, PresenceClient};
use serde::Deserialize;
use sip_types::AddressOfRecord;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::MemberId;

use self::following::Following;
use self::shown::shown;
use super::{Control, Refusal, address, api, not_found};
use crate::background::Background;

/// The way to the presence of everybody.
pub(crate) struct Presences {
    /// The owner of everybody, wherever it is.
    pub(super) client: PresenceClient,
    /// This member.
    member: MemberId,
    /// Whose users are of the same enterprise.
    domains: Vec<String>,
    /// Own the tasks that follow somebody for `watch`.
    tasks: TaskTracker,
    /// Ends them.
    stop: CancellationToken,
    /// Streams of news opened so far.
    streams: AtomicU64,
}

impl Presences {
    /// Over the presence roles this member reaches.
    pub(crate) fn new(client: PresenceClient, config: &Config, background: &Background) -> Arc<Self> {
        Arc::new(Presences {
            client,
            member: MemberId::new(&config.pool.member),
            domains: config.pool.domains.clone(),
            tasks: background.tasks.clone(),
            stop: background.stop.clone(),
            streams: AtomicU64::new(0),
        })
    }

    /// A name under which owners know one stream of news: a front end has one stream only, and this is none of it.
    fn follower(&self) -> MemberId {
        let number = self.streams.fetch_add(1, Ordering::Relaxed);
        MemberId::new(&format!("{}/control-{number}", self.member))
    }

    fn origin(&self, watcher: &AddressOfRecord) -> Origin {
        if self.domains.iter().any(|domain| domain == watcher.domain()) {
            Origin::SameEnterprise
        } else {
            Origin::Federated
        }
    }
}

#[derive(Deserialize)]
pub(super) struct By {
    watcher: Option<String>,
}

impl By {
    /// Who looks: the user unless somebody else is named.
    fn watcher(&self) -> Result<Option<AddressOfRecord>, Refusal> {
        self.watcher.as_deref().map(address).transpose()
    }
}

/// What somebody sees of a user.
pub(super) async fn show(
    State(control): State<Control>,
    Path(user): Path<String>,
    Query(by): Query<By>,
) -> Result<Json<api::Presence>, Refusal> {
    let (user, watcher) = (address(&user)?, by.watcher()?);
    let document = following::once(&control.presence, &user).await?;
    Ok(Json(shown(&control.presence, &document, watcher.as_ref())))
}

/// The same, and again after every change of it, one JSON object per line until the asker goes or the server stops.
pub(super) async fn watch(
    State(control): State<Control>,
    Path(user): Path<String>,
    Query(by): Query<By>,
) -> Result<Response, Refusal> {
    let (user, watcher) = (address(&user)?, by.watcher()?);
    let following = Following::begin(&control.presence, &user).await?;
    let lines = following.lines(watcher);
    let lines = stream::unfold(lines, |mut lines| async {
        let line = lines.recv().await?;
        Some((Ok::<_, Infallible>(line), lines))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

/// Why a watcher sees what it sees of a user.
pub(super) async fn explain(
    State(control): State<Control>,
    Path((user, watcher)): Path<(String, String)>,
) -> Result<Json<api::PresenceExplanation>, Refusal> {
    let (user, watcher) = (address(&user)?, address(&watcher)?);
    let explanation = explain::explain(&control.presence, &user, &watcher).await?;
    Ok(Json(explanation))
}

/// Who is at which level.
pub(super) async fn levels(
    State(control): State<Control>,
    Path(user): Path<String>,
) -> Result<Json<Vec<api::LevelMembers>>, Refusal> {
    let user = address(&user)?;
    let rules = levels::read(&control.presence.client, &user).await?;
    Ok(Json(levels::listed(&rules)))
}

/// Puts watchers at levels, all or none of them.
pub(super) async fn set_levels(
    State(control): State<Control>,
    Path(user): Path<String>,
    Json(wish): Json<api::Levels>,
) -> Result<Json<Vec<api::LevelMembers>>, Refusal> {
    let user = address(&user)?;
    tracing::info!(user = %telemetry::user(user.as_str()), "asked over the control socket to set access levels");
    let rules = levels::set(&control.presence.client, &user, &wish).await?;
    Ok(Json(levels::listed(&rules)))
}

/// Publishes for a source that is no endpoint: a calendar, an administrator.
pub(super) async fn report(
    State(control): State<Control>,
    Path(user): Path<String>,
    Json(report): Json<api::Report>,
) -> Result<StatusCode, Refusal> {
    let user = address(&user)?;
    report::publish(&control.presence.client, &user, &report).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn refused(refusal: PublishRefusal) -> Refusal {
    let code = match refusal {
        PublishRefusal::NoSuchUser => ErrorCode::NotFound,
        PublishRefusal::Conflict(_) => {
            let text = "it was changed by somebody else at the same moment; try again";
            return Error::new(ErrorCode::Conflict, text).into();
        }
        PublishRefusal::Limit(_) => ErrorCode::TooMany,
        PublishRefusal::Invalid(_) => ErrorCode::InvalidRequest,
    };
    Error::new(code, refusal.to_string()).into()
}

fn invalid(text: impl Into<String>) -> Refusal {
    Error::new(ErrorCode::InvalidRequest, text).into()
}

/// How a member of a level is written.
fn member_text(member: &ContainerMember) -> String {
    match member {
        ContainerMember::User(user) => user.to_string(),
        ContainerMember::Domain(domain) => format!("domain:{domain}"),
        ContainerMember::SameEnterprise => "same-enterprise".to_owned(),
        ContainerMember::Federated => "federated".to_owned(),
        ContainerMember::PublicCloud => "public-cloud".to_owned(),
        ContainerMember::Everyone => "everyone".to_owned(),
    }
}

fn level_named(name: &str) -> Result<AccessLevel, Refusal> {
    let found = AccessLevel::ALL.into_iter().find(|level| level.as_str() == name);
    found.ok_or_else(|| {
        let names = AccessLevel::ALL.map(AccessLevel::as_str).join(", ");
        invalid(format!("`{name}` is no access level: {names}"))
    })
}

/// Unix seconds now, by this member's clock.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
