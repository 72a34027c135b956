//! An owner of presence whose documents the test makes, and which remembers what it was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rpc::presence::*;
use rpc::{Error, ErrorCode};
use sip_types::AddressOfRecord;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use topology::MemberId;

pub(super) fn aor(user: &str) -> AddressOfRecord {
    AddressOfRecord::parse(&format!("{user}@example.test")).unwrap()
}

#[derive(Default)]
struct World {
    users: BTreeMap<AddressOfRecord, Arc<PresenceDocument>>,
    contacts: BTreeMap<AddressOfRecord, ContactList>,
    watchers: BTreeMap<AddressOfRecord, Vec<SeenWatcher>>,
    publications: BTreeMap<PublicationKey, Publication>,
    count: u64,
    news: Option<mpsc::Sender<PresenceNews>>,
    streams: usize,
    is_away: bool,
    /// How long it takes to be followed.
    takes: Duration,
    // What was asked.
    followed: Vec<Follow>,
    unfollowed: Vec<AddressOfRecord>,
    reported: Vec<(AddressOfRecord, AddressOfRecord, WatcherStatus)>,
    published: Vec<Publish>,
    acknowledged: Vec<AddressOfRecord>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Owner(Mutex<World>);

impl Owner {
    /// An owner of these users, who are offline.
    pub(super) fn of(users: &[&str]) -> Arc<Self> {
        let owner = Arc::new(Owner::default());
        for user in users {
            owner.set(user, Availability::OFFLINE);
        }
        owner
    }

    /// A user's availability changes, for everybody but the blocked.
    pub(super) fn set(&self, user: &str, availability: Availability) {
        self.change(user, |view| view.availability = availability);
    }

    /// A user's state changes, for everybody but the blocked.
    pub(super) fn change(&self, user: &str, change: impl Fn(&mut LevelView)) {
        let mut world = self.0.lock();
        world.count += 1;
        let presentity = aor(user);
        let before = world.users.get(&presentity).cloned();
        let blank = Arc::new(LevelView {
            availability: Availability::OFFLINE,
            activity: None,
            since: 0,
            last_active: None,
            location: None,
            meeting_subject: None,
            notes: Arc::new([]),
            card: Arc::default(),
            passed_on: Arc::new([]),
            documents: Arc::new([]),
        });
        let views = AccessLevel::ALL.map(|level| {
            let was = before.as_ref().map_or(&blank, |document| document.view(level));
            let mut view = LevelView::clone(was);
            if level != AccessLevel::Blocked {
                change(&mut view);
            }
            Arc::new(view)
        });
        let rules = before.map_or_else(
            || Arc::new(AccessRules::usual(presentity.clone())),
            |document| Arc::clone(&document.rules),
        );
        world.show(presentity, rules, views);
    }

    /// A user blocks another.
    pub(super) fn block(&self, user: &str, blocked: &str) {
        let mut world = self.0.lock();
        world.count += 1;
        let document = Arc::clone(&world.users[&aor(user)]);
        let mut rules = AccessRules::clone(&document.rules);
        rules.containers.push(Container {
            id: AccessLevel::Blocked.container(),
            version: 1,
            members: vec![ContainerMember::User(aor(blocked))],
        });
        world.show(aor(user), Arc::new(rules), document.views.clone());
    }

    pub(super) fn document(&self, user: &str) -> Arc<PresenceDocument> {
        Arc::clone(&self.0.lock().users[&aor(user)])
    }

    pub(super) fn forget(&self, user: &str) {
        self.0.lock().users.remove(&aor(user));
    }

    /// Sends news as they are.
    pub(super) fn tell(&self, news: PresenceNews) {
        let sender = self.0.lock().news.clone().expect("somebody listens");
        sender.try_send(news).unwrap();
    }

    /// Ends the stream of news.
    pub(super) fn hang_up(&self) {
        self.0.lock().news = None;
    }

    pub(super) fn streams(&self) -> usize {
        self.0.lock().streams
    }

