//! Spans found again by key.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};

use opentelemetry::Context;
use parking_lot::Mutex;

use super::span::{Span, Within, within};

/// The spans of requests that are under way, by what names a request: for a worker that takes up the next one's
/// steps while it is still in the task of the one before.
///
/// It holds one entry per recorded request under way and none for the others.
#[derive(Debug)]
pub struct Carried<K> {
    /// How many there are, so that nobody takes the lock while nothing is recorded.
    pub(super) count: AtomicUsize,
    contexts: Mutex<HashMap<K, Context>>,
}

impl<K> Default for Carried<K> {
    fn default() -> Self {
        Carried {
            count: AtomicUsize::new(0),
            contexts: Mutex::new(HashMap::new()),
        }
    }
}

impl<K: Hash + Eq + Clone> Carried<K> {
    /// Remembers a span, if it is recorded, until what is returned is dropped. Of two under one key the first one is kept.
    #[inline]
    pub fn keep(&self, key: &K, span: &Span) -> Kept<'_, K> {
        let kept = span.context().is_some_and(|context| {
            let mut contexts = self.contexts.lock();
            let new = !contexts.contains_key(key);
            if new {
                contexts.insert(key.clone(), context.clone());
                self.count.store(contexts.len(), Ordering::Relaxed);
            }
            new
        });
        Kept {
            carried: self,
            key: kept.then(|| key.clone()),
        }
    }

    /// A future with the span of this key as the current one; if there is none, it is polled as it is.
    #[inline]
    pub fn within<F: Future + Unpin>(&self, key: Option<&K>, future: F) -> Within<F> {
        let context = match key {
            Some(key) if self.count.load(Ordering::Relaxed) > 0 => self.contexts.lock().get(key).cloned(),
            _ => None,
        };
        within(context, future)
    }
}

/// Keeps a span to be found. See [`Carried::keep`].
#[derive(Debug)]
pub struct Kept<'a, K: Hash + Eq + Clone> {
    carried: &'a Carried<K>,
    key: Option<K>,
}

impl<K: Hash + Eq + Clone> Drop for Kept<'_, K> {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            let mut contexts = self.carried.contexts.lock();
            contexts.remove(key);
            self.carried.count.store(contexts.len(), Ordering::Relaxed);
        }
    }
}
