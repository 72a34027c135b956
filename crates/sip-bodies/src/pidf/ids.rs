//! Ids of a document put together from parts of several authors: each an `xs:ID`, no two alike.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::{Kept, Part, Presence};
use crate::BodyError;
use crate::fragment::Fragment;
use crate::xml::{is_name_character, is_name_start, is_ncname};

impl Presence {
    /// Makes the ids of all parts as the schema wants them.
    ///
    /// The first part that has an id keeps it, others get a number behind it; a part without id gets one; what can
    /// not stand in an `xs:ID` becomes `_`. The same parts in the same order always get the same ids.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] if a part becomes longer than a document may be.
    pub fn unify_ids(&mut self) -> Result<(), BodyError> {
        let mut ids = Ids::default();
        for tuple in &mut self.tuples {
            ids.unify(tuple)?;
        }
        for person in &mut self.persons {
            ids.unify(person)?;
        }
        for device in &mut self.devices {
            ids.unify(device)?;
        }
        for other in &mut self.others {
            if !ids.take(other) {
                *other = other.rename_ids(&mut |id| ids.free(id))?;
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Ids {
    used: HashSet<String>,
    /// The last number behind an id, so that a thousand equal ones are not tried a thousand times each.
    last: HashMap<String, u32>,
}

impl Ids {
    fn unify<T: Part>(&mut self, part: &mut Kept<T>) -> Result<(), BodyError> {
        if !self.take(part.element()) {
            *part = part.rename_ids(&mut |id| self.free(id))?;
        }
        Ok(())
    }

    /// Notes the ids of an element whose ids can all stay. Else nothing changes.
    fn take(&mut self, element: &Fragment) -> bool {
        let mut fresh = HashSet::new();
        let mut ids = element.ids().iter();
        if element.needs_id() || !ids.all(|id| is_ncname(id) && !self.used.contains(id) && fresh.insert(id)) {
            return false;
        }
        self.used.extend(element.ids().iter().cloned());
        true
    }

    /// An id like `id` that nobody has yet.
    fn free(&mut self, id: Option<&str>) -> String {
        let wanted = as_id(id.unwrap_or("id"));
        if self.used.insert(wanted.clone().into_owned()) {
            return wanted.into_owned();
        }
        loop {
            let last = self.last.entry(wanted.clone().into_owned()).or_insert(1);
            *last = last.saturating_add(1);
            let candidate = format!("{wanted}-{last}");
            if self.used.insert(candidate.clone()) {
                return candidate;
            }
        }
    }
}

fn as_id(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if is_ncname(text) {
        return Cow::Borrowed(text);
    }
    let mut id = String::with_capacity(text.len() + 1);
    if !text.starts_with(is_name_start) {
        id.push('_');
    }
    id.extend(text.chars().map(|c| if is_name_character(c) { c } else { '_' }));
    Cow::Owned(id)
}
