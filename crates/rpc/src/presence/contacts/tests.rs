use super::*;

fn aor(user: &str) -> AddressOfRecord {
    AddressOfRecord::parse(&format!("{user}@example.test")).unwrap()
}

fn contact(user: &str, name: &str, groups: &[u32]) -> Contact {
    Contact {
        uri: aor(user),
        name: name.to_owned(),
        groups: groups.to_vec(),
        subscribed: true,
        external_uri: String::new(),
    }
}

fn listed(user: &str, id: u32, members: Option<&[&str]>) -> ListedGroup {
    ListedGroup {
        address: aor(user),
        name: format!("The {user}"),
        id,
        members: members.map(|members| members.iter().copied().map(aor).collect()),
    }
}

/// As `name of the user, "name in the list", numbers of groups`.
fn shown(list: &ContactList) -> Vec<String> {
    let one = |shown: Shown| format!("{} {:?} {:?}", shown.uri.user(), shown.name, shown.groups);
    list.shown().into_iter().map(one).collect()
}

#[test]
fn members_stand_in_the_place_of_their_group_and_everybody_is_there_once() {
    let list = ContactList {
        contacts: vec![
            contact("sales", "mine", &[1]),
            contact("bob", "Bobby", &[2]),
            contact("board", "", &[1]),
        ],
        listed_groups: vec![
            listed("sales", 100, Some(&["amy", "bob"])),
            listed("board", 101, Some(&["amy", "zoe"])),
        ],
        ..ContactList::default()
    };
    assert_eq!(
        shown(&list),
        ["bob \"Bobby\" [2, 100]", "amy \"\" [100, 101]", "zoe \"\" [101]"]
    );
    let groups: Vec<_> = list.shown_groups().into_iter().map(|group| group.name).collect();
    assert_eq!(groups, ["The sales", "The board"]);
}

#[test]
fn a_group_that_is_too_large_is_shown_itself_by_its_name() {
    let list = ContactList {
        contacts: vec![contact("all", "", &[1]), contact("most", "Mine", &[1])],
        listed_groups: vec![listed("all", 100, None), listed("most", 101, None)],
        ..ContactList::default()
    };
    assert_eq!(shown(&list), ["all \"The all\" [1]", "most \"Mine\" [1]"]);
    assert_eq!(list.shown_groups(), []);
}

#[test]
fn whoever_is_a_member_is_watched_even_if_the_contact_is_not() {
    let mut list = ContactList {
        contacts: vec![contact("bob", "", &[1]), contact("sales", "", &[1])],
        listed_groups: vec![listed("sales", 100, Some(&["bob"]))],
        ..ContactList::default()
    };
    list.contacts[0].subscribed = false;
    assert!(list.shown()[0].subscribed);
    list.contacts[0].uri = aor("dan");
    let of_dan = list.shown().into_iter().find(|shown| shown.uri == aor("dan"));
    assert!(!of_dan.unwrap().subscribed);
}
