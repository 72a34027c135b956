//! A directory in another process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rpc::{
    AccountChange, AccountView, Directory, EffectivePolicy, Error, GroupChange, GroupView, NewAccount,
    NewGroup, PolicyScope, PolicyView, SessionView,
};
use sip_types::AddressOfRecord;

use super::{Caller, Carrier};
use crate::MAX_MESSAGE;
use crate::codec::{Malformed, directory, required};
use crate::proto::registrar::v1 as wire;

/// A directory at the other end of a [`Carrier`].
#[derive(Clone)]
pub struct RemoteDirectory<T> {
    // A request that is too long is refused by the other side: here it would look like a broken connection.
    client: wire::directory_client::DirectoryClient<T>,
    caller: Caller,
}

impl<T: Carrier> RemoteDirectory<T> {
    /// The directory at the other end of `carrier`.
    pub fn new(carrier: T) -> Self {
        RemoteDirectory {
            client: wire::directory_client::DirectoryClient::new(carrier)
                .max_decoding_message_size(MAX_MESSAGE),
            caller: Caller::default(),
        }
    }

    /// The same with another deadline for each call. The default is 5 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.caller.deadline = deadline;
        self
    }
}

fn account(account: Option<wire::Account>) -> Result<AccountView, Error> {
    let account = required("account", account).and_then(AccountView::try_from);
    account.map_err(Malformed::in_answer)
}

fn group(group: Option<wire::Group>) -> Result<GroupView, Error> {
    let group = required("group", group).and_then(GroupView::try_from);
    group.map_err(Malformed::in_answer)
}

fn policy(policy: Option<wire::Policy>) -> Result<PolicyView, Error> {
    let policy = required("policy", policy).and_then(PolicyView::try_from);
    policy.map_err(Malformed::in_answer)
}

/// Each of a list, or the first that is malformed.
fn all<W, T>(list: Vec<W>, convert: impl FnMut(W) -> Result<T, Malformed>) -> Result<Vec<T>, Error> {
    let list: Result<_, _> = list.into_iter().map(convert).collect();
    list.map_err(Malformed::in_answer)
}

#[async_trait]
impl<T: Carrier> Directory for RemoteDirectory<T> {
    async fn create_account(&self, new: NewAccount) -> Result<AccountView, Error> {
        let request = self.caller.request((&new).into());
        let mut client = self.client.clone();
        account(self.caller.call(client.create_account(request)).await?.account)
    }

    async fn change_account(
        &self,
        aor: &AddressOfRecord,
        change: AccountChange,
    ) -> Result<AccountView, Error> {
        let request = self
            .caller
            .request(directory::account_change_to_wire(aor, change));
        let mut client = self.client.clone();
        account(self.caller.call(client.change_account(request)).await?.account)
    }

    async fn delete_account(&self, aor: &AddressOfRecord) -> Result<(), Error> {
        let aor = aor.as_str().to_owned();
        let request = self.caller.request(wire::DeleteAccountRequest { aor });
        let mut client = self.client.clone();
        let wire::DeleteAccountResponse {} = self.caller.call(client.delete_account(request)).await?;
        Ok(())
    }

    async fn account(&self, aor: &AddressOfRecord) -> Result<Option<AccountView>, Error> {
        let aor = aor.as_str().to_owned();
        let request = self.caller.request(wire::GetAccountRequest { aor });
        let mut client = self.client.clone();
        let response = self.caller.call(client.get_account(request)).await?;
        response.account.map(|found| account(Some(found))).transpose()
    }

    async fn accounts(&self, after: Option<&AddressOfRecord>, limit: u32) -> Result<Vec<AccountView>, Error> {
        let after = after.map(|after| after.as_str().to_owned());
        let request = self.caller.request(wire::ListAccountsRequest { after, limit });
        let mut client = self.client.clone();
        let response = self.caller.call(client.list_accounts(request)).await?;
        all(response.accounts, AccountView::try_from)
    }

    async fn sessions(&self, aor: &AddressOfRecord) -> Result<Vec<SessionView>, Error> {
        let aor = aor.as_str().to_owned();
        let request = self.caller.request(wire::ListSessionsRequest { aor });
        let mut client = self.client.clone();
        let response = self.caller.call(client.list_sessions(request)).await?;
        all(response.sessions, directory::session)
    }

    async fn kick(&self, aor: &AddressOfRecord, endpoint: Option<&str>) -> Result<u32, Error> {
        let request = self.caller.request(wire::KickRequest {
            aor: aor.as_str().to_owned(),
            endpoint: endpoint.map(str::to_owned),
        });
        let mut client = self.client.clone();
        Ok(self.caller.call(client.kick(request)).await?.signed_out)
    }

    async fn create_group(&self, new: NewGroup) -> Result<GroupView, Error> {
        let request = self.caller.request((&new).into());
        let mut client = self.client.clone();
        group(self.caller.call(client.create_group(request)).await?.group)
    }

