//! A user's own data (MS-PRES, `vnd-microsoft-roaming-self`): what is published with its versions, who is at which access level,
//! who began to watch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rpc::presence::{
    AccessLevel, AccessRules, Bound, ContainerMember, KeptFormat, OwnData, PresenceVersion, Publication,
    PublicationContent, SeenWatcher, Source, StateInput, category,
};
use sip_bodies::fragment::Fragment;
use sip_bodies::lync::categories::{Categories, Category, CategoryInstance};
use sip_bodies::lync::roaming_self::{self, RoamingData, RoamingPart};
use sip_bodies::lync::{ContainerId, ExpireType, containers, set_subscribers, state};
use sip_types::AddressOfRecord;

use super::super::content::{Body, Next, Sight};
use super::super::following::Known;
use super::render;

/// The container of what all states add up to, for the user's own endpoints.
const AGGREGATE_CONTAINER: u16 = 2;

/// Something and the version of the data it came with.
#[derive(Clone)]
struct Part<T> {
    version: PresenceVersion,
    value: T,
}

/// What the endpoints of a user may know of the user, as the newest news have it.
#[derive(Clone, Default)]
pub(crate) struct OwnKnown {
    categories: BTreeMap<Arc<str>, Part<Vec<Arc<Publication>>>>,
    rules: Option<Part<Arc<AccessRules>>>,
    prompts: Option<Part<Arc<[SeenWatcher]>>>,
}

impl OwnKnown {
    /// Takes in what is newer.
    pub(crate) fn merge(&mut self, own: &OwnData) {
        let version = own.version;
        let mut told: BTreeMap<Arc<str>, Vec<Arc<Publication>>> = BTreeMap::new();
        match &own.categories {
            Some(names) => told.extend(names.iter().map(|name| (Arc::clone(name), Vec::new()))),
            // All there is: what is not told is gone.
            None => told.extend(self.categories.keys().map(|name| (Arc::clone(name), Vec::new()))),
        }
        for publication in &own.publications {
            let name = Arc::clone(&publication.key.category);
            told.entry(name).or_default().push(Arc::clone(publication));
        }
        for (name, value) in told {
            let known = self.categories.get(&name);
            if known.is_none_or(|known| known.version <= version) {
                self.categories.insert(name, Part { version, value });
            }
        }
        newer(&mut self.rules, version, own.rules.clone());
        newer(&mut self.prompts, version, own.prompts.as_deref().map(Into::into));
    }
}

fn newer<T>(known: &mut Option<Part<T>>, version: PresenceVersion, told: Option<T>) {
    if let Some(value) = told
        && known.as_ref().is_none_or(|known| known.version <= version)
    {
        *known = Some(Part { version, value });
    }
}

/// What one client was told of its user's own data.
pub(crate) struct Own {
    user: AddressOfRecord,
    categories: bool,
    containers: bool,
    subscribers: bool,
    told: BTreeMap<Arc<str>, PresenceVersion>,
    told_aggregate: Option<CategoryInstance>,
    told_rules: Option<PresenceVersion>,
    told_prompts: Option<PresenceVersion>,
    /// Whom the user was asked about.
    prompted: BTreeSet<AddressOfRecord>,
}

impl Own {
    /// For a client of this user that asked for these parts.
    pub(crate) fn new(user: AddressOfRecord, parts: &[RoamingPart]) -> Self {
        Own {
            user,
            categories: parts.contains(&RoamingPart::Categories),
            containers: parts.contains(&RoamingPart::Containers),
            subscribers: parts.contains(&RoamingPart::Subscribers),
            told: BTreeMap::new(),
            told_aggregate: None,
            told_rules: None,
            told_prompts: None,
            prompted: BTreeSet::new(),
        }
    }

    /// Whose data.
    pub(crate) fn user(&self) -> &AddressOfRecord {
        &self.user
    }

