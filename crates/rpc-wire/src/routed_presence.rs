//! A presence role that is many: each call goes to whoever owns the user's partition, and the news of all owners are one
//! stream that does not end when one of them does.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, SelectAll};
use parking_lot::Mutex;
use rpc::presence::{
    AccessRules, ContactChange, ContactList, ContactNews, ContactRefusal, Follow, FollowRefusal,
    MemberChanges, OwnData, PresenceDocument, PresenceNews, Publish, PublishRefusal, Published, SeenWatcher,
};
use rpc::{Error, ErrorCode, Presence, PresenceClient};
use sip_types::AddressOfRecord;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::{MemberId, Partition};

use crate::FOLLOW_BATCH;
use crate::routes::{OwnerMember, OwnerRoutes, PartitionOwner};

/// How long a call looks for an owner that answers it: longer than a hand-over, shorter than a client's transaction.
const PATIENCE: Duration = Duration::from_secs(10);

/// How soon it looks again when nothing has changed, and how late at most after that was in vain several times.
const AGAIN: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// How soon a stream of news that could not be opened is tried again.
const REOPEN: Duration = Duration::from_millis(500);

/// News that wait for the receiver. With more the streams of the owners wait, and an owner ends one that waits too long.
const WAITING: usize = 1_024;

/// Makes the (lazy) client of a presence role in another process.
pub type DialPresence = Arc<dyn Fn(&OwnerMember) -> Result<PresenceClient, Error> + Send + Sync>;

struct Inner {
    routes: Arc<dyn OwnerRoutes>,
    local: Option<PresenceClient>,
    dial: DialPresence,
    clients: Mutex<HashMap<OwnerMember, PresenceClient>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Reaches the owner of each presentity. Cheap to clone.
#[derive(Clone)]
pub struct RoutedPresence(Arc<Inner>);

/// Looks for an owner again and again: at once when another one is known, and else ever more seldom.
struct Search {
    until: Instant,
    again: Duration,
    changes: watch::Receiver<u64>,
}

impl Search {
    fn begin(routes: &Arc<dyn OwnerRoutes>) -> Self {
        Search {
            until: Instant::now() + PATIENCE,
            again: AGAIN,
            changes: routes.changes(),
        }
    }

    /// What changes from here on is a reason to look again.
    fn looks_now(&mut self) {
        self.changes.mark_unchanged();
    }

    /// Waits for a reason to look again. False: it was looked for long enough.
    async fn goes_on(&mut self) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        // An error says that the routes change no more.
        let changed = async {
            if self.changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        if tokio::time::timeout(self.again, changed).await.is_err() {
            self.again = (self.again * 2).min(AGAIN_MAX);
        }
        true
    }
}

fn unavailable(text: &str) -> Error {
    Error::new(ErrorCode::Unavailable, text)
}

fn partition(user: &AddressOfRecord) -> Partition {
    Partition::of_user(user.as_str())
}

impl RoutedPresence {
    /// Over these routes; `local` is the presence role in this process, if there is one. Streams of news are followed by tasks
    /// of `tasks`, which end with `stop`.
    pub fn new(
        routes: Arc<dyn OwnerRoutes>,
        local: Option<PresenceClient>,
        dial: DialPresence,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        RoutedPresence(Arc::new(Inner {
            routes,
            local,
            dial,
            clients: Mutex::default(),
            tasks,
            stop,
        }))
    }