    /// From now on nothing is answered but with an error, or everything again.
    pub(super) fn set_away(&self, is_away: bool) {
        self.0.lock().is_away = is_away;
    }

    /// A contact list changes, of which nobody is told.
    pub(super) fn lose_contact_news(&self, user: &str, contacts: &[&str]) {
        let news = self.0.lock().news.take();
        self.set_contacts(user, contacts);
        self.0.lock().news = news;
    }

    pub(super) fn take_acknowledged(&self) -> Vec<AddressOfRecord> {
        std::mem::take(&mut self.0.lock().acknowledged)
    }

    pub(super) fn set_contacts(&self, user: &str, contacts: &[&str]) {
        let mut world = self.0.lock();
        let before = world.contacts.get(&aor(user)).map_or(0, |list| list.delta);
        let contact = |name: &&str| Contact {
            uri: aor(name),
            name: name.to_uppercase(),
            groups: Vec::new(),
            subscribed: true,
            external_uri: String::new(),
        };
        let list = ContactList {
            delta: before + 1,
            contacts: contacts.iter().map(contact).collect(),
            ..ContactList::default()
        };
        world.contacts.insert(aor(user), list);
        let news = ContactNews {
            user: aor(user),
            previous: before,
            delta: before + 1,
            has_groups: false,
            changed: ContactChanged::DeletedContact(aor("whoever")),
        };
        world.send(PresenceNews::Contacts(Arc::new(news)));
    }

    /// The last contact of somebody is an organisational group with these members, and that is told.
    pub(super) fn set_members(&self, user: &str, members: Option<&[&str]>) {
        let mut world = self.0.lock();
        world.count += 1;
        let count = world.count;
        let Some(list) = world.contacts.get_mut(&aor(user)) else {
            return;
        };
        list.version = PresenceVersion { epoch: 0, count };
        list.listed_groups = list
            .contacts
            .last()
            .map(|contact| ListedGroup {
                address: contact.uri.clone(),
                name: "The group".into(),
                id: 1 << 30,
                members: members.map(|members| members.iter().map(|member| aor(member)).collect()),
            })
            .into_iter()
            .collect();
        world.send(PresenceNews::GroupsChanged(aor(user)));
    }

    pub(super) fn set_watchers(&self, user: &str, watchers: &[&str]) {
        let mut world = self.0.lock();
        world.count += 1;
        let seen = |name: &&str| SeenWatcher {
            watcher: aor(name),
            display_name: String::new(),
            status: WatcherStatus::Active,
        };
        world
            .watchers
            .insert(aor(user), watchers.iter().map(seen).collect());
        let own = world.own(&aor(user));
        world.send(PresenceNews::Own(Arc::new(own)));
    }

    /// It takes so long to be followed from now on.
    pub(super) fn take_time(&self, takes: Duration) {
        self.0.lock().takes = takes;
    }

    // === what was asked ===

    pub(super) fn take_followed(&self) -> Vec<String> {
        let followed = std::mem::take(&mut self.0.lock().followed);
        let mut names: Vec<String> = followed
            .into_iter()
            .map(|follow| {
                format!(
                    "{}{}",
                    follow.presentity.user(),
                    if follow.own { "*" } else { "" }
                )
            })
            .collect();
        names.sort();
        names
    }

    pub(super) fn take_unfollowed(&self) -> Vec<AddressOfRecord> {
        std::mem::take(&mut self.0.lock().unfollowed)
    }

    /// Who watches whom, as it was reported.
    pub(super) fn take_reported(&self) -> BTreeSet<String> {
        let reported = std::mem::take(&mut self.0.lock().reported);
        reported
            .into_iter()
            .map(|(presentity, watcher, status)| {
                format!("{} watches {}: {status:?}", watcher.user(), presentity.user())
            })
            .collect()
    }

    /// Another owner is in its place, which knows no publication.
    pub(super) fn lose_publications(&self) {
        self.0.lock().publications.clear();
    }

