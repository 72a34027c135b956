//! Organisational groups in contact lists.

use rpc::presence::{Contact, ContactList};
use rpc::{PolicyValue, RegistrarChange};
use store::{GroupPatch, GroupStore, OrganisationalGroup};
use tokio_stream::wrappers::ReceiverStream;

use super::fakes::next;
use super::*;

impl Fixture {
    async fn group(&self, name: &str, members: &[&str]) {
        let group = OrganisationalGroup {
            address: aor(name),
            display_name: name.to_uppercase(),
            created_at: 0,
            size: 0,
        };
        self.store.memory.create_group(&group).await.unwrap();
        self.change_group(name, members, &[]).await;
    }

    async fn change_group(&self, name: &str, add: &[&str], remove: &[&str]) {
        let of = |names: &[&str]| names.iter().map(|name| aor(name)).collect();
        let patch = GroupPatch {
            display_name: None,
            add: of(add),
            remove: of(remove),
        };
        let changed = self.store.memory.change_group(&aor(name), &patch, 10_000).await;
        changed.unwrap().unwrap();
    }

    async fn add_contact(&self, name: &str) -> ContactNews {
        let contact = Contact {
            uri: aor(name),
            name: String::new(),
            groups: Vec::new(),
            subscribed: true,
            external_uri: String::new(),
        };
        let change = ContactChange::SetContact(contact);
        let changed = self.service.change_contacts(&aor("alice"), None, change).await;
        changed.unwrap().unwrap()
    }

    async fn list(&self) -> Arc<ContactList> {
        self.service.contacts(&aor("alice")).await.unwrap()
    }

    /// Whom alice's contact list shows.
    async fn people(&self) -> Vec<String> {
        let shown = self.list().await.shown();
        shown.iter().map(|shown| shown.uri.user().to_owned()).collect()
    }

    async fn announce_group(&self, name: &str) {
        let change = RegistrarChange::Group(Some(aor(name)));
        self.registrar.announce(change).await;
    }
}

/// Waits until it is told that groups in a list changed, and fails if that is told twice.
async fn groups_changed(news: &mut ReceiverStream<PresenceNews>) -> bool {
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut told = 0;
    while let Some(one) = next(news).await {
        told += u32::from(matches!(one, PresenceNews::GroupsChanged(user) if user == aor("alice")));
    }
    assert!(told <= 1, "told {told} times");
    told == 1
}

#[tokio::test(start_paused = true)]
async fn a_list_comes_with_the_members_of_its_groups() {
    let fixture = Fixture::new().await;
    fixture.group("sales", &["bob", "carol"]).await;
    let news = fixture.add_contact("bob").await;
    assert!(!news.has_groups, "there is none yet");
    let before = fixture.list().await;
    assert!(fixture.add_contact("sales").await.has_groups);
    assert!(fixture.add_contact("dave").await.has_groups);
    let list = fixture.list().await;
    assert!(list.version > before.version);
    assert_eq!(list.contacts.len(), 3, "contacts are what the user added");
    assert_eq!(list.listed_groups.len(), 1);
    assert_eq!(list.listed_groups[0].name, "SALES");
    assert_eq!(fixture.people().await, ["bob", "dave", "carol"]);
    let gone = ContactChange::DeleteGroup(list.listed_groups[0].id);
    let news = fixture.service.change_contacts(&aor("alice"), None, gone).await;
    assert!(news.unwrap().unwrap().has_groups, "there was one");
    assert_eq!(fixture.people().await, ["bob", "dave"]);
}

#[tokio::test(start_paused = true)]
async fn a_group_larger_than_the_policy_or_than_the_room_left_is_shown_itself() {
    let fixture = Fixture::new().await;
    let names: Vec<String> = (0..900).map(|number| format!("u{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    fixture.group("small", &names[..100]).await;
    fixture.group("large", &names[..101]).await;
    fixture.group("huge", &names).await;
    for name in ["small", "large", "huge"] {
        fixture.add_contact(name).await;
    }
    let expanded = async || -> Vec<usize> {
        let list = fixture.list().await;
        let sizes = list.listed_groups.iter();
        sizes
            .map(|group| group.members.as_ref().map_or(0, Vec::len))
            .collect()
    };
    assert_eq!(expanded().await, [100, 0, 0]);
    let mut news = fixture.news("fe1").await;
    fixture.follow("fe1", "alice", true).await;
    groups_changed(&mut news).await;
    *fixture.registrar.policy.lock() = vec![("max_group_size_to_expand", PolicyValue::Number(1_000))];
    fixture.registrar.announce(RegistrarChange::Policies).await;
    assert!(
        groups_changed(&mut news).await,
        "another policy shows other people"
    );
    assert_eq!(expanded().await, [100, 101, 0], "a thousand people are shown");
    fixture.registrar.announce(RegistrarChange::Policies).await;
    assert!(!groups_changed(&mut news).await);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_group_is_told_to_those_who_have_it_as_a_contact() {
    let fixture = Fixture::new().await;
    fixture.group("sales", &["bob"]).await;
    fixture.group("board", &["bob"]).await;
    fixture.add_contact("sales").await;
    let (mut own, mut other) = (fixture.news("fe1").await, fixture.news("fe2").await);
    fixture.follow("fe1", "alice", true).await;
    fixture.follow("fe2", "alice", false).await;
    groups_changed(&mut own).await;
    fixture.change_group("sales", &["carol"], &["bob"]).await;
    // Each registrar of a pool tells of it.
    fixture.announce_group("sales").await;
    fixture.announce_group("sales").await;
    assert!(groups_changed(&mut own).await);
    assert_eq!(fixture.people().await, ["carol"]);
    fixture.announce_group("board").await;
    assert!(!groups_changed(&mut own).await);
    assert!(!groups_changed(&mut other).await);
    // The store is away for a while: it is told later.
    fixture
        .store
        .is_away
        .store(true, std::sync::atomic::Ordering::SeqCst);
    fixture.announce_group("sales").await;
    assert!(!groups_changed(&mut own).await);
    fixture
        .store
        .is_away
        .store(false, std::sync::atomic::Ordering::SeqCst);
    assert!(groups_changed(&mut own).await);
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_those_are_told_whose_list_has_groups_or_had_some() {
    let fixture = Fixture::new().await;
    fixture.group("sales", &["bob"]).await;
    let mut news = fixture.news("fe1").await;
    fixture.follow("fe1", "alice", true).await;
    groups_changed(&mut news).await;
    fixture.registrar.announce(RegistrarChange::Group(None)).await;
    assert!(!groups_changed(&mut news).await);
    fixture.add_contact("sales").await;
    fixture.registrar.announce(RegistrarChange::Group(None)).await;
    assert!(groups_changed(&mut news).await);
    assert_eq!(fixture.people().await, ["bob"]);
    fixture.store.memory.delete_group(&aor("sales")).await.unwrap();
    fixture.registrar.lose_watchers();
    assert!(groups_changed(&mut news).await, "it was shown");
    assert_eq!(fixture.people().await, ["sales"]);
}
