//! A registrar that is many: each call goes to whoever owns the user's partition, wherever that is by then.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::SelectAll;
use parking_lot::Mutex;
use rpc::{
    AccountChange, AccountView, Authenticate, Binding, Directory, DirectoryClient, EffectivePolicy, Error,
    ErrorCode, Freshness, GroupChange, GroupView, Identity, Location, NewAccount, NewGroup, PeopleFound,
    PeopleSearch, PolicyScope, PolicyView, Refusal, Register, RegisterError, Registered, Registrar,
    RegistrarChange, RegistrarClient, SessionView, Unregister,
};
use sip_types::AddressOfRecord;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::Partition;

use crate::routes::{OwnerMember, OwnerRoutes};

/// How long a call looks for an owner that answers it: longer than a hand-over, shorter than a client's transaction.
const PATIENCE: Duration = Duration::from_secs(10);

/// How soon it looks again when nothing has changed.
const AGAIN: Duration = Duration::from_millis(50);

/// Changes a receiver may lag behind by before it loses its stream.
const LAG: usize = 1_024;

/// The two faces of a registrar.
#[derive(Clone)]
pub struct LocalRegistrar {
    /// For the other roles.
    pub registrar: RegistrarClient,
    /// For administrators.
    pub directory: DirectoryClient,
}

/// Makes the (lazy) clients of a registrar in another process.
pub type DialRegistrar = Arc<dyn Fn(&OwnerMember) -> Result<LocalRegistrar, Error> + Send + Sync>;

struct Inner {
    routes: Arc<dyn OwnerRoutes>,
    local: Option<LocalRegistrar>,
    dial: DialRegistrar,
    clients: Mutex<HashMap<OwnerMember, LocalRegistrar>>,
    /// Counts searches, to spread them.
    searches: AtomicUsize,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Reaches the registrar of each user. Cheap to clone.
#[derive(Clone)]
pub struct RoutedRegistrar(Arc<Inner>);

fn unavailable(text: &str) -> Error {
    Error::new(ErrorCode::Unavailable, text)
}

impl RoutedRegistrar {
    /// Over these routes; `local` is the registrar in this process, if there is one. Streams of changes are followed by tasks
    /// of `tasks`, which end with `stop`.
    pub fn new(
        routes: Arc<dyn OwnerRoutes>,
        local: Option<LocalRegistrar>,
        dial: DialRegistrar,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        RoutedRegistrar(Arc::new(Inner {
            routes,
            local,
            dial,
            clients: Mutex::default(),
            searches: AtomicUsize::default(),
            tasks,
            stop,
        }))
    }

    /// The registrar of this member.
    fn client(&self, member: &OwnerMember) -> Result<LocalRegistrar, Error> {
        if member.is_self {
            return self
                .0
                .local
                .clone()
                .ok_or_else(|| unavailable("this member runs no registrar"));
        }
        let mut clients = self.0.clients.lock();
        if let Some(client) = clients.get(member) {
            return Ok(client.clone());
        }
        // Members that are gone leave with the first new one.
        let members = self.0.routes.members();
        clients.retain(|known, _| members.contains(known));
        let client = (self.0.dial)(member)?;
        clients.insert(member.clone(), client.clone());
        Ok(client)
    }

