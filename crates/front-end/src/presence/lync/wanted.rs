//! Which categories a subscription asked for.

use std::sync::Arc;

/// Categories by name. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) enum Wanted {
    /// All there are: none was named.
    #[default]
    All,
    /// These, in order and each once.
    These(Arc<[Box<str>]>),
}

impl Wanted {
    /// Those of these names; all, if there are none.
    pub(crate) fn of(mut names: Vec<String>) -> Self {
        if names.is_empty() {
            return Wanted::All;
        }
        names.sort_unstable();
        names.dedup();
        Wanted::These(names.into_iter().map(String::into_boxed_str).collect())
    }

    /// Those besides.
    pub(crate) fn add(&mut self, others: &Wanted) {
        *self = match (&*self, others) {
            (Wanted::These(these), Wanted::These(others)) => {
                let all = these.iter().chain(others.iter());
                Wanted::of(all.map(|name| name.to_string()).collect())
            }
            _ => Wanted::All,
        };
    }

    /// Whether a category of this name is among them.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Wanted::All => true,
            Wanted::These(names) => names.binary_search_by(|one| (**one).cmp(name)).is_ok(),
        }
    }
}