    /// The presence role of this member.
    fn client(&self, member: &OwnerMember) -> Result<PresenceClient, Error> {
        if member.is_self {
            let local = self.0.local.clone();
            return local.ok_or_else(|| unavailable("this member runs no presence"));
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

    fn owner_of(&self, partition: Partition) -> Result<PresenceClient, Error> {
        let owner = self.0.routes.owner(partition);
        let owner = owner.ok_or_else(|| unavailable("nobody owns the presence of the user now"))?;
        self.client(&owner.owner)
    }

    /// Asks the owner of a partition, and again whoever owns it next, for as long as none does. Any other failure is the
    /// answer.
    async fn ask<T, F>(&self, partition: Partition, ask: impl Fn(PresenceClient) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut search = Search::begin(&self.0.routes);
        loop {
            search.looks_now();
            let failed = match self.owner_of(partition) {
                Ok(client) => match ask(client).await {
                    Err(error) if error.code == ErrorCode::Unavailable => error,
                    answer => return answer,
                },
                Err(error) => error,
            };
            if !search.goes_on().await {
                return Err(failed);
            }
        }
    }

    /// These places of a request by who owns their users now, in batches of [`FOLLOW_BATCH`].
    fn by_owner<'a>(
        &self,
        places: impl Iterator<Item = (usize, &'a AddressOfRecord)>,
    ) -> Vec<(Result<PresenceClient, Error>, Vec<usize>)> {
        let mut groups: HashMap<Option<OwnerMember>, Vec<usize>> = HashMap::new();
        for (place, user) in places {
            let owner = self.0.routes.owner(partition(user)).map(|owner| owner.owner);
            groups.entry(owner).or_default().push(place);
        }
        let mut batches = Vec::new();
        for (owner, places) in groups {
            for batch in places.chunks(FOLLOW_BATCH) {
                let client = match &owner {
                    Some(owner) => self.client(owner),
                    None => Err(unavailable("nobody owns the presence of the user now")),
                };
                batches.push((client, batch.to_vec()));
            }
        }
        batches
    }
}

#[async_trait]
impl Presence for RoutedPresence {
    async fn publish(&self, publish: Publish) -> Result<Result<Published, PublishRefusal>, Error> {
        let publish = &publish;
        self.ask(partition(&publish.user), |owner| async move {
            owner.publish(publish.clone()).await
        })
        .await
    }

    async fn own(&self, user: &AddressOfRecord) -> Result<Option<Arc<OwnData>>, Error> {
        self.ask(partition(user), |owner| async move { owner.own(user).await })
            .await
    }

    /// Each owner is asked for all it owns at once; what had no owner, or another one by then, or was left without an answer
    /// is asked for again. The answers end before the first that failed; none at all are that failure.
    async fn follow(
        &self,
        member: &MemberId,
        follow: Vec<Follow>,
    ) -> Result<Vec<Result<Arc<PresenceDocument>, FollowRefusal>>, Error> {
        let mut search = Search::begin(&self.0.routes);
        let mut answers = vec![None; follow.len()];
        let mut open: Vec<usize> = (0..follow.len()).collect();
        let mut failed = None;
        while !open.is_empty() {
            search.looks_now();
            let places = open.drain(..).map(|place| (place, &follow[place].presentity));
            let asked = self.by_owner(places).into_iter().map(|(owner, places)| {
                let batch = places.iter().map(|place| follow[*place].clone()).collect();
                async move {
                    let answers = match owner {
                        Ok(owner) => owner.follow(member, batch).await,
                        Err(error) => Err(error),
                    };
                    (places, answers)
                }
            });
            let mut is_answered = false;
            for (places, answered) in join_all(asked).await {
                match answered {
                    Ok(answered) if answered.len() <= places.len() => {
                        is_answered |= !answered.is_empty();
                        open.extend(&places[answered.len()..]);
                        for (place, answer) in places.into_iter().zip(answered) {
                            answers[place] = Some(answer);
                        }
                    }
                    Ok(_) => return Err(Error::new(ErrorCode::Internal, "a follow has too many answers")),
                    Err(error) => {
                        if error.code == ErrorCode::Unavailable {
                            open.extend(places);
                        }
                        failed = Some(error);
                    }
                }
            }
            // Whoever answered some has more to say.
            if !open.is_empty() && !is_answered && !search.goes_on().await {
                break;
            }
        }
        let answers: Vec<_> = answers.into_iter().map_while(|answer| answer).collect();
        match failed {
            Some(error) if answers.is_empty() => Err(error),
            _ => Ok(answers),
        }
    }

    /// Owners that cannot be reached have nothing to be told: they forget a front end with its stream.
    async fn unfollow(&self, member: &MemberId, presentities: Vec<AddressOfRecord>) -> Result<(), Error> {
        let batches = self.by_owner(presentities.iter().enumerate());
        let told = batches.into_iter().map(|(owner, places)| {
            let batch = places
                .into_iter()
                .map(|place| presentities[place].clone())
                .collect();
            async move { owner?.unfollow(member, batch).await }
        });
        join_all(told).await.into_iter().collect()
    }

    async fn news(&self, member: &MemberId) -> Result<ReceiverStream<PresenceNews>, Error> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let merging = Merging {
            router: self.clone(),
            member: member.clone(),
            sender,
            owners: HashMap::new(),
            to_tell: Partition::all().collect(),
            open: HashSet::new(),
        };
        let stop = self.0.stop.clone();
        self.0.tasks.spawn(async move {
            stop.run_until_cancelled(merging.run()).await;
        });
        Ok(ReceiverStream::new(receiver))
    }

    async fn watched(
        &self,
        member: &MemberId,
        presentity: &AddressOfRecord,
        watchers: Vec<SeenWatcher>,
    ) -> Result<(), Error> {
        let watchers = &watchers;
        self.ask(partition(presentity), |owner| async move {
            owner.watched(member, presentity, watchers.clone()).await
        })
        .await
    }

    async fn change_members(
        &self,
        user: &AddressOfRecord,
        changes: MemberChanges,
    ) -> Result<Result<Arc<AccessRules>, PublishRefusal>, Error> {
        let changes = &changes;
        self.ask(partition(user), |owner| async move {
            owner.change_members(user, changes.clone()).await
        })
        .await
    }

    async fn acknowledge(&self, user: &AddressOfRecord, watchers: Vec<AddressOfRecord>) -> Result<(), Error> {
        let watchers = &watchers;
        self.ask(partition(user), |owner| async move {
            owner.acknowledge(user, watchers.clone()).await
        })
        .await
    }

    async fn contacts(&self, user: &AddressOfRecord) -> Result<Arc<ContactList>, Error> {
        self.ask(partition(user), |owner| async move { owner.contacts(user).await })
            .await
    }

    async fn change_contacts(
        &self,
        user: &AddressOfRecord,
        known: Option<u64>,
        change: ContactChange,
    ) -> Result<Result<ContactNews, ContactRefusal>, Error> {
        let change = &change;
        self.ask(partition(user), |owner| async move {
            owner.change_contacts(user, known, change.clone()).await
        })
        .await
    }
}

/// News of one owner, `None` when its stream is over.
type OwnerStream = Pin<Box<dyn Stream<Item = (OwnerMember, Option<PresenceNews>)> + Send>>;

/// An attempt to open the stream of an owner.
type Opening =
    Pin<Box<dyn Future<Output = (OwnerMember, Result<ReceiverStream<PresenceNews>, Error>)> + Send>>;

/// The streams of all owners on their way into one.
struct Merging {
    router: RoutedPresence,
    member: MemberId,
    sender: mpsc::Sender<PresenceNews>,
    /// Who owns what, as the receiver knows it.
    owners: HashMap<Partition, PartitionOwner>,
    /// Partitions that the receiver has to follow again, as soon as the stream of their owner stands.
    to_tell: HashSet<Partition>,
    /// Owners whose stream stands.
    open: HashSet<OwnerMember>,
}

impl Merging {
    async fn run(mut self) {
        let mut moved = self.router.0.routes.changes();
        let mut streams: SelectAll<OwnerStream> = SelectAll::new();
        let mut openings: FuturesUnordered<Opening> = FuturesUnordered::new();
        let mut asked: HashSet<OwnerMember> = HashSet::new();
        moved.mark_changed();
        loop {
            if !self.to_tell.is_empty() && self.tell().await.is_err() {
                return;
            }
            tokio::select! {
                () = self.sender.closed() => return,
                changed = moved.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.look();
                    for member in self.router.0.routes.members() {
                        if asked.insert(member.clone()) {
                            openings.push(self.opening(member, Duration::ZERO));
                        }
                    }
                }
                Some((owner, opened)) = openings.next() => match opened {
                    Ok(stream) => {
                        let (of, end) = (owner.clone(), owner.clone());
                        let stream = stream
                            .map(move |news| (of.clone(), Some(news)))
                            .chain(futures_util::stream::once(async move { (end, None) }));
                        streams.push(stream.boxed());
                        self.open.insert(owner);
                    }
                    Err(error) => {
                        tracing::debug!(%error, member = %owner.member, "no news of presence from an owner yet");
                        self.again(owner, &mut asked, &mut openings);
                    }
                },
                Some((owner, news)) = streams.next() => match news {
                    Some(news) => if self.sender.send(news).await.is_err() { return },
                    None => {
                        self.open.remove(&owner);
                        let lost = self.owners.iter().filter(|(_, at)| at.owner == owner);
                        self.to_tell.extend(lost.map(|(partition, _)| *partition));
                        self.again(owner, &mut asked, &mut openings);
                    }
                },
            }
        }
    }

