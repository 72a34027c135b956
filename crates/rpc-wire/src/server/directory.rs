//! [`rpc::Directory`] as a service.

use async_trait::async_trait;
use rpc::{DirectoryClient, NewAccount, NewGroup};
use tonic::{Request, Response, Status};

use super::malformed;
use crate::codec::{self, directory, policy};
use crate::proto::registrar::v1 as wire;
use crate::work::{Work, deadline};

/// The service over a directory.
pub(crate) struct DirectoryService {
    pub(crate) directory: DirectoryClient,
    pub(crate) work: Work,
}

#[async_trait]
impl wire::directory_server::Directory for DirectoryService {
    async fn create_account(
        &self,
        request: Request<wire::CreateAccountRequest>,
    ) -> Result<Response<wire::CreateAccountResponse>, Status> {
        let deadline = deadline(request.metadata());
        let account = NewAccount::try_from(request.into_inner()).map_err(malformed)?;
        let role = self.directory.clone();
        let work = async move {
            let account = role.create_account(account).await?;
            Ok(wire::CreateAccountResponse {
                account: Some((&account).into()),
            })
        };
        self.work.write(deadline, work).await
    }

    async fn change_account(
        &self,
        request: Request<wire::ChangeAccountRequest>,
    ) -> Result<Response<wire::ChangeAccountResponse>, Status> {
        let deadline = deadline(request.metadata());
        let (aor, change) = directory::account_change(request.into_inner()).map_err(malformed)?;
        let role = self.directory.clone();
        let work = async move {
            let account = role.change_account(&aor, change).await?;
            Ok(wire::ChangeAccountResponse {
                account: Some((&account).into()),
            })
        };
        self.work.write(deadline, work).await
    }

    async fn delete_account(
        &self,
        request: Request<wire::DeleteAccountRequest>,
    ) -> Result<Response<wire::DeleteAccountResponse>, Status> {
        let deadline = deadline(request.metadata());
        let aor = codec::aor("delete_account.aor", &request.get_ref().aor).map_err(malformed)?;
        let role = self.directory.clone();
        let work = async move {
            role.delete_account(&aor).await?;
            Ok(wire::DeleteAccountResponse {})
        };
        self.work.write(deadline, work).await
    }

    async fn get_account(
        &self,
        request: Request<wire::GetAccountRequest>,
    ) -> Result<Response<wire::GetAccountResponse>, Status> {
        let aor = codec::aor("get_account.aor", &request.get_ref().aor).map_err(malformed)?;
        let work = async {
            let account = self.directory.account(&aor).await?;
            Ok(wire::GetAccountResponse {
                account: account.as_ref().map(Into::into),
            })
        };
        self.work.read(deadline(request.metadata()), work).await
    }