    pub(super) fn take_published(&self) -> Vec<Publish> {
        std::mem::take(&mut self.0.lock().published)
    }
}

impl World {
    fn show(&mut self, presentity: AddressOfRecord, rules: Arc<AccessRules>, views: [Arc<LevelView>; 6]) {
        let document = Arc::new(PresenceDocument {
            presentity: presentity.clone(),
            version: PresenceVersion {
                epoch: 1,
                count: self.count,
            },
            rules,
            views,
        });
        self.users.insert(presentity, Arc::clone(&document));
        self.send(PresenceNews::Document(document));
    }

    fn send(&mut self, news: PresenceNews) {
        if let Some(sender) = &self.news {
            sender.try_send(news).unwrap();
        }
    }

    fn own(&self, user: &AddressOfRecord) -> OwnData {
        OwnData {
            user: user.clone(),
            version: PresenceVersion {
                epoch: 1,
                count: self.count,
            },
            categories: None,
            publications: self.publications.values().cloned().map(Arc::new).collect(),
            rules: self.users.get(user).map(|document| Arc::clone(&document.rules)),
            prompts: Some(Vec::new()),
            watchers: Some(self.watchers.get(user).cloned().unwrap_or_default()),
        }
    }

    fn is_there(&self) -> Result<(), Error> {
        if self.is_away {
            return Err(Error::new(ErrorCode::Unavailable, "away"));
        }
        Ok(())
    }

    fn publish_one(&mut self, change: &PublishOne) -> Result<StoredVersion, (u32, u32)> {
        let key = change.key().clone();
        let current = self
            .publications
            .get(&key)
            .map_or(0, |publication| publication.version);
        let is_refresh = matches!(change, PublishOne::Refresh { .. });
        if change.known().is_some_and(|known| known != current) || (is_refresh && current == 0) {
            return Err((change.known().unwrap_or(0), current));
        }
        let version = current + 1;
        match change {
            PublishOne::Set {
                lifetime,
                content,
                kept,
                ..
            } => {
                let publication = Publication {
                    key: key.clone(),
                    version,
                    endpoint: None,
                    lifetime: *lifetime,
                    published_at: 0,
                    content: content.clone(),
                    kept: kept.clone(),
                };
                self.publications.insert(key.clone(), publication);
            }
            PublishOne::Refresh { .. } => self.publications.get_mut(&key).unwrap().version = version,
            PublishOne::Remove { .. } => {
                self.publications.remove(&key);
                return Ok(StoredVersion { key, version: 0 });
            }
        }
        Ok(StoredVersion { key, version })
    }
}

#[async_trait]
impl Presence for Owner {
    async fn publish(&self, publish: Publish) -> Result<Result<Published, PublishRefusal>, Error> {
        let mut world = self.0.lock();
        world.is_there()?;
        let mut versions = Vec::new();
        for (place, change) in publish.changes.iter().enumerate() {
            match world.publish_one(change) {
                Ok(stored) => versions.push(stored),
                Err((known, current)) => {
                    return Ok(Err(PublishRefusal::Conflict(vec![(place, known, current)])));
                }
            }
        }
        world.count += 1;
        let touched = publish
            .changes
            .iter()
            .map(|change| Arc::clone(&change.key().category));
        let own = Arc::new(OwnData {
            categories: Some(touched.collect()),
            rules: None,
            prompts: None,
            watchers: None,
            ..world.own(&publish.user)
        });
        world.send(PresenceNews::Own(Arc::clone(&own)));
        world.published.push(publish);
        Ok(Ok(Published { versions, own }))
    }

    async fn own(&self, user: &AddressOfRecord) -> Result<Option<Arc<OwnData>>, Error> {
        let world = self.0.lock();
        world.is_there()?;
        Ok(Some(Arc::new(world.own(user))))
    }

