//! Presentities on their way into memory: whoever needs one that is being loaded waits for that.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::{BoxFuture, FutureExt, Shared, WeakShared};
use hashbrown::HashMap;
use parking_lot::Mutex;
use rpc::{Error, ErrorCode};
use sip_types::AddressOfRecord;

use super::entries::Entry;

/// What a load comes to. `None`: no such user.
pub(super) type Loaded = Result<Option<Arc<Entry>>, Error>;

type Load = Shared<BoxFuture<'static, Loaded>>;

/// Counts changes of one account, as long as it is being loaded.
#[derive(Clone, Default)]
pub(super) struct Changes(Arc<AtomicU64>);

impl Changes {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

struct UnderWay {
    /// Ends with the last of those who wait for it.
    load: WeakShared<BoxFuture<'static, Loaded>>,
    changes: Changes,
}

/// All loads under way of some users.
#[derive(Default)]
pub(super) struct Loading(Mutex<HashMap<AddressOfRecord, UnderWay>>);

impl Loading {
    /// The account changed: what is read of it right now is void.
    pub(super) fn changed(&self, user: &AddressOfRecord) {
        if let Some(under_way) = self.0.lock().get(user) {
            under_way.changes.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The same of all accounts.
    pub(super) fn all_changed(&self) {
        for under_way in self.0.lock().values() {
            under_way.changes.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Waits for the load of a user, which `begin` begins unless one is under way.
    pub(super) async fn load<F>(&self, user: &AddressOfRecord, begin: impl Fn(Changes) -> F) -> Loaded
    where
        F: Future<Output = Loaded> + Send + 'static,
    {
        let mut is_first = true;
        loop {
            let (load, has_begun) = self.join(user, &begin);
            let waiting = Waiting {
                loading: self,
                user,
                load: Some(load.clone()),
            };
            let loaded = load.await;
            drop(waiting);
            // The account may have come into being after a load had looked for it that began before this call.
            let may_be_old = is_first && !has_begun;
            if !may_be_old || !matches!(loaded, Ok(None)) {
                return loaded;
            }
            is_first = false;
        }
    }

    fn join<F>(&self, user: &AddressOfRecord, begin: impl FnOnce(Changes) -> F) -> (Load, bool)
    where
        F: Future<Output = Loaded> + Send + 'static,
    {
        let mut loads = self.0.lock();
        if let Some(load) = loads.get(user).and_then(|under_way| under_way.load.upgrade()) {
            return (load, false);
        }
        let changes = Changes::default();
        // A defect is that of one load: whoever waits for it must find an answer.
        let load = AssertUnwindSafe(begin(changes.clone())).catch_unwind();
        let load = load.map(|loaded| loaded.unwrap_or_else(|_| Err(panicked())));
        let load = load.boxed().shared();
        if let Some(weak) = load.downgrade() {
            loads.insert(user.clone(), UnderWay { load: weak, changes });
        }
        (load, true)
    }
}

fn panicked() -> Error {
    Error::new(ErrorCode::Internal, "reading a user's presence failed")
}

/// Somebody waits for a load. The last one to leave takes it out, also when it is over.
struct Waiting<'a> {
    loading: &'a Loading,
    user: &'a AddressOfRecord,
    load: Option<Load>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(load) = self.load.take() else { return };
        if load.peek().is_some() {
            let mut loads = self.loading.0.lock();
            let current = loads
                .get(self.user)
                .and_then(|under_way| under_way.load.upgrade());
            if current.is_some_and(|current| current.ptr_eq(&load)) {
                loads.remove(self.user);
            }
            return;
        }
        // Perhaps the last, and it ends here.
        drop(load);
        let mut loads = self.loading.0.lock();
        if loads
            .get(self.user)
            .is_some_and(|under_way| under_way.load.upgrade().is_none())
        {
            loads.remove(self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn amy() -> AddressOfRecord {
        AddressOfRecord::parse("amy@example.test").unwrap()
    }

    fn failure(text: &str) -> Loaded {
        Err(Error::new(ErrorCode::Unavailable, text))
    }

    /// Loads that end when they are told to, and how many were begun.
    #[derive(Default)]
    struct Slow {
        begun: Mutex<Vec<(Changes, oneshot::Sender<Loaded>)>>,
    }

    impl Slow {
        fn begin(&self, changes: Changes) -> impl Future<Output = Loaded> + use<> {
            let (end, ended) = oneshot::channel();
            self.begun.lock().push((changes, end));
            async move { ended.await.unwrap() }
        }

        fn end_next(&self, loaded: Loaded) {
            assert!(self.begun.lock().remove(0).1.send(loaded).is_ok());
        }

        fn under_way(&self) -> usize {
            self.begun.lock().len()
        }
    }

    #[tokio::test]
    async fn who_comes_while_one_loads_waits_for_that() {
        let (loading, slow, amy) = (Loading::default(), Slow::default(), amy());
        let load = || loading.load(&amy, |changes| slow.begin(changes));
        let end = async {
            assert_eq!(slow.under_way(), 1);
            slow.end_next(failure("once"));
        };
        let (one, other, ()) = tokio::join!(load(), load(), end);
        for loaded in [one, other] {
            assert_eq!(loaded.err().unwrap().message, "once");
        }
        assert!(loading.0.lock().is_empty());
        // What is over is not shared with who comes later.
        let (later, ()) = tokio::join!(load(), async { slow.end_next(failure("twice")) });
        assert_eq!(later.err().unwrap().message, "twice");
    }

    #[tokio::test]
    async fn that_there_is_nobody_is_looked_up_again_for_who_came_later() {
        let (loading, slow, amy) = (Loading::default(), Slow::default(), amy());
        let load = || loading.load(&amy, |changes| slow.begin(changes));
        let ends = async {
            slow.end_next(Ok(None));
            while slow.under_way() == 0 {
                tokio::task::yield_now().await;
            }
            slow.end_next(failure("a second look"));
        };
        let (first, second, ()) = tokio::join!(load(), load(), ends);
        assert!(matches!(first, Ok(None)));
        assert_eq!(second.err().unwrap().message, "a second look");
    }

    #[tokio::test]
    async fn a_load_that_panics_is_an_error_for_all_who_wait() {
        let (loading, amy) = (Loading::default(), amy());
        let begin = |_| async { panic!("the test wants it") };
        let load = || loading.load(&amy, begin);
        let (one, other) = tokio::join!(load(), load());
        for loaded in [one, other] {
            assert_eq!(loaded.err().unwrap().code, ErrorCode::Internal);
        }
        assert!(loading.0.lock().is_empty());
    }

    #[tokio::test]
    async fn a_change_is_told_to_the_load_it_is_about() {
        let (loading, slow, amy) = (Loading::default(), Slow::default(), amy());
        let bob = AddressOfRecord::parse("bob@example.test").unwrap();
        loading.changed(&amy);
        let changes = async {
            let counted = slow.begun.lock()[0].0.clone();
            assert_eq!(counted.count(), 0);
            loading.changed(&bob);
            assert_eq!(counted.count(), 0);
            loading.changed(&amy);
            loading.all_changed();
            assert_eq!(counted.count(), 2);
            slow.end_next(Ok(None));
        };
        let load = loading.load(&amy, |changes| slow.begin(changes));
        assert!(matches!(tokio::join!(load, changes).0, Ok(None)));
    }

    #[tokio::test]
    async fn a_load_goes_on_while_anybody_waits_and_ends_with_the_last() {
        let (loading, slow, amy) = (Loading::default(), Slow::default(), amy());
        let mut first = Box::pin(loading.load(&amy, |changes| slow.begin(changes)));
        let mut second = Box::pin(loading.load(&amy, |changes| slow.begin(changes)));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(slow.under_way(), 1);
        drop(first);
        assert_eq!(loading.0.lock().len(), 1);
        assert!(!slow.begun.lock()[0].1.is_closed());
        drop(second);
        assert!(loading.0.lock().is_empty());
        assert!(slow.begun.lock()[0].1.is_closed(), "nobody loads for nobody");
    }
}
