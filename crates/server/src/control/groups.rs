//! Organisational groups.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use rpc::{GroupChange, GroupView, NewGroup};
use serde::Deserialize;
use sip_types::AddressOfRecord;

use super::{Control, Refusal, address, api, not_found};

/// Groups per page unless asked for fewer.
const PAGE: u32 = 1_000;

#[derive(Deserialize)]
pub(super) struct Range {
    after: Option<String>,
    limit: Option<u32>,
}

/// Groups in order of address, after the one named, a page at a time.
pub(super) async fn list(
    State(control): State<Control>,
    Query(range): Query<Range>,
) -> Result<Json<Vec<api::Group>>, Refusal> {
    let after = range.after.as_deref().map(address).transpose()?;
    let limit = range.limit.unwrap_or(PAGE).min(PAGE);
    let groups = control.directory.groups(after.as_ref(), limit).await?;
    Ok(Json(groups.into_iter().map(group).collect()))
}

/// One group with its members.
pub(super) async fn show(
    State(control): State<Control>,
    Path(name): Path<String>,
) -> Result<Json<api::GroupMembers>, Refusal> {
    Ok(Json(members(&control, &address(&name)?).await?))
}

pub(super) async fn create(
    State(control): State<Control>,
    Json(new): Json<api::NewGroup>,
) -> Result<(StatusCode, Json<api::Group>), Refusal> {
    let new = NewGroup {
        address: address(&new.address)?,
        display_name: new.display_name,
    };
    let created = control.directory.create_group(new).await?;
    Ok((StatusCode::CREATED, Json(group(created))))
}

/// Changes a group and shows it with its members.
pub(super) async fn change(
    State(control): State<Control>,
    Path(name): Path<String>,
    Json(change): Json<api::GroupChange>,
) -> Result<Json<api::GroupMembers>, Refusal> {
    let name = address(&name)?;
    let change = GroupChange {
        display_name: change.display_name,
        add: addresses(&change.add)?,
        remove: addresses(&change.remove)?,
    };
    control.directory.change_group(&name, change).await?;
    Ok(Json(members(&control, &name).await?))
}

pub(super) async fn delete(
    State(control): State<Control>,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    control.directory.delete_group(&address(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn addresses(texts: &[String]) -> Result<Vec<AddressOfRecord>, Refusal> {
    texts.iter().map(|text| address(text)).collect()
}

async fn members(control: &Control, name: &AddressOfRecord) -> Result<api::GroupMembers, Refusal> {
    let found = control.directory.group(name).await?;
    let (found, members) = found.ok_or_else(|| not_found("group", name))?;
    Ok(api::GroupMembers {
        group: group(found),
        members: members.iter().map(ToString::to_string).collect(),
    })
}

fn group(group: GroupView) -> api::Group {
    api::Group {
        address: group.address.to_string(),
        display_name: group.display_name,
        size: group.size,
        created_at: group.created_at,
    }
}
