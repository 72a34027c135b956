use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use store::memory::MemoryDirectory;
use store::{Account, AccountPatch, AccountSearch, FoundAccounts, PlaceStore, StoreError};
use tokio::sync::Barrier;
use topology::SiteId;

use super::*;
use crate::testing::aor;

fn account(user: &str) -> StoredAccount {
    StoredAccount {
        account: Account {
            aor: aor(user),
            display_name: user.to_owned(),
            site: SiteId::new("main"),
            enabled: true,
            created_at: 0,
        },
        credentials: Vec::new(),
    }
}

/// A store that counts its reads and, if asked, holds one up after it has read.
struct Counting {
    inner: MemoryDirectory,
    reads: AtomicUsize,
    hold: Option<Barrier>,
}

impl Counting {
    async fn with(users: &[&str], hold: Option<Barrier>) -> Arc<Self> {
        let inner = MemoryDirectory::new();
        inner.add_domain("example.test").await.unwrap();
        for user in users {
            inner.create_account(account(user)).await.unwrap();
        }
        let reads = AtomicUsize::new(0);
        Arc::new(Counting { inner, reads, hold })
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl AccountStore for Counting {
    async fn create_account(&self, account: StoredAccount) -> Result<(), StoreError> {
        self.inner.create_account(account).await
    }
    async fn change_account(
        &self,
        aor: &AddressOfRecord,
        patch: AccountPatch,
    ) -> Result<Option<StoredAccount>, StoreError> {
        self.inner.change_account(aor, patch).await
    }
    async fn delete_account(&self, aor: &AddressOfRecord) -> Result<bool, StoreError> {
        self.inner.delete_account(aor).await
    }
    async fn account(&self, aor: &AddressOfRecord) -> Result<Option<StoredAccount>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let read = self.inner.account(aor).await;
        if let Some(hold) = &self.hold {
            hold.wait().await;
            hold.wait().await;
        }
        tokio::task::yield_now().await;
        read
    }
    async fn accounts(
        &self,
        after: Option<&AddressOfRecord>,
        limit: u32,
    ) -> Result<Vec<StoredAccount>, StoreError> {
        self.inner.accounts(after, limit).await
    }
    async fn search_accounts(&self, search: &AccountSearch, limit: u32) -> Result<FoundAccounts, StoreError> {
        self.inner.search_accounts(search, limit).await
    }
    async fn account_count(&self) -> Result<u64, StoreError> {
        self.inner.account_count().await
    }
}

fn cache(store: &Arc<Counting>, known: usize, unknown: usize) -> Arc<AccountCache> {
    let policies = Arc::new(MemoryDirectory::new());
    Arc::new(AccountCache::new(store.clone(), policies, known, unknown))
}

#[tokio::test]
async fn an_account_and_its_absence_are_read_once() {
    let store = Counting::with(&["alice"], None).await;
    let cache = cache(&store, 1_000, 1_000);
    for _ in 0..3 {
        assert!(cache.get(&aor("alice")).await.unwrap().is_some());
        assert!(cache.get(&aor("nobody")).await.unwrap().is_none());
    }
    assert_eq!(store.reads(), 2);
}

#[tokio::test]
async fn many_who_ask_for_one_user_ask_the_store_once() {
    let store = Counting::with(&["alice"], None).await;
    let cache = cache(&store, 1_000, 1_000);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let cache = cache.clone();
        tasks.spawn(async move { cache.get(&aor("alice")).await.unwrap().is_some() });
    }
    assert!(tasks.join_all().await.into_iter().all(|found| found));
    assert_eq!(store.reads(), 1);
}

#[tokio::test]
async fn a_change_is_seen_after_it_was_announced() {
    let store = Counting::with(&["alice"], None).await;
    let cache = cache(&store, 1_000, 1_000);
    cache.get(&aor("alice")).await.unwrap();
    cache.get(&aor("bob")).await.unwrap();
    store.inner.create_account(account("bob")).await.unwrap();
    store.inner.delete_account(&aor("alice")).await.unwrap();
    cache.forget(&aor("alice"));
    cache.forget(&aor("bob"));
    assert!(cache.get(&aor("alice")).await.unwrap().is_none());
    assert!(cache.get(&aor("bob")).await.unwrap().is_some());
    cache.forget_all();
    let before = store.reads();
    cache.get(&aor("bob")).await.unwrap();
    assert_eq!(store.reads(), before + 1);
}

#[tokio::test]
async fn what_was_read_before_a_change_is_not_kept_after_it() {
    let store = Counting::with(&["alice"], Some(Barrier::new(2))).await;
    let cache = cache(&store, 1_000, 1_000);
    let reader = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get(&aor("alice")).await.unwrap() }
    });
    // The reader has read and has not kept yet.
    let hold = store.hold.as_ref().unwrap();
    hold.wait().await;
    store.inner.delete_account(&aor("alice")).await.unwrap();
    cache.forget(&aor("alice"));
    hold.wait().await;
    assert!(reader.await.unwrap().is_some(), "it was true when it was read");
    let again = cache.cached(cache.index(&aor("alice")), &aor("alice"));
    assert!(matches!(again, Cached::Missing { .. }));
}

#[test]
fn what_was_asked_for_lately_stays_when_room_is_needed() {
    let mut bounded = Bounded::new(3, Hasher::default());
    for user in ["a", "b", "c"] {
        bounded.insert(aor(user), user);
    }
    assert_eq!(bounded.get(&aor("a")), Some("a"));
    bounded.insert(aor("d"), "d");
    assert_eq!(bounded.get(&aor("b")), None, "the oldest nobody asked for");
    assert_eq!(bounded.get(&aor("a")), Some("a"));
    assert_eq!((bounded.slots.len(), bounded.turns.len()), (3, 3));
}

#[test]
fn a_bounded_map_never_grows_beyond_its_bound() {
    let mut bounded = Bounded::new(4, Hasher::default());
    for round in 0..100 {
        let user = aor(&format!("user{}", round % 7));
        bounded.insert(user.clone(), round);
        bounded.get(&user);
        if round % 3 == 0 {
            bounded.remove(&user);
        }
        assert!(bounded.slots.len() <= 4);
        assert_eq!(bounded.slots.len(), bounded.turns.len());
    }
}

#[tokio::test]
async fn invented_users_do_not_push_out_real_ones() {
    let store = Counting::with(&["alice"], None).await;
    let cache = cache(&store, SHARDS, SHARDS);
    cache.get(&aor("alice")).await.unwrap();
    for number in 0..1_000 {
        cache.get(&aor(&format!("invented{number}"))).await.unwrap();
    }
    let before = store.reads();
    assert!(cache.get(&aor("alice")).await.unwrap().is_some());
    assert_eq!(store.reads(), before);
}