    async fn change_group(&self, address: &AddressOfRecord, change: GroupChange) -> Result<GroupView, Error> {
        let request = self
            .caller
            .request(directory::group_change_to_wire(address, &change));
        let mut client = self.client.clone();
        group(self.caller.call(client.change_group(request)).await?.group)
    }

    async fn delete_group(&self, address: &AddressOfRecord) -> Result<(), Error> {
        let address = address.as_str().to_owned();
        let request = self.caller.request(wire::DeleteGroupRequest { address });
        let mut client = self.client.clone();
        let wire::DeleteGroupResponse {} = self.caller.call(client.delete_group(request)).await?;
        Ok(())
    }

    async fn group(
        &self,
        address: &AddressOfRecord,
    ) -> Result<Option<(GroupView, Vec<AddressOfRecord>)>, Error> {
        let address = address.as_str().to_owned();
        let request = self.caller.request(wire::GetGroupRequest { address });
        let mut client = self.client.clone();
        let response = self.caller.call(client.get_group(request)).await?;
        let Some(found) = response.group else {
            return Ok(None);
        };
        let members = directory::addresses("group.members", &response.members);
        Ok(Some((
            group(Some(found))?,
            members.map_err(Malformed::in_answer)?,
        )))
    }

    async fn groups(&self, after: Option<&AddressOfRecord>, limit: u32) -> Result<Vec<GroupView>, Error> {
        let after = after.map(|after| after.as_str().to_owned());
        let request = self.caller.request(wire::ListGroupsRequest { after, limit });
        let mut client = self.client.clone();
        let response = self.caller.call(client.list_groups(request)).await?;
        all(response.groups, GroupView::try_from)
    }

    async fn create_policy(
        &self,
        kind: &str,
        scope: PolicyScope,
        values: BTreeMap<String, String>,
    ) -> Result<PolicyView, Error> {
        let request = self.caller.request(wire::CreatePolicyRequest {
            kind: kind.to_owned(),
            scope: scope.to_string(),
            values: values.into_iter().collect(),
        });
        let mut client = self.client.clone();
        policy(self.caller.call(client.create_policy(request)).await?.policy)
    }

    async fn set_policy(
        &self,
        kind: &str,
        scope: PolicyScope,
        values: BTreeMap<String, String>,
    ) -> Result<PolicyView, Error> {
        let request = self.caller.request(wire::SetPolicyRequest {
            kind: kind.to_owned(),
            scope: scope.to_string(),
            values: values.into_iter().collect(),
        });
        let mut client = self.client.clone();
        policy(self.caller.call(client.set_policy(request)).await?.policy)
    }

    async fn delete_policy(&self, kind: &str, scope: PolicyScope) -> Result<(), Error> {
        let request = self.caller.request(wire::DeletePolicyRequest {
            kind: kind.to_owned(),
            scope: scope.to_string(),
        });
        let mut client = self.client.clone();
        let wire::DeletePolicyResponse {} = self.caller.call(client.delete_policy(request)).await?;
        Ok(())
    }

    async fn policies(&self, kind: Option<&str>) -> Result<Vec<PolicyView>, Error> {
        let kind = kind.map(str::to_owned);
        let request = self.caller.request(wire::ListPoliciesRequest { kind });
        let mut client = self.client.clone();
        let response = self.caller.call(client.list_policies(request)).await?;
        all(response.policies, PolicyView::try_from)
    }

    async fn grant_policy(&self, kind: &str, tag: Option<&str>, aor: &AddressOfRecord) -> Result<(), Error> {
        let request = self.caller.request(wire::GrantPolicyRequest {
            kind: kind.to_owned(),
            tag: tag.map(str::to_owned),
            aor: aor.as_str().to_owned(),
        });
        let mut client = self.client.clone();
        let wire::GrantPolicyResponse {} = self.caller.call(client.grant_policy(request)).await?;
        Ok(())
    }

    async fn effective_policy(
        &self,
        kind: &str,
        aor: &AddressOfRecord,
    ) -> Result<Arc<EffectivePolicy>, Error> {
        let request = self.caller.request(wire::GetEffectivePolicyRequest {
            kind: kind.to_owned(),
            aor: aor.as_str().to_owned(),
        });
        let mut client = self.client.clone();
        let response = self.caller.call(client.get_effective_policy(request)).await?;
        let policy = required("policy", response.policy).and_then(EffectivePolicy::try_from);
        policy.map(Arc::new).map_err(Malformed::in_answer)
    }

    async fn totals(&self) -> Result<BTreeMap<String, u64>, Error> {
        let request = self.caller.request(wire::TotalsRequest {});
        let mut client = self.client.clone();
        let response = self.caller.call(client.totals(request)).await?;
        Ok(response.totals.into_iter().collect())
    }
}