    /// See [`super::super::content::Content::next`].
    pub(crate) fn next(&mut self, everything: bool, sight: &Sight<'_>) -> Next {
        let Some(known) = sight.following.own_known(sight.watcher) else {
            return Next::Nothing;
        };
        if everything {
            self.told.clear();
            self.told_aggregate = None;
            (self.told_rules, self.told_prompts) = (None, None);
            self.prompted.clear();
        }
        let mut data = RoamingData::default();
        if self.categories {
            let aggregate = match sight.following.present(sight.watcher) {
                Some(Known::Shown(shown)) => Some(aggregate(shown.document.view(AccessLevel::Friends))),
                Some(Known::Nobody) | None => None,
            };
            let categories = self.changed(&known, aggregate, false);
            data.categories =
                (everything || !categories.is_empty()).then(|| about(sight.watcher, categories));
        }
        if self.containers
            && let Some(rules) = &known.rules
            && self.told_rules != Some(rules.version)
        {
            self.told_rules = Some(rules.version);
            data.containers = Some(containers_of(&rules.value));
        }
        if self.subscribers
            && let Some(prompts) = &known.prompts
            && self.told_prompts != Some(prompts.version)
        {
            self.told_prompts = Some(prompts.version);
            let new = self.new_prompts(&prompts.value);
            data.subscribers = (everything || !new.is_empty()).then_some(new);
        }
        if !everything && data == RoamingData::default() {
            return Next::Nothing;
        }
        Next::Body {
            body: Some(body(&data)),
            more: false,
        }
    }

    /// The answer to a publication: all instances of the categories that were touched. The client is not told of them again.
    ///
    /// What the states add up to is not known yet, and told with the next notification: the client would show for a moment what
    /// was before.
    pub(crate) fn answer(&mut self, own: &OwnData, sight: &Sight<'_>) -> Body {
        // What came meanwhile is newer: the client must not go back.
        let known = sight.following.own_known(sight.watcher);
        let mut known = known.map_or_else(OwnKnown::default, |known| OwnKnown::clone(&known));
        known.merge(own);
        known.categories.retain(|name, _| {
            own.categories
                .as_ref()
                .is_none_or(|touched| touched.contains(name))
        });
        let categories = self.changed(&known, None, true);
        body(&RoamingData {
            categories: Some(about(sight.watcher, categories)),
            ..RoamingData::default()
        })
    }

    /// The categories that the client knows otherwise, each with all its instances: what is told of a category replaces all
    /// that was known of it. `all`: also those it knows so.
    fn changed(
        &mut self,
        known: &OwnKnown,
        mut aggregate: Option<CategoryInstance>,
        all: bool,
    ) -> Vec<Category> {
        let mut categories = Vec::new();
        let only_aggregate = aggregate.is_some() && !known.categories.contains_key(category::STATE);
        let states = only_aggregate.then(|| (Arc::from(category::STATE), None));
        let parts = known
            .categories
            .iter()
            .map(|(name, part)| (Arc::clone(name), Some(part)));
        for (name, part) in parts.chain(states) {
            // What SIMPLE clients publish has no element of this family.
            if *name == *category::PIDF {
                continue;
            }
            let version = part.map(|part| part.version);
            let is_state = *name == *category::STATE;
            let is_told =
                version.is_none_or(|version| self.told.get(&name).is_some_and(|told| *told >= version));
            let is_new = |aggregate: &CategoryInstance| self.told_aggregate.as_ref() != Some(aggregate);
            if is_told && !all && !(is_state && aggregate.as_ref().is_some_and(is_new)) {
                continue;
            }
            let before = categories.len();
            let publications = part.into_iter().flat_map(|part| &part.value);
            categories.extend(publications.map(|publication| Category::Instance(instance(publication))));
            if is_state && let Some(aggregate) = aggregate.take() {
                self.told_aggregate = Some(aggregate.clone());
                categories.push(Category::Instance(aggregate));
            }
            let was_told = match version {
                Some(version) => self.told.insert(Arc::clone(&name), version).is_some(),
                None => false,
            };
            if categories.len() == before && (was_told || all) {
                categories.push(Category::Removed(name.to_string()));
            }
        }
        categories
    }