    /// Asks the owner of a user, and again whoever owns it next, for as long as none does.
    async fn owner<T, E, F>(
        &self,
        aor: &AddressOfRecord,
        ask: impl Fn(LocalRegistrar) -> F,
        is_elsewhere: impl Fn(&E) -> bool,
    ) -> Result<T, E>
    where
        E: From<Error>,
        F: Future<Output = Result<T, E>>,
    {
        let partition = Partition::of_user(aor.as_str());
        let until = Instant::now() + PATIENCE;
        let mut changes = self.0.routes.changes();
        loop {
            changes.mark_unchanged();
            let owner = self.0.routes.owner(partition);
            let failed = match owner.map(|owner| self.client(&owner.owner)) {
                Some(Ok(client)) => match ask(client).await {
                    Err(error) if is_elsewhere(&error) => error,
                    answer => return answer,
                },
                Some(Err(error)) => E::from(error),
                None => E::from(unavailable("no registrar owns the user now")),
            };
            if Instant::now() >= until {
                return Err(failed);
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }

    async fn registrar_of<T, F>(
        &self,
        aor: &AddressOfRecord,
        ask: impl Fn(RegistrarClient) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.owner(
            aor,
            |client| ask(client.registrar),
            |error: &Error| error.code == ErrorCode::Unavailable,
        )
        .await
    }

    async fn directory_of<T, F>(
        &self,
        aor: &AddressOfRecord,
        ask: impl Fn(DirectoryClient) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.owner(
            aor,
            |client| ask(client.directory),
            |error: &Error| error.code == ErrorCode::Unavailable,
        )
        .await
    }

    async fn register_at<T, F>(
        &self,
        aor: &AddressOfRecord,
        ask: impl Fn(RegistrarClient) -> F,
    ) -> Result<T, RegisterError>
    where
        F: Future<Output = Result<T, RegisterError>>,
    {
        let is_elsewhere = |error: &RegisterError| matches!(error, RegisterError::Failed(error) if error.code == ErrorCode::Unavailable);
        self.owner(aor, |client| ask(client.registrar), is_elsewhere)
            .await
    }

    /// Any registrar, the one in this process before others: for what is the same at all of them. What is not known to be
    /// harmless when repeated is asked once.
    fn any(&self) -> Result<DirectoryClient, Error> {
        let members = self.0.routes.members();
        let own = members.iter().find(|member| member.is_self);
        let member = own
            .or(members.first())
            .ok_or_else(|| unavailable("there is no registrar now"))?;
        Ok(self.client(member)?.directory)
    }
}

#[async_trait]
impl Registrar for RoutedRegistrar {
    async fn authenticate(&self, request: Authenticate) -> Result<Result<Identity, Refusal>, Error> {
        let request = &request;
        self.registrar_of(&request.claimed, |registrar| async move {
            registrar.authenticate(request.clone()).await
        })
        .await
    }

    async fn register(&self, request: Register) -> Result<Registered, RegisterError> {
        let request = &request;
        self.register_at(&request.aor, |registrar| async move {
            registrar.register(request.clone()).await
        })
        .await
    }

    async fn unregister(&self, request: Unregister) -> Result<Vec<Binding>, RegisterError> {
        let request = &request;
        self.register_at(&request.aor, |registrar| async move {
            registrar.unregister(request.clone()).await
        })
        .await
    }

    async fn lookup(&self, aor: &AddressOfRecord, freshness: Freshness) -> Result<Option<Location>, Error> {
        self.registrar_of(
            aor,
            |registrar| async move { registrar.lookup(aor, freshness).await },
        )
        .await
    }

    /// The streams of all registrars in one. It ends when one of them does, or when another registrar comes: whoever follows
    /// it may have missed something then, and asks again.
    async fn watch(&self) -> Result<ReceiverStream<RegistrarChange>, Error> {
        let mut moved = self.0.routes.changes();
        moved.mark_unchanged();
        let members = self.0.routes.members();
        if members.is_empty() {
            return Err(unavailable("there is no registrar now"));
        }
        let mut streams = SelectAll::new();
        for member in &members {
            let stream = self.client(member)?.registrar.watch().await?;
            // The end of one is an item, so that it ends the whole.
            streams.push(
                stream
                    .map(Some)
                    .chain(futures_util::stream::once(async { None }))
                    .boxed(),
            );
        }
        let (sender, receiver) = mpsc::channel(LAG);
        let (router, stop) = (self.clone(), self.0.stop.clone());
        self.0.tasks.spawn(async move {
            loop {
                let change = tokio::select! {
                    () = stop.cancelled() => return,
                    () = sender.closed() => return,
                    change = streams.next() => change.flatten(),
                    changed = moved.changed() => {
                        if changed.is_err() || router.0.routes.members() != members {
                            return;
                        }
                        continue;
                    }
                };
                // A receiver that lags loses its stream.
                let Some(change) = change else { return };
                if sender.try_send(change).is_err() {
                    return;
                }
            }
        });
        Ok(ReceiverStream::new(receiver))
    }

    async fn policy(&self, kind: &str, aor: &AddressOfRecord) -> Result<Arc<EffectivePolicy>, Error> {
        self.registrar_of(aor, |registrar| async move { registrar.policy(kind, aor).await })
            .await
    }

    /// Every registrar knows everybody: the one in this process is asked, else each in turn, and the next one if one is away.
    async fn search(&self, search: PeopleSearch) -> Result<PeopleFound, Error> {
        let mut members = self.0.routes.members();
        if !members.is_empty() {
            let turn = self.0.searches.fetch_add(1, Ordering::Relaxed) % members.len();
            members.rotate_left(turn);
        }
        members.sort_by_key(|member| !member.is_self);
        let mut failed = unavailable("there is no registrar now");
        for member in &members {
            let asked = match self.client(member) {
                Ok(client) => client.registrar.search(search.clone()).await,
                Err(error) => Err(error),
            };
            match asked {
                Err(error) if error.code == ErrorCode::Unavailable => failed = error,
                answer => return answer,
            }
        }
        Err(failed)
    }
}

#[async_trait]
impl Directory for RoutedRegistrar {
    async fn create_account(&self, account: NewAccount) -> Result<AccountView, Error> {
        self.any()?.create_account(account).await
    }

    async fn change_account(
        &self,
        aor: &AddressOfRecord,
        change: AccountChange,
    ) -> Result<AccountView, Error> {
        let change = &change;
        self.directory_of(aor, |directory| async move {
            directory.change_account(aor, change.clone()).await
        })
        .await
    }

    async fn delete_account(&self, aor: &AddressOfRecord) -> Result<(), Error> {
        self.directory_of(
            aor,
            |directory| async move { directory.delete_account(aor).await },
        )
        .await
    }

    async fn account(&self, aor: &AddressOfRecord) -> Result<Option<AccountView>, Error> {
        self.directory_of(aor, |directory| async move { directory.account(aor).await })
            .await
    }

    async fn accounts(&self, after: Option<&AddressOfRecord>, limit: u32) -> Result<Vec<AccountView>, Error> {
        self.any()?.accounts(after, limit).await
    }

    async fn sessions(&self, aor: &AddressOfRecord) -> Result<Vec<SessionView>, Error> {
        self.directory_of(aor, |directory| async move { directory.sessions(aor).await })
            .await
    }

    async fn kick(&self, aor: &AddressOfRecord, endpoint: Option<&str>) -> Result<u32, Error> {
        self.directory_of(
            aor,
            |directory| async move { directory.kick(aor, endpoint).await },
        )
        .await
    }

    async fn create_group(&self, group: NewGroup) -> Result<GroupView, Error> {
        self.any()?.create_group(group).await
    }

    async fn change_group(&self, address: &AddressOfRecord, change: GroupChange) -> Result<GroupView, Error> {
        self.any()?.change_group(address, change).await
    }

    async fn delete_group(&self, address: &AddressOfRecord) -> Result<(), Error> {
        self.any()?.delete_group(address).await
    }

    async fn group(
        &self,
        address: &AddressOfRecord,
    ) -> Result<Option<(GroupView, Vec<AddressOfRecord>)>, Error> {
        self.any()?.group(address).await
    }

    async fn groups(&self, after: Option<&AddressOfRecord>, limit: u32) -> Result<Vec<GroupView>, Error> {
        self.any()?.groups(after, limit).await
    }

    async fn create_policy(
        &self,
        kind: &str,
        scope: PolicyScope,
        values: BTreeMap<String, String>,
    ) -> Result<PolicyView, Error> {
        self.any()?.create_policy(kind, scope, values).await
    }

    async fn set_policy(
        &self,
        kind: &str,
        scope: PolicyScope,
        values: BTreeMap<String, String>,
    ) -> Result<PolicyView, Error> {
        self.any()?.set_policy(kind, scope, values).await
    }

    async fn delete_policy(&self, kind: &str, scope: PolicyScope) -> Result<(), Error> {
        self.any()?.delete_policy(kind, scope).await
    }

    async fn policies(&self, kind: Option<&str>) -> Result<Vec<PolicyView>, Error> {
        self.any()?.policies(kind).await
    }

    async fn grant_policy(&self, kind: &str, tag: Option<&str>, aor: &AddressOfRecord) -> Result<(), Error> {
        self.directory_of(aor, |directory| async move {
            directory.grant_policy(kind, tag, aor).await
        })
        .await
    }

    async fn effective_policy(
        &self,
        kind: &str,
        aor: &AddressOfRecord,
    ) -> Result<Arc<EffectivePolicy>, Error> {
        self.directory_of(aor, |directory| async move {
            directory.effective_policy(kind, aor).await
        })
        .await
    }

    /// The sums over all registrars, but for the number of accounts, which is the same at each.
    async fn totals(&self) -> Result<BTreeMap<String, u64>, Error> {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        let members = self.0.routes.members();
        if members.is_empty() {
            return Err(unavailable("there is no registrar now"));
        }
        for member in &members {
            for (name, count) in self.client(member)?.directory.totals().await? {
                let sum = sums.entry(name.clone()).or_default();
                *sum = if name == "accounts" {
                    count.max(*sum)
                } else {
                    *sum + count
                };
            }
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests;
