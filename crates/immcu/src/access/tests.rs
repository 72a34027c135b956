//! What is known of recipients, with an owner of presence that does what a test says. Time is virtual.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use async_trait::async_trait;
use rpc::presence::{
    Availability, ContactCard, ContactChange, ContactList, ContactNews, ContactRefusal, Container,
    ContainerMember, FollowRefusal, LevelView, MemberChanges, OwnData, Publish, PublishRefusal, Published,
    SeenWatcher,
};
use rpc::{Error, ErrorCode, Presence};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::conversation::testing::aor;

#[derive(Default)]
struct FakePresence {
    /// Whom bob has blocked.
    blocked: Mutex<Vec<AddressOfRecord>>,
    count: AtomicU64,
    follows: AtomicUsize,
    unfollowed: Mutex<Vec<AddressOfRecord>>,
    /// Does not answer at all.
    hangs: AtomicBool,
    down: AtomicBool,
    news: Mutex<Option<mpsc::Sender<PresenceNews>>>,
}

impl FakePresence {
    fn document(&self) -> Arc<PresenceDocument> {
        let mut rules = AccessRules::usual(aor("bob"));
        let blocked = self.blocked.lock().clone();
        rules.containers.push(Container {
            id: AccessLevel::Blocked.container(),
            version: 1,
            members: blocked.into_iter().map(ContainerMember::User).collect(),
        });
        let view = Arc::new(LevelView {
            availability: Availability::OFFLINE,
            activity: None,
            since: 0,
            last_active: None,
            location: None,
            meeting_subject: None,
            notes: Arc::default(),
            card: Arc::new(ContactCard::default()),
            passed_on: Arc::default(),
            documents: Arc::default(),
        });
        Arc::new(PresenceDocument {
            presentity: aor("bob"),
            version: PresenceVersion {
                epoch: 1,
                count: self.count.fetch_add(1, Ordering::Relaxed) + 1,
            },
            rules: Arc::new(rules),
            views: std::array::from_fn(|_| view.clone()),
        })
    }

    async fn tell(&self, news: PresenceNews) {
        let sender = self.news.lock().clone().unwrap();
        sender.send(news).await.unwrap();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    /// Bob has blocked these; who follows is told.
    async fn block(&self, users: &[&str]) {
        *self.blocked.lock() = users.iter().map(|user| aor(user)).collect();
        self.tell(PresenceNews::Document(self.document())).await;
    }

    fn follows(&self) -> usize {
        self.follows.load(Ordering::Relaxed)
    }
}

fn down<T>() -> Result<T, Error> {
    Err(Error::new(ErrorCode::Unavailable, "the test says so"))
}

#[async_trait]
impl Presence for FakePresence {
    async fn follow(
        &self,
        _: &MemberId,
        follow: Vec<Follow>,
    ) -> Result<Vec<Result<Arc<PresenceDocument>, FollowRefusal>>, Error> {
        self.follows.fetch_add(1, Ordering::Relaxed);
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if self.down.load(Ordering::Relaxed) {
            return down();
        }
        let answer = |follow: Follow| match follow.presentity == aor("bob") {
            true => Ok(self.document()),
            false => Err(FollowRefusal::NoSuchUser),
        };
        Ok(follow.into_iter().map(answer).collect())
    }

    async fn unfollow(&self, _: &MemberId, users: Vec<AddressOfRecord>) -> Result<(), Error> {
        self.unfollowed.lock().extend(users);
        Ok(())
    }

    async fn news(&self, _: &MemberId) -> Result<ReceiverStream<PresenceNews>, Error> {
        let (sender, receiver) = mpsc::channel(16);
        *self.news.lock() = Some(sender);
        Ok(ReceiverStream::new(receiver))
    }

    async fn publish(&self, _: Publish) -> Result<Result<Published, PublishRefusal>, Error> {
        down()
    }

    async fn own(&self, _: &AddressOfRecord) -> Result<Option<Arc<OwnData>>, Error> {
        down()
    }

    async fn watched(&self, _: &MemberId, _: &AddressOfRecord, _: Vec<SeenWatcher>) -> Result<(), Error> {
        down()
    }

    async fn change_members(
        &self,
        _: &AddressOfRecord,
        _: MemberChanges,
    ) -> Result<Result<Arc<AccessRules>, PublishRefusal>, Error> {
        down()
    }

    async fn acknowledge(&self, _: &AddressOfRecord, _: Vec<AddressOfRecord>) -> Result<(), Error> {
        down()
    }