    async fn list_accounts(
        &self,
        request: Request<wire::ListAccountsRequest>,
    ) -> Result<Response<wire::ListAccountsResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let after = request.after.as_deref();
        let after = after
            .map(|after| codec::aor("list_accounts.after", after))
            .transpose()
            .map_err(malformed)?;
        let work = async {
            let accounts = self.directory.accounts(after.as_ref(), request.limit).await?;
            Ok(wire::ListAccountsResponse {
                accounts: accounts.iter().map(Into::into).collect(),
            })
        };
        self.work.read(deadline, work).await
    }

    async fn list_sessions(
        &self,
        request: Request<wire::ListSessionsRequest>,
    ) -> Result<Response<wire::ListSessionsResponse>, Status> {
        let aor = codec::aor("list_sessions.aor", &request.get_ref().aor).map_err(malformed)?;
        let work = async {
            let sessions = self.directory.sessions(&aor).await?;
            let one = |session| directory::session_to_wire(&aor, session);
            Ok(wire::ListSessionsResponse {
                sessions: sessions.iter().map(one).collect(),
            })
        };
        self.work.read(deadline(request.metadata()), work).await
    }

    async fn kick(
        &self,
        request: Request<wire::KickRequest>,
    ) -> Result<Response<wire::KickResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let aor = codec::aor("kick.aor", &request.aor).map_err(malformed)?;
        let role = self.directory.clone();
        let work = async move {
            let signed_out = role.kick(&aor, request.endpoint.as_deref()).await?;
            Ok(wire::KickResponse { signed_out })
        };
        self.work.write(deadline, work).await
    }

    async fn create_group(
        &self,
        request: Request<wire::CreateGroupRequest>,
    ) -> Result<Response<wire::CreateGroupResponse>, Status> {
        let deadline = deadline(request.metadata());
        let group = NewGroup::try_from(request.into_inner()).map_err(malformed)?;
        let role = self.directory.clone();
        let work = async move {
            let group = role.create_group(group).await?;
            Ok(wire::CreateGroupResponse {
                group: Some((&group).into()),
            })
        };
        self.work.write(deadline, work).await
    }

    async fn change_group(
        &self,
        request: Request<wire::ChangeGroupRequest>,
    ) -> Result<Response<wire::ChangeGroupResponse>, Status> {
        let deadline = deadline(request.metadata());
        let (address, change) = directory::group_change(request.into_inner()).map_err(malformed)?;
        let role = self.directory.clone();
        let work = async move {
            let group = role.change_group(&address, change).await?;
            Ok(wire::ChangeGroupResponse {
                group: Some((&group).into()),
            })
        };
        self.work.write(deadline, work).await
    }

    async fn delete_group(
        &self,
        request: Request<wire::DeleteGroupRequest>,
    ) -> Result<Response<wire::DeleteGroupResponse>, Status> {
        let deadline = deadline(request.metadata());
        let address = codec::aor("delete_group.address", &request.get_ref().address).map_err(malformed)?;
        let role = self.directory.clone();
        let work = async move {
            role.delete_group(&address).await?;
            Ok(wire::DeleteGroupResponse {})
        };
        self.work.write(deadline, work).await
    }

    async fn get_group(
        &self,
        request: Request<wire::GetGroupRequest>,
    ) -> Result<Response<wire::GetGroupResponse>, Status> {
        let address = codec::aor("get_group.address", &request.get_ref().address).map_err(malformed)?;
        let work = async {
            let found = self.directory.group(&address).await?;
            let members = found.iter().flat_map(|(_, members)| members);
            Ok(wire::GetGroupResponse {
                members: members.map(|member| member.as_str().to_owned()).collect(),
                group: found.as_ref().map(|(group, _)| group.into()),
            })
        };
        self.work.read(deadline(request.metadata()), work).await
    }

    async fn list_groups(
        &self,
        request: Request<wire::ListGroupsRequest>,
    ) -> Result<Response<wire::ListGroupsResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let after = request.after.as_deref();
        let after = after
            .map(|after| codec::aor("list_groups.after", after))
            .transpose()
            .map_err(malformed)?;
        let work = async {
            let groups = self.directory.groups(after.as_ref(), request.limit).await?;
            Ok(wire::ListGroupsResponse {
                groups: groups.iter().map(Into::into).collect(),
            })
        };
        self.work.read(deadline, work).await
    }

    async fn create_policy(
        &self,
        request: Request<wire::CreatePolicyRequest>,
    ) -> Result<Response<wire::CreatePolicyResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let scope = policy::scope("create_policy.scope", &request.scope).map_err(malformed)?;
        let role = self.directory.clone();
        let work = async move {
            let values = request.values.into_iter().collect();
            let policy = role.create_policy(&request.kind, scope, values).await?;
            Ok(wire::CreatePolicyResponse {
                policy: Some((&policy).into()),
            })
        };
        self.work.write(deadline, work).await
    }

    async fn set_policy(
        &self,
        request: Request<wire::SetPolicyRequest>,
    ) -> Result<Response<wire::SetPolicyResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let scope = policy::scope("set_policy.scope", &request.scope).map_err(malformed)?;
        let role = self.directory.clone();
        let work = async move {
            let values = request.values.into_iter().collect();
            let policy = role.set_policy(&request.kind, scope, values).await?;
            Ok(wire::SetPolicyResponse {
                policy: Some((&policy).into()),
            })
        };
        self.work.write(deadline, work).await
    }

    async fn delete_policy(
        &self,
        request: Request<wire::DeletePolicyRequest>,
    ) -> Result<Response<wire::DeletePolicyResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let scope = policy::scope("delete_policy.scope", &request.scope).map_err(malformed)?;
        let role = self.directory.clone();
        let work = async move {
            role.delete_policy(&request.kind, scope).await?;
            Ok(wire::DeletePolicyResponse {})
        };
        self.work.write(deadline, work).await
    }

    async fn list_policies(
        &self,
        request: Request<wire::ListPoliciesRequest>,
    ) -> Result<Response<wire::ListPoliciesResponse>, Status> {
        let kind = request.get_ref().kind.as_deref();
        let work = async {
            let policies = self.directory.policies(kind).await?;
            Ok(wire::ListPoliciesResponse {
                policies: policies.iter().map(Into::into).collect(),
            })
        };
        self.work.read(deadline(request.metadata()), work).await
    }

    async fn grant_policy(
        &self,
        request: Request<wire::GrantPolicyRequest>,
    ) -> Result<Response<wire::GrantPolicyResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let aor = codec::aor("grant_policy.aor", &request.aor).map_err(malformed)?;
        let role = self.directory.clone();
        let work = async move {
            role.grant_policy(&request.kind, request.tag.as_deref(), &aor)
                .await?;
            Ok(wire::GrantPolicyResponse {})
        };
        self.work.write(deadline, work).await
    }

    async fn get_effective_policy(
        &self,
        request: Request<wire::GetEffectivePolicyRequest>,
    ) -> Result<Response<wire::GetEffectivePolicyResponse>, Status> {
        let deadline = deadline(request.metadata());
        let request = request.into_inner();
        let aor = codec::aor("get_effective_policy.aor", &request.aor).map_err(malformed)?;
        let work = async {
            let policy = self.directory.effective_policy(&request.kind, &aor).await?;
            Ok(wire::GetEffectivePolicyResponse {
                policy: Some((&*policy).into()),
            })
        };
        self.work.read(deadline, work).await
    }

    async fn totals(
        &self,
        request: Request<wire::TotalsRequest>,
    ) -> Result<Response<wire::TotalsResponse>, Status> {
        let work = async {
            let totals = self.directory.totals().await?;
            Ok(wire::TotalsResponse {
                totals: totals.into_iter().collect(),
            })
        };
        self.work.read(deadline(request.metadata()), work).await
    }
}
