//! An owner of presence for the tests of this crate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use rpc::presence::{
    AccessRules, ContactChange, ContactList, ContactNews, ContactRefusal, Follow, FollowRefusal,
    MemberChanges, OwnData, PresenceDocument, PresenceNews, Publish, PublishRefusal, Published, SeenWatcher,
};
use rpc::{Error, ErrorCode, Presence};
use sip_types::AddressOfRecord;
use tokio::sync::Semaphore;
use tokio_stream::wrappers::ReceiverStream;
use topology::MemberId;

/// An owner that counts what it is asked.
pub(crate) struct Owner {
    /// What it answers to everything; `None`: it does what it is asked.
    pub(crate) error: Mutex<Option<ErrorCode>>,
    pub(crate) asked: AtomicUsize,
    /// Answers in one follow, at most.
    pub(crate) room: usize,
    /// Cannot be followed.
    pub(crate) fails: Option<AddressOfRecord>,
    /// Publications that may be done. A publication waits until there are some.
    pub(crate) publications: Semaphore,
    /// Publications that were done.
    pub(crate) published: AtomicUsize,
}

impl Owner {
    fn check(&self) -> Result<(), Error> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match *self.error.lock() {
            Some(code) => Err(Error::new(code, "the test says so")),
            None => Ok(()),
        }
    }

    fn unused<T>() -> Result<T, Error> {
        Err(Error::new(ErrorCode::Internal, "not in these tests"))
    }
}

#[async_trait]
impl Presence for Owner {
    /// Panics for the user `panic`.
    async fn publish(&self, publish: Publish) -> Result<Result<Published, PublishRefusal>, Error> {
        self.check()?;
        assert!(!publish.user.as_str().starts_with("panic"), "the test wants it");
        let permit = self.publications.acquire().await;
        permit.expect("the semaphore is never closed").forget();
        self.published.fetch_add(1, Ordering::SeqCst);
        Ok(Err(PublishRefusal::NoSuchUser))
    }

    async fn own(&self, _: &AddressOfRecord) -> Result<Option<Arc<OwnData>>, Error> {
        self.check().map(|()| None)
    }

    async fn follow(
        &self,
        _: &MemberId,
        follow: Vec<Follow>,
    ) -> Result<Vec<Result<Arc<PresenceDocument>, FollowRefusal>>, Error> {
        self.check()?;
        let good = follow.iter().take(self.room);
        let good = good.take_while(|one| Some(&one.presentity) != self.fails.as_ref());
        let answers: Vec<_> = good.map(|_| Err(FollowRefusal::NoSuchUser)).collect();
        if answers.is_empty() {
            return Err(Error::new(ErrorCode::Timeout, "the first one fails"));
        }
        Ok(answers)
    }

    async fn unfollow(&self, _: &MemberId, _: Vec<AddressOfRecord>) -> Result<(), Error> {
        Self::unused()
    }

    async fn news(&self, _: &MemberId) -> Result<ReceiverStream<PresenceNews>, Error> {
        Self::unused()
    }

    async fn watched(&self, _: &MemberId, _: &AddressOfRecord, _: Vec<SeenWatcher>) -> Result<(), Error> {
        Self::unused()
    }

    async fn change_members(
        &self,
        _: &AddressOfRecord,
        _: MemberChanges,
    ) -> Result<Result<Arc<AccessRules>, PublishRefusal>, Error> {
        Self::unused()
    }

    async fn acknowledge(&self, _: &AddressOfRecord, _: Vec<AddressOfRecord>) -> Result<(), Error> {
        Self::unused()
    }

    async fn contacts(&self, _: &AddressOfRecord) -> Result<Arc<ContactList>, Error> {
        Self::unused()
    }

    async fn change_contacts(
        &self,
        _: &AddressOfRecord,
        _: Option<u64>,
        _: ContactChange,
    ) -> Result<Result<ContactNews, ContactRefusal>, Error> {
        Self::unused()
    }
}

/// One that answers this, or does what it is asked.
pub(crate) fn owner(error: Option<ErrorCode>) -> Owner {
    Owner {
        error: Mutex::new(error),
        asked: AtomicUsize::new(0),
        room: usize::MAX,
        fails: None,
        publications: Semaphore::new(0),
        published: AtomicUsize::new(0),
    }
}
