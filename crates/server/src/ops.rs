//! The listener for orchestrators and scrapers: `/livez`, `/readyz`, `/startupz`, `/drainz`, `/metrics`. Plain HTTP, no
//! authentication.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use telemetry::{Page, Registry};
use tokio_util::sync::CancellationToken;

use crate::health::{Health, State as MemberState};

/// The longest wait for the end of a drain that one request may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// The wish that this member drains and ends. Whoever has it, `POST /drainz` or the control tool, means the same as SIGTERM:
/// the program that runs the member waits for it beside its signals.
#[derive(Clone, Debug, Default)]
pub struct DrainRequest {
    asked: CancellationToken,
    hurried: CancellationToken,
    /// Clients are being moved: the one part of a stop that can be shortened.
    moving: Arc<AtomicBool>,
}

impl DrainRequest {
    /// Asks. Once is enough, and it cannot be taken back.
    pub fn ask(&self) {
        self.asked.cancel();
    }

    /// Waits until somebody asks.
    pub async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// Asks a stop that is under way not to move clients any longer: they are told, and their connections closed. False: it
    /// does not, and takes no longer than it must.
    pub fn hurry(&self) -> bool {
        let moving = self.moving.load(Ordering::Acquire);
        if moving {
            self.hurried.cancel();
        }
        moving
    }

    /// Moves clients, unless somebody asks to hurry. Whether it was done.
    pub(crate) async fn unless_hurried(&self, moved: impl Future<Output = ()>) -> bool {
        self.moving.store(true, Ordering::Release);
        let done = self.hurried.run_until_cancelled(moved).await.is_some();
        self.moving.store(false, Ordering::Release);
        done
    }
}

/// What the pages show, and what they can ask for.
#[derive(Clone)]
pub(crate) struct Ops {
    pub(crate) health: Arc<Health>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) drain: DrainRequest,
}

/// The pages.
pub(crate) fn router(ops: Ops) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/startupz", get(startupz))
        .route("/drainz", get(drainz).post(start_drain))
        .route("/metrics", get(metrics))
        .with_state(ops)
}

async fn livez(State(ops): State<Ops>) -> Response {
    if ops.health.is_alive(Instant::now()) {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "wedged\n").into_response()
    }
}

/// One word, or with `?verbose` one line per condition.
async fn readyz(State(ops): State<Ops>, RawQuery(query): RawQuery) -> Response {
    let report = ops.health.report();
    let status = if report.iter().all(|(_, result)| result.is_ok()) {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let verbose = query.is_some_and(|query| {
        query
            .split('&')
            .any(|word| word.split('=').next() == Some("verbose"))
    });
    let mut text = String::new();
    for (name, result) in &report {
        let problem = match result {
            Ok(()) if verbose => "ok",
            Ok(()) => continue,
            Err(problem) => problem,
        };
        text.push_str(&format!("{name}: {problem}\n"));
    }
    if text.is_empty() {
        text.push_str("ok\n");
    }
    (status, text).into_response()
}

/// Good once the start is over, whatever came afterwards.
async fn startupz(State(ops): State<Ops>) -> Response {
    match ops.health.state() {
        MemberState::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
        _ => "ok\n".into_response(),
    }
}

/// Starts a drain. Doing it again changes nothing.
async fn start_drain(State(ops): State<Ops>, RawQuery(query): RawQuery) -> Response {
    ops.drain.ask();
    match wait(query.as_deref()) {
        Ok(Duration::ZERO) => (StatusCode::ACCEPTED, "draining\n").into_response(),
        wait => drained(&ops, wait).await,
    }
}

/// How far a drain is; with `?wait=SECONDS` once it is over or the time is up. Starts none.
async fn drainz(State(ops): State<Ops>, RawQuery(query): RawQuery) -> Response {
    drained(&ops, wait(query.as_deref())).await
}

async fn drained(ops: &Ops, wait: Result<Duration, &'static str>) -> Response {
    let wait = match wait {
        Ok(wait) => wait,
        Err(problem) => return (StatusCode::BAD_REQUEST, format!("{problem}\n")).into_response(),
    };
    let status = match tokio::time::timeout(wait, ops.health.reached(MemberState::Drained)).await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{}\n", ops.health.state().as_str())).into_response()
}

/// `wait=90` or `wait=90s`; none is no time at all.
fn wait(query: Option<&str>) -> Result<Duration, &'static str> {
    let words = query.into_iter().flat_map(|query| query.split('&'));
    let Some(time) = words.filter_map(|word| word.strip_prefix("wait=")).next_back() else {
        return Ok(Duration::ZERO);
    };
    match time.strip_suffix('s').unwrap_or(time).parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds).min(LONGEST_WAIT)),
        Err(_) => Err("wait is a number of seconds"),
    }
}

