//! Who has numbers to show.

use std::fmt;

use parking_lot::RwLock;

use crate::Page;

/// Reads some numbers and writes them on the page.
type Collector = Box<dyn Fn(&mut Page) + Send + Sync>;

/// The collectors of this process. Written while the server is put together, read by every scrape.
#[derive(Default)]
pub struct Registry {
    collectors: RwLock<Vec<Collector>>,
}

impl Registry {
    /// A registry without collectors.
    pub fn new() -> Self {
        Registry::default()
    }

    /// Adds a collector. It runs on every scrape, in the scrape's task: it must only read memory and never wait.
    pub fn register(&self, collector: Box<dyn Fn(&mut Page) + Send + Sync>) {
        self.collectors.write().push(collector);
    }

    /// Asks every collector and prints the page.
    pub fn render(&self) -> String {
        self.page().render()
    }

    /// Asks every collector.
    pub fn page(&self) -> Page {
        let mut page = Page::new();
        for collector in self.collectors.read().iter() {
            collector(&mut page);
        }
        page
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("collectors", &self.collectors.read().len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::names;

    #[test]
    fn a_scrape_sees_the_numbers_of_its_own_moment() {
        let hits = Arc::new(AtomicU64::new(1));
        let registry = Registry::new();
        let counted = Arc::clone(&hits);
        registry.register(Box::new(move |page| {
            page.counter(
                &names::LIMIT_HITS,
                &[("limit", "connections")],
                counted.load(Ordering::Relaxed),
            );
        }));
        assert!(
            registry
                .render()
                .contains("portico_limit_hits_total{limit=\"connections\"} 1\n")
        );
        hits.store(7, Ordering::Relaxed);
        assert!(
            registry
                .render()
                .contains("portico_limit_hits_total{limit=\"connections\"} 7\n")
        );
    }
}
