//! What members ask of each other as members.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rpc::Error;
use tonic::{Request, Response, Status};
use topology::{MemberId, Role};

use crate::client::{Caller, Carrier};
use crate::codec::{Malformed, endpoint};
use crate::proto::pool::v1 as wire;
use crate::work::{Work, deadline};

/// A member as it describes itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    /// Its name in the pool.
    pub member: MemberId,
    /// Which of its lives: larger in a later one.
    pub incarnation: u64,
    /// The roles it runs.
    pub roles: Vec<Role>,
    /// Its version.
    pub version: String,
    /// Since it last renewed its lease; `None`: it never did.
    pub renewed_ago: Option<Duration>,
    /// Open connections of clients; `None`: it runs no front end, or a release that does not tell.
    pub clients: Option<u64>,
}

/// Describes the member this process is.
pub trait Describe: Send + Sync + 'static {
    /// The member as it is now.
    fn describe(&self) -> Description;
}

impl From<&Description> for wire::DescribeResponse {
    fn from(member: &Description) -> Self {
        let milliseconds = |ago: Duration| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        wire::DescribeResponse {
            member: member.member.as_str().to_owned(),
            incarnation: member.incarnation,
            roles: member.roles.iter().map(ToString::to_string).collect(),
            version: member.version.clone(),
            renewed_ms_ago: member.renewed_ago.map(milliseconds),
            clients: member.clients,
        }
    }
}

/// Roles of a later version are left out: nothing is asked of them here.
impl TryFrom<wire::DescribeResponse> for Description {
    type Error = Malformed;

    fn try_from(member: wire::DescribeResponse) -> Result<Self, Malformed> {
        Ok(Description {
            member: endpoint::member("describe.member", &member.member)?,
            incarnation: member.incarnation,
            roles: member.roles.iter().filter_map(|name| name.parse().ok()).collect(),
            version: member.version,
            renewed_ago: member.renewed_ms_ago.map(Duration::from_millis),
            clients: member.clients,
        })
    }
}

/// The service over a [`Describe`].
pub(crate) struct MemberService {
    pub(crate) member: Arc<dyn Describe>,
    pub(crate) work: Work,
}

#[async_trait]
impl wire::member_server::Member for MemberService {
    async fn describe(
        &self,
        request: Request<wire::DescribeRequest>,
    ) -> Result<Response<wire::DescribeResponse>, Status> {
        let description = async { Ok((&self.member.describe()).into()) };
        self.work.read(deadline(request.metadata()), description).await
    }
}

/// Another member.
#[derive(Clone)]
pub struct RemoteMember<T> {
    client: wire::member_client::MemberClient<T>,
    caller: Caller,
}

impl<T: Carrier> RemoteMember<T> {
    /// The member at the other end of `carrier`.
    pub fn new(carrier: T) -> Self {
        RemoteMember {
            client: wire::member_client::MemberClient::new(carrier),
            caller: Caller::default(),
        }
    }

    /// The same with another deadline for each call.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.caller.deadline = deadline;
        self
    }

    /// Who it is. Reads only.
    ///
    /// # Errors
    /// It could not be asked, or what it said is malformed.
    pub async fn describe(&self) -> Result<Description, Error> {
        let request = self.caller.request(wire::DescribeRequest {});
        let mut client = self.client.clone();
        let response = self.caller.call(client.describe(request)).await?;
        response.try_into().map_err(Malformed::in_answer)
    }
}
