//! Policies, grants, and what applies to whom.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use rpc::{PolicyScope, PolicyValue, PolicyView};
use serde::Deserialize;

use super::{Control, Refusal, address, api, not_found};

#[derive(Deserialize)]
pub(super) struct Filter {
    kind: Option<String>,
}

pub(super) async fn kinds(State(control): State<Control>) -> Json<Vec<api::PolicyKind>> {
    Json(control.kinds.to_vec())
}

pub(super) async fn list(
    State(control): State<Control>,
    Query(filter): Query<Filter>,
) -> Result<Json<Vec<api::Policy>>, Refusal> {
    let policies = control.directory.policies(filter.kind.as_deref()).await?;
    Ok(Json(policies.into_iter().map(policy).collect()))
}

pub(super) async fn show(
    State(control): State<Control>,
    Path((kind, name)): Path<(String, String)>,
) -> Result<Json<api::Policy>, Refusal> {
    let scope = PolicyScope::parse(&name);
    let stored = control
        .directory
        .policies(Some(&kind))
        .await?
        .into_iter()
        .find(|stored| stored.scope == scope);
    stored
        .map(|stored| Json(policy(stored)))
        .ok_or_else(|| not_found(&format!("{kind} policy"), &name))
}

pub(super) async fn create(
    State(control): State<Control>,
    Path((kind, name)): Path<(String, String)>,
    Json(body): Json<api::PolicyValues>,
) -> Result<(StatusCode, Json<api::Policy>), Refusal> {
    let created = control
        .directory
        .create_policy(&kind, PolicyScope::parse(&name), body.values)
        .await?;
    Ok((StatusCode::CREATED, Json(policy(created))))
}

pub(super) async fn set(
    State(control): State<Control>,
    Path((kind, name)): Path<(String, String)>,
    Json(body): Json<api::PolicyValues>,
) -> Result<Json<api::Policy>, Refusal> {
    let changed = control
        .directory
        .set_policy(&kind, PolicyScope::parse(&name), body.values)
        .await?;
    Ok(Json(policy(changed)))
}

pub(super) async fn delete(
    State(control): State<Control>,
    Path((kind, name)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    control
        .directory
        .delete_policy(&kind, PolicyScope::parse(&name))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn grant(
    State(control): State<Control>,
    Path((kind, user)): Path<(String, String)>,
    Json(body): Json<api::Grant>,
) -> Result<StatusCode, Refusal> {
    control
        .directory
        .grant_policy(&kind, Some(&body.name), &address(&user)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn revoke(
    State(control): State<Control>,
    Path((kind, user)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    control
        .directory
        .grant_policy(&kind, None, &address(&user)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn effective(
    State(control): State<Control>,
    Path((kind, user)): Path<(String, String)>,
) -> Result<Json<api::Effective>, Refusal> {
    let effective = control
        .directory
        .effective_policy(&kind, &address(&user)?)
        .await?;
    Ok(Json(api::Effective {
        kind: effective.kind.clone(),
        name: effective.scope.as_ref().map(ToString::to_string),
        reason: effective.reason.clone(),
        values: values(&effective.values),
    }))
}

fn policy(view: PolicyView) -> api::Policy {
    api::Policy {
        kind: view.kind,
        name: view.scope.to_string(),
        values: values(&view.values),
    }
}

fn values(values: &BTreeMap<String, PolicyValue>) -> BTreeMap<String, api::Value> {
    values
        .iter()
        .map(|(key, value)| (key.clone(), convert(value)))
        .collect()
}

pub(crate) fn convert(value: &PolicyValue) -> api::Value {
    match value {
        PolicyValue::Bool(value) => api::Value::Bool(*value),
        PolicyValue::Number(value) => api::Value::Number(*value),
        PolicyValue::Text(value) => api::Value::Text(value.clone()),
    }
}