async fn metrics(State(ops): State<Ops>) -> Response {
    (
        [(header::CONTENT_TYPE, Page::CONTENT_TYPE)],
        ops.registry.render(),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use telemetry::names;
    use tower::ServiceExt;

    use super::*;
    use crate::health;

    async fn get_page(ops: &Ops, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(ops.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn ops() -> Ops {
        Ops {
            health: Arc::new(Health::new(Instant::now())),
            registry: Arc::new(Registry::new()),
            drain: DrainRequest::default(),
        }
    }

    async fn post(ops: &Ops, path: &str) -> StatusCode {
        let request = Request::post(path).body(Body::empty()).unwrap();
        router(ops.clone()).oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn readiness_says_why_not() {
        let ops = ops();
        ops.health.add_check("database", || Err("away".to_owned()));
        let (status, text) = get_page(&ops, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text, "state: starting\ndatabase: away\n");
    }

    #[tokio::test]
    async fn a_ready_member_says_so_and_verbosely_line_by_line() {
        let ops = ops();
        ops.health.set_state(health::State::Serving);
        ops.health.add_check("certificate", || Ok(()));
        assert_eq!(
            get_page(&ops, "/readyz").await,
            (StatusCode::OK, "ok\n".to_owned())
        );
        assert_eq!(
            get_page(&ops, "/readyz?verbose").await.1,
            "state: ok\ncertificate: ok\n"
        );
        assert_eq!(get_page(&ops, "/livez").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn metrics_are_served_as_a_scraper_expects() {
        let ops = ops();
        ops.registry
            .register(Box::new(|page| page.gauge(&names::USERS_ACTIVE, &[], 4.0)));
        let request = Request::get("/metrics").body(Body::empty()).unwrap();
        let response = router(ops).oneshot(request).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], Page::CONTENT_TYPE);
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("portico_user_active 4\n"));
    }

    #[tokio::test]
    async fn a_member_has_started_once_it_serves_and_for_good() {
        let ops = ops();
        assert_eq!(
            get_page(&ops, "/startupz").await.0,
            StatusCode::SERVICE_UNAVAILABLE
        );
        for state in [MemberState::Serving, MemberState::Draining] {
            ops.health.set_state(state);
            assert_eq!(get_page(&ops, "/startupz").await.0, StatusCode::OK);
        }
    }

    #[tokio::test]
    async fn a_post_asks_for_a_drain_and_a_get_does_not() {
        let ops = ops();
        ops.health.set_state(MemberState::Serving);
        assert_eq!(
            get_page(&ops, "/drainz").await,
            (StatusCode::SERVICE_UNAVAILABLE, "serving\n".to_owned())
        );
        assert!(!ops.drain.asked.is_cancelled());
        assert_eq!(post(&ops, "/drainz").await, StatusCode::ACCEPTED);
        ops.drain.asked().await;
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_a_drain_is_told_its_end() {
        let ops = ops();
        ops.health.set_state(MemberState::Draining);
        let waiting = get_page(&ops, "/drainz?wait=60s");
        let health = Arc::clone(&ops.health);
        let ends = async {
            tokio::time::sleep(Duration::from_secs(40)).await;
            health.set_state(MemberState::Drained);
        };
        let (page, ()) = tokio::join!(waiting, ends);
        assert_eq!(page, (StatusCode::OK, "drained\n".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_stop_that_moves_clients_can_be_hurried() {
        let drain = DrainRequest::default();
        assert!(!drain.hurry(), "nothing is under way");
        assert!(
            drain
                .unless_hurried(tokio::time::sleep(Duration::from_secs(30)))
                .await
        );
        assert!(!drain.hurry(), "it is over");
        let began = tokio::time::Instant::now();
        let told = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            drain.hurry()
        };
        let (done, hurried) = tokio::join!(drain.unless_hurried(std::future::pending()), told);
        assert_eq!((done, hurried), (false, true));
        assert_eq!(began.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_he_asked_for() {
        let ops = ops();
        ops.health.set_state(MemberState::Draining);
        let began = tokio::time::Instant::now();
        let (status, text) = get_page(&ops, "/drainz?wait=7").await;
        assert_eq!(
            (status, text.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
        );
        assert_eq!(began.elapsed().as_secs(), 7);
        assert_eq!(
            get_page(&ops, "/drainz?wait=long").await.0,
            StatusCode::BAD_REQUEST
        );
        assert_eq!(wait(Some("wait=99999999")), Ok(LONGEST_WAIT));
    }
}
