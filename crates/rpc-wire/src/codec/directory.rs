//! Accounts and organisational groups as administrators see them.

use rpc::{
    AccountChange, AccountView, ClientFamily, GroupChange, GroupView, ImMode, NewAccount, NewGroup,
    SessionView,
};
use sip_types::AddressOfRecord;

use super::endpoint::{client_family, im_mode};
use super::{Malformed, aor, named, required};
use crate::proto::registrar::v1 as wire;

impl From<&NewAccount> for wire::CreateAccountRequest {
    fn from(account: &NewAccount) -> Self {
        wire::CreateAccountRequest {
            aor: account.aor.as_str().to_owned(),
            display_name: account.display_name.clone(),
            site: account.site.clone(),
            password: account.password.clone(),
            ntlm: account.ntlm,
        }
    }
}

impl TryFrom<wire::CreateAccountRequest> for NewAccount {
    type Error = Malformed;

    fn try_from(account: wire::CreateAccountRequest) -> Result<Self, Malformed> {
        Ok(NewAccount {
            aor: aor("create_account.aor", &account.aor)?,
            display_name: account.display_name,
            site: account.site,
            password: account.password,
            ntlm: account.ntlm,
        })
    }
}

/// A change of this account.
pub fn account_change_to_wire(aor: &AddressOfRecord, change: AccountChange) -> wire::ChangeAccountRequest {
    wire::ChangeAccountRequest {
        aor: aor.as_str().to_owned(),
        display_name: change.display_name,
        site: change.site,
        enabled: change.enabled,
        password: change
            .password
            .map(|(password, ntlm)| wire::NewPassword { password, ntlm }),
    }
}

/// Which account is to be changed, and how.
///
/// # Errors
/// The field that is wrong.
pub fn account_change(
    request: wire::ChangeAccountRequest,
) -> Result<(AddressOfRecord, AccountChange), Malformed> {
    let change = AccountChange {
        display_name: request.display_name,
        site: request.site,
        enabled: request.enabled,
        password: request.password.map(|new| (new.password, new.ntlm)),
    };
    Ok((aor("change_account.aor", &request.aor)?, change))
}

impl From<&AccountView> for wire::Account {
    fn from(account: &AccountView) -> Self {
        wire::Account {
            aor: account.aor.as_str().to_owned(),
            display_name: account.display_name.clone(),
            site: account.site.clone(),
            enabled: account.enabled,
            ntlm: account.ntlm,
            created_at: account.created_at,
        }
    }
}

impl TryFrom<wire::Account> for AccountView {
    type Error = Malformed;

    fn try_from(account: wire::Account) -> Result<Self, Malformed> {
        Ok(AccountView {
            aor: aor("account.aor", &account.aor)?,
            display_name: account.display_name,
            site: account.site,
            enabled: account.enabled,
            ntlm: account.ntlm,
            created_at: account.created_at,
        })
    }
}

/// A session of this user. An administrator is not told which registration or connection it is: they are zero.
pub fn session_to_wire(aor: &AddressOfRecord, session: &SessionView) -> wire::Binding {
    // The names are those `session` gives.
    let family = match session.family {
        "lync" => ClientFamily::Lync,
        _ => ClientFamily::Simple,
    };
    let mode = match session.mode {
        "session" => ImMode::Session,
        _ => ImMode::Page,
    };
    wire::Binding {
        address: Some(wire::EndpointAddress {
            aor: aor.as_str().to_owned(),
            endpoint: session.endpoint.clone(),
            epoch: 0,
            member: session.member.clone(),
            connection: 0,
        }),
        contact: session.contact.clone(),
        instance: None,
        epid: None,
        reg_id: None,
        gruu: session.gruu.clone(),
        expires_in_s: session.expires_in,
        family: wire::ClientFamily::from(family).into(),
        mode: wire::ImMode::from(mode).into(),
        user_agent: session.user_agent.clone(),
    }
}

/// A session as an administrator sees it.
///
/// # Errors
/// The field that is wrong.
pub fn session(binding: wire::Binding) -> Result<SessionView, Malformed> {
    let address = required("session.address", binding.address)?;
    named("session.address.endpoint", &address.endpoint)?;
    Ok(SessionView {
        endpoint: address.endpoint,
        member: address.member,
        family: match client_family(binding.family) {
            ClientFamily::Simple => "simple",
            ClientFamily::Lync => "lync",
        },
        mode: match im_mode(binding.mode) {
            ImMode::Page => "page",
            ImMode::Session => "session",
        },
        user_agent: binding.user_agent,
        contact: binding.contact,
        gruu: binding.gruu,
        expires_in: binding.expires_in_s,
    })
}

impl From<&NewGroup> for wire::CreateGroupRequest {
    fn from(group: &NewGroup) -> Self {
        wire::CreateGroupRequest {
            address: group.address.as_str().to_owned(),
            display_name: group.display_name.clone(),
        }
    }
}

impl TryFrom<wire::CreateGroupRequest> for NewGroup {
    type Error = Malformed;

    fn try_from(group: wire::CreateGroupRequest) -> Result<Self, Malformed> {
        Ok(NewGroup {
            address: aor("create_group.address", &group.address)?,
            display_name: group.display_name,
        })
    }
}

/// Addresses as they are written.
pub fn addresses_to_wire(addresses: &[AddressOfRecord]) -> Vec<String> {
    addresses
        .iter()
        .map(|address| address.as_str().to_owned())
        .collect()
}

/// Addresses.
///
/// # Errors
/// `field`: one of them is wrong.
pub fn addresses(field: &'static str, addresses: &[String]) -> Result<Vec<AddressOfRecord>, Malformed> {
    addresses.iter().map(|address| aor(field, address)).collect()
}

/// A change of this group.
pub fn group_change_to_wire(address: &AddressOfRecord, change: &GroupChange) -> wire::ChangeGroupRequest {
    wire::ChangeGroupRequest {
        address: address.as_str().to_owned(),
        display_name: change.display_name.clone(),
        add: addresses_to_wire(&change.add),
        remove: addresses_to_wire(&change.remove),
    }
}

/// Which group is to be changed, and how.
///
/// # Errors
/// The field that is wrong.
pub fn group_change(request: wire::ChangeGroupRequest) -> Result<(AddressOfRecord, GroupChange), Malformed> {
    let change = GroupChange {
        display_name: request.display_name,
        add: addresses("change_group.add", &request.add)?,
        remove: addresses("change_group.remove", &request.remove)?,
    };
    Ok((aor("change_group.address", &request.address)?, change))
}

impl From<&GroupView> for wire::Group {
    fn from(group: &GroupView) -> Self {
        wire::Group {
            address: group.address.as_str().to_owned(),
            display_name: group.display_name.clone(),
            size: group.size,
            created_at: group.created_at,
        }
    }
}

impl TryFrom<wire::Group> for GroupView {
    type Error = Malformed;

    fn try_from(group: wire::Group) -> Result<Self, Malformed> {
        Ok(GroupView {
            address: aor("group.address", &group.address)?,
            display_name: group.display_name,
            size: group.size,
            created_at: group.created_at,
        })
    }
}
