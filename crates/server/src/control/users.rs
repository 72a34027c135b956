//! Accounts and their signed-in endpoints.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use rpc::{AccountChange, AccountView, ErrorCode, MAX_FOUND, NewAccount, PeopleSearch, SessionView};
use serde::Deserialize;

use super::{Control, Refusal, address, api, not_found};

/// Accounts per page unless asked for fewer.
const PAGE: u32 = 1_000;

#[derive(Deserialize)]
pub(super) struct Range {
    after: Option<String>,
    limit: Option<u32>,
    search: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Which {
    endpoint: Option<String>,
}

/// Accounts in order of address, after the one named, a page at a time; or those that users find by some words.
pub(super) async fn list(
    State(control): State<Control>,
    Query(range): Query<Range>,
) -> Result<Json<Vec<api::User>>, Refusal> {
    if let Some(words) = range.search {
        return Ok(Json(search(&control, words).await?));
    }
    let after = range.after.as_deref().map(address).transpose()?;
    let limit = range.limit.unwrap_or(PAGE).min(PAGE);
    let accounts = control.directory.accounts(after.as_ref(), limit).await?;
    Ok(Json(accounts.into_iter().map(user).collect()))
}

async fn search(control: &Control, words: String) -> Result<Vec<api::User>, Refusal> {
    let limit = MAX_FOUND;
    let found = control.registrar.search(PeopleSearch { words, limit }).await?;
    let mut users = Vec::new();
    for person in found.people {
        // It may have been deleted meanwhile.
        if let Some(account) = control.directory.account(&person.aor).await? {
            users.push(user(account));
        }
    }
    Ok(users)
}

pub(super) async fn show(
    State(control): State<Control>,
    Path(name): Path<String>,
) -> Result<Json<api::User>, Refusal> {
    let aor = address(&name)?;
    let account = control.directory.account(&aor).await?;
    account
        .map(|account| Json(user(account)))
        .ok_or_else(|| not_found("user", &aor))
}

pub(super) async fn create(
    State(control): State<Control>,
    Json(new): Json<api::NewUser>,
) -> Result<(StatusCode, Json<api::User>), Refusal> {
    if new.password.is_empty() {
        return Err(rpc::Error::new(ErrorCode::InvalidRequest, "the password is empty").into());
    }
    let account = NewAccount {
        aor: address(&new.address)?,
        display_name: new.display_name,
        site: new.site,
        password: new.password,
        ntlm: new.ntlm.unwrap_or(control.ntlm_by_default),
    };
    let account = control.directory.create_account(account).await?;
    Ok((StatusCode::CREATED, Json(user(account))))
}

pub(super) async fn change(
    State(control): State<Control>,
    Path(name): Path<String>,
    Json(change): Json<api::UserChange>,
) -> Result<Json<api::User>, Refusal> {
    let aor = address(&name)?;
    let password = match (change.password, change.ntlm) {
        (Some(password), _) if password.is_empty() => {
            return Err(rpc::Error::new(ErrorCode::InvalidRequest, "the password is empty").into());
        }
        (Some(password), Some(ntlm)) => Some((password, ntlm)),
        (Some(password), None) => {
            let before = control
                .directory
                .account(&aor)
                .await?
                .ok_or_else(|| not_found("user", &aor))?;
            Some((password, before.ntlm))
        }
        (None, None) => None,
        // The NT hash is made from the password, and the password is not kept.
        (None, Some(_)) => {
            let message = "whether NTLM may be used can only be changed together with the password";
            return Err(rpc::Error::new(ErrorCode::InvalidRequest, message).into());
        }
    };
    let change = AccountChange {
        display_name: change.display_name,
        site: change.site,
        enabled: change.enabled,
        password,
    };
    Ok(Json(user(control.directory.change_account(&aor, change).await?)))
}

pub(super) async fn delete(
    State(control): State<Control>,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    control.directory.delete_account(&address(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn sessions(
    State(control): State<Control>,
    Path(name): Path<String>,
) -> Result<Json<Vec<api::Session>>, Refusal> {
    let aor = address(&name)?;
    if control.directory.account(&aor).await?.is_none() {
        return Err(not_found("user", &aor));
    }
    let sessions = control.directory.sessions(&aor).await?;
    Ok(Json(sessions.into_iter().map(session).collect()))
}

pub(super) async fn kick(
    State(control): State<Control>,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<api::Kicked>, Refusal> {
    let aor = address(&name)?;
    let kicked = control.directory.kick(&aor, which.endpoint.as_deref()).await?;
    Ok(Json(api::Kicked { kicked }))
}

fn user(account: AccountView) -> api::User {
    api::User {
        address: account.aor.to_string(),
        display_name: account.display_name,
        site: account.site,
        enabled: account.enabled,
        ntlm: account.ntlm,
        created_at: account.created_at,
    }
}

fn session(session: SessionView) -> api::Session {
    api::Session {
        endpoint: session.endpoint,
        member: session.member,
        family: session.family.to_owned(),
        mode: session.mode.to_owned(),
        user_agent: session.user_agent,
        contact: session.contact,
        gruu: session.gruu,
        expires_in: session.expires_in,
    }
}
