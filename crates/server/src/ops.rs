//! The listener for orchestrators and scrapers: `/livez`, `/readyz`, `/metrics`. Plain HTTP, no authentication.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use telemetry::{Page, Registry};

use crate::health::Health;

/// What the pages show.
#[derive(Clone)]
pub(crate) struct Ops {
    pub(crate) health: Arc<Health>,
    pub(crate) registry: Arc<Registry>,
}

/// The pages.
pub(crate) fn router(ops: Ops) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
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
        }
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
}