    async fn follow(
        &self,
        _: &MemberId,
        follow: Vec<Follow>,
    ) -> Result<Vec<Result<Arc<PresenceDocument>, FollowRefusal>>, Error> {
        let takes = self.0.lock().takes;
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        let mut world = self.0.lock();
        world.is_there()?;
        assert!(world.news.is_some(), "followed without a stream of news");
        let find = |one: &Follow| world.users.get(&one.presentity).cloned();
        let answers = follow
            .iter()
            .map(|one| find(one).ok_or(FollowRefusal::NoSuchUser))
            .collect();
        world.followed.extend(follow);
        Ok(answers)
    }

    async fn unfollow(&self, _: &MemberId, presentities: Vec<AddressOfRecord>) -> Result<(), Error> {
        let mut world = self.0.lock();
        world.is_there()?;
        world.unfollowed.extend(presentities);
        Ok(())
    }

    async fn news(&self, _: &MemberId) -> Result<ReceiverStream<PresenceNews>, Error> {
        let mut world = self.0.lock();
        world.is_there()?;
        let (sender, receiver) = mpsc::channel(4_096);
        world.news = Some(sender);
        world.streams += 1;
        Ok(ReceiverStream::new(receiver))
    }

    async fn watched(
        &self,
        _: &MemberId,
        presentity: &AddressOfRecord,
        watchers: Vec<SeenWatcher>,
    ) -> Result<(), Error> {
        let mut world = self.0.lock();
        world.is_there()?;
        for seen in watchers {
            world
                .reported
                .push((presentity.clone(), seen.watcher, seen.status));
        }
        Ok(())
    }

    async fn change_members(
        &self,
        user: &AddressOfRecord,
        changes: MemberChanges,
    ) -> Result<Result<Arc<AccessRules>, PublishRefusal>, Error> {
        let mut world = self.0.lock();
        let document = Arc::clone(&world.users[user]);
        let mut rules = AccessRules::clone(&document.rules);
        for (place, (id, known, _)) in changes.containers.iter().enumerate() {
            let known = known.unwrap_or_default();
            let found = rules.containers.iter_mut().find(|container| container.id == *id);
            match found {
                Some(container) if container.version != known => {
                    let conflict = (place, known, container.version);
                    return Ok(Err(PublishRefusal::Conflict(vec![conflict])));
                }
                Some(container) => container.version += 1,
                None => rules.containers.push(Container {
                    id: *id,
                    version: 1,
                    members: Vec::new(),
                }),
            }
        }
        world.count += 1;
        let rules = Arc::new(rules);
        world.show(user.clone(), Arc::clone(&rules), document.views.clone());
        Ok(Ok(rules))
    }

    async fn acknowledge(&self, _: &AddressOfRecord, watchers: Vec<AddressOfRecord>) -> Result<(), Error> {
        self.0.lock().acknowledged.extend(watchers);
        Ok(())
    }

    async fn contacts(&self, user: &AddressOfRecord) -> Result<Arc<ContactList>, Error> {
        let world = self.0.lock();
        world.is_there()?;
        Ok(Arc::new(world.contacts.get(user).cloned().unwrap_or_default()))
    }

    async fn change_contacts(
        &self,
        user: &AddressOfRecord,
        known: Option<u64>,
        change: ContactChange,
    ) -> Result<Result<ContactNews, ContactRefusal>, Error> {
        let mut world = self.0.lock();
        let empty = ContactList {
            delta: 1,
            ..ContactList::default()
        };
        let list = world.contacts.entry(user.clone()).or_insert(empty);
        if known.is_some_and(|known| known != list.delta) {
            return Ok(Err(ContactRefusal::Stale(list.delta)));
        }
        let ContactChange::AddGroup { name, external_uri } = change else {
            return Ok(Err(ContactRefusal::Invalid("only groups are added here".into())));
        };
        list.delta += 1;
        let group = ContactGroup {
            id: 2,
            name,
            external_uri,
        };
        Ok(Ok(ContactNews {
            user: user.clone(),
            previous: list.delta - 1,
            delta: list.delta,
            has_groups: false,
            changed: ContactChanged::AddedGroup(group),
        }))
    }
}