    async fn contacts(&self, _: &AddressOfRecord) -> Result<Arc<ContactList>, Error> {
        down()
    }

    async fn change_contacts(
        &self,
        _: &AddressOfRecord,
        _: Option<u64>,
        _: ContactChange,
    ) -> Result<Result<ContactNews, ContactRefusal>, Error> {
        down()
    }
}

/// The owner, and what asks it.
async fn world() -> (Arc<FakePresence>, Access) {
    let presence = Arc::new(FakePresence::default());
    let client = PresenceClient::local(presence.clone());
    let access = Access::new(
        client,
        MemberId::new("im1/access"),
        vec!["example.test".to_owned()],
    );
    let following = access.clone();
    tokio::spawn(async move { following.follow().await });
    while presence.news.lock().is_none() {
        tokio::task::yield_now().await;
    }
    (presence, access)
}

async fn alice(access: &Access) -> Standing {
    access.standing(&aor("bob"), &aor("alice")).await
}

#[tokio::test(start_paused = true)]
async fn the_owner_is_asked_once_and_tells_who_is_blocked_later() {
    let (presence, access) = world().await;
    assert_eq!(alice(&access).await, Standing::Free);
    presence.block(&["alice"]).await;
    assert_eq!(alice(&access).await, Standing::Blocked);
    assert_eq!(access.standing(&aor("bob"), &aor("carol")).await, Standing::Free);
    presence.block(&[]).await;
    assert_eq!(alice(&access).await, Standing::Free);
    assert_eq!(presence.follows(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_owner_is_asked_again() {
    let (presence, access) = world().await;
    assert_eq!(alice(&access).await, Standing::Free);
    *presence.blocked.lock() = vec![aor("alice")];
    presence
        .tell(PresenceNews::Lost(Partition::of_user(aor("bob").as_str())))
        .await;
    assert_eq!(alice(&access).await, Standing::Blocked);
    assert_eq!(presence.follows(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_broke_makes_everything_old() {
    let (presence, access) = world().await;
    assert_eq!(alice(&access).await, Standing::Free);
    *presence.blocked.lock() = vec![aor("alice")];
    *presence.news.lock() = None;
    sleep(REOPEN * 2).await;
    assert_eq!(alice(&access).await, Standing::Blocked);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_away_stops_nobody_for_long_and_is_asked_now_and_then() {
    let (presence, access) = world().await;
    presence.hangs.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    assert_eq!(alice(&access).await, Standing::Unknown);
    assert_eq!(begun.elapsed(), PATIENCE);
    assert_eq!(alice(&access).await, Standing::Unknown);
    assert_eq!((begun.elapsed(), presence.follows()), (PATIENCE, 1));
    presence.hangs.store(false, Ordering::Relaxed);
    sleep(AGAIN).await;
    assert_eq!(alice(&access).await, Standing::Free);
}

#[tokio::test(start_paused = true)]
async fn who_was_blocked_stays_blocked_while_the_owner_is_away() {
    let (presence, access) = world().await;
    assert_eq!(alice(&access).await, Standing::Free);
    presence.block(&["alice"]).await;
    presence.down.store(true, Ordering::Relaxed);
    presence
        .tell(PresenceNews::Lost(Partition::of_user(aor("bob").as_str())))
        .await;
    assert_eq!(alice(&access).await, Standing::Blocked);
    assert_eq!(
        access.standing(&aor("bob"), &aor("carol")).await,
        Standing::Unknown
    );
}

#[tokio::test(start_paused = true)]
async fn people_to_whom_nobody_writes_are_forgotten_and_nobody_has_to_tell_of_them() {
    let (presence, access) = world().await;
    assert_eq!(alice(&access).await, Standing::Free);
    sleep(IDLE / 2).await;
    assert_eq!(alice(&access).await, Standing::Free);
    sleep(IDLE / 2 + SWEEP).await;
    assert_eq!(presence.unfollowed.lock().len(), 0);
    sleep(IDLE).await;
    assert_eq!(*presence.unfollowed.lock(), [aor("bob")]);
    assert_eq!(alice(&access).await, Standing::Free);
    assert_eq!(presence.follows(), 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_blocked_by_who_does_not_exist() {
    let (_presence, access) = world().await;
    assert_eq!(
        access.standing(&aor("nobody"), &aor("alice")).await,
        Standing::Free
    );
}