    fn opening(&self, owner: OwnerMember, after: Duration) -> Opening {
        let (router, member) = (self.router.clone(), self.member.clone());
        Box::pin(async move {
            tokio::time::sleep(after).await;
            let opened = match router.client(&owner) {
                Ok(client) => client.news(&member).await,
                Err(error) => Err(error),
            };
            (owner, opened)
        })
    }

    /// Opens the stream of an owner once more if it is still there.
    fn again(
        &self,
        owner: OwnerMember,
        asked: &mut HashSet<OwnerMember>,
        openings: &mut FuturesUnordered<Opening>,
    ) {
        if self.router.0.routes.members().contains(&owner) {
            openings.push(self.opening(owner, REOPEN));
        } else {
            asked.remove(&owner);
        }
    }

    /// Notes which partitions have another owner, or the same one anew.
    fn look(&mut self) {
        for partition in Partition::all() {
            let now = self.router.0.routes.owner(partition);
            if now.as_ref() == self.owners.get(&partition) {
                continue;
            }
            match now {
                Some(now) => self.owners.insert(partition, now),
                None => self.owners.remove(&partition),
            };
            self.to_tell.insert(partition);
        }
    }

    /// Tells what has to be followed again, where it can be.
    async fn tell(&mut self) -> Result<(), mpsc::error::SendError<PresenceNews>> {
        let (owners, open) = (&self.owners, &self.open);
        let ready: Vec<Partition> = self
            .to_tell
            .iter()
            .copied()
            .filter(|partition| owners.get(partition).is_some_and(|at| open.contains(&at.owner)))
            .collect();
        for partition in ready {
            self.sender.send(PresenceNews::Lost(partition)).await?;
            self.to_tell.remove(&partition);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