    /// Watchers the user was not asked about. Who is not to be asked about any more may come again.
    fn new_prompts(&mut self, prompts: &[SeenWatcher]) -> Vec<set_subscribers::Subscriber> {
        let now: BTreeSet<AddressOfRecord> = prompts.iter().map(|seen| seen.watcher.clone()).collect();
        let new = prompts
            .iter()
            .filter(|seen| !self.prompted.contains(&seen.watcher));
        let new = new.map(|seen| set_subscribers::Subscriber {
            user: seen.watcher.to_string(),
            display_name: Some(seen.display_name.clone()).filter(|name| !name.is_empty()),
            acknowledged: false,
            kind: Some("sameEnterprise".to_owned()),
        });
        let new = new.take(set_subscribers::SUBSCRIBERS).collect();
        self.prompted = now;
        new
    }
}

fn about(user: &AddressOfRecord, categories: Vec<Category>) -> Categories {
    let uri = user.to_uri_string();
    Categories { uri, categories }
}

fn body(data: &RoamingData) -> Body {
    Body {
        content_type: roaming_self::CONTENT_TYPE.to_owned(),
        bytes: data.print(),
    }
}

fn aggregate(view: &rpc::presence::LevelView) -> CategoryInstance {
    CategoryInstance {
        container: ContainerId::new(AGGREGATE_CONTAINER),
        // Nobody publishes it, so nobody has to name its version.
        version: Some(1),
        expire_type: Some(ExpireType::User),
        ..render::aggregate_state(view)
    }
}

fn instance(publication: &Publication) -> CategoryInstance {
    let key = &publication.key;
    let lifetime = &publication.lifetime;
    let expire_type = match lifetime.bound {
        Bound::Static if lifetime.expires.is_some() => ExpireType::Time,
        Bound::Static => ExpireType::Static,
        Bound::User => ExpireType::User,
        Bound::Endpoint => ExpireType::Endpoint,
    };
    CategoryInstance {
        name: key.category.to_string(),
        instance: key.instance,
        publish_time: render::timestamp(publication.published_at),
        container: ContainerId::new(key.container),
        version: Some(publication.version),
        expire_type: Some(expire_type),
        expires: lifetime
            .expires
            .map(|expires| u32::try_from(expires.as_secs()).unwrap_or(u32::MAX)),
        endpoint_id: None,
        content: element(publication),
    }
}

/// The element that was published, or one that says the same.
fn element(publication: &Publication) -> Option<Fragment> {
    let of_the_family = |kept: &&rpc::presence::Kept| kept.format == KeptFormat::Category;
    if let Some(kept) = publication.kept.as_ref().filter(of_the_family) {
        return render::kept(kept);
    }
    match &publication.content {
        PublicationContent::States(states) => states.first().map(state_of),
        PublicationContent::Notes(notes) => Some(render::notes(notes)),
        PublicationContent::Card(card) => Some(render::card(card)),
        PublicationContent::Document { .. } | PublicationContent::Opaque => None,
    }
}

fn state_of(input: &StateInput) -> Fragment {
    let mut said = state::State::new(match input.source {
        Source::Machine => state::StateKind::MachineState,
        Source::User => state::StateKind::UserState,
        Source::Calendar | Source::OutOfOffice => state::StateKind::CalendarState,
        Source::Phone => state::StateKind::PhoneState,
        Source::Conference => state::StateKind::ConferenceState,
    });
    said.manual = input.source == Source::User;
    said.availability = Some(input.availability.0);
    said.activity = input.activity.as_ref().map(render::activity);
    said.endpoint_location.clone_from(&input.location);
    said.meeting_subject.clone_from(&input.meeting_subject);
    said.meeting_location.clone_from(&input.meeting_location);
    said.print()
}

fn containers_of(rules: &AccessRules) -> Vec<containers::Container> {
    let known = rules.containers.iter().filter_map(|container| {
        Some(containers::Container {
            id: ContainerId::new(container.id)?,
            version: container.version,
            members: container.members.iter().map(member).collect(),
        })
    });
    known.collect()
}

fn member(member: &ContainerMember) -> containers::Member {
    match member {
        ContainerMember::User(user) => containers::Member::User(user.to_string()),
        ContainerMember::Domain(domain) => containers::Member::Domain(domain.to_string()),
        ContainerMember::SameEnterprise => containers::Member::SameEnterprise,
        ContainerMember::Federated => containers::Member::Federated,
        ContainerMember::PublicCloud => containers::Member::PublicCloud,
        ContainerMember::Everyone => containers::Member::Everyone,
    }
}
