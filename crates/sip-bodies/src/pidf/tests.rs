use proptest::prelude::*;

use super::*;

const LIKE_BARESIP: &str = include_str!("../../tests/documents/like_baresip.xml");
const LIKE_LINPHONE: &str = include_str!("../../tests/documents/like_linphone.xml");
const RICH: &str = include_str!("../../tests/documents/rich.xml");

fn parse(document: &str) -> Presence {
    Presence::parse(document.as_bytes()).unwrap()
}

/// A document around `inner`, with the usual prefixes.
fn within(inner: &str) -> String {
    format!(
        "<presence xmlns='{PIDF}' xmlns:dm='{DATA_MODEL}' xmlns:rpid='{}' entity='sip:a@example.test'>{inner}</presence>",
        rpid::NAMESPACE
    )
}

fn person(inner: &str) -> Person {
    parse(&within(&format!("<dm:person>{inner}</dm:person>"))).persons[0]
        .value()
        .clone()
}

#[test]
fn a_document_in_the_shape_baresip_sends_is_read() {
    let presence = parse(LIKE_BARESIP);
    assert_eq!(presence.entity, "sip:alice@example.test");
    let tuple = presence.tuples[0].value();
    assert_eq!((tuple.id.as_str(), tuple.basic), ("t1", Some(Basic::Open)));
    assert_eq!(tuple.contact.as_ref().unwrap().uri, "sip:alice@example.test");
    assert_eq!(presence.persons[0].value().activities, [Activity::Busy]);
}

#[test]
fn a_document_in_the_shape_linphone_sends_keeps_what_only_linphone_knows() {
    let presence = parse(LIKE_LINPHONE);
    let tuple = &presence.tuples[0];
    let contact = tuple.value().contact.clone().unwrap();
    assert_eq!(tuple.value().basic, Some(Basic::Open));
    assert_eq!(contact.priority, Some(Priority::from_thousandths(800)));
    assert_eq!(tuple.value().timestamp.as_deref(), Some("2026-11-21T08:12:01Z"));
    assert_eq!(presence.persons[0].value().activities, [Activity::Away]);
    let kept = tuple.element().as_str();
    for piece in [
        "xmlns:pidfonline=\"http://www.linphone.org/xsds/pidfonline.xsd\"",
        "xmlns:oma=\"urn:oma:xml:prs:pidf:oma-pres\"",
        "<pidfonline:online/>",
        "<oma:service-id>groupchat</oma:service-id>",
    ] {
        assert!(kept.contains(piece), "{piece} in {kept}");
    }
    assert!(!kept.contains("xmlns:rpid"), "not used there: {kept}");
}

#[test]
fn everything_typed_is_found_in_a_rich_document() {
    let presence = parse(RICH);
    assert_eq!(presence.notes, [LangText::new("Back at ten")]);
    let desk = presence.tuples[0].value();
    let idle = UserInput {
        is_idle: true,
        idle_threshold: Some(600),
        last_input: Some("2026-11-21T08:01:00Z".to_owned()),
    };
    assert_eq!(desk.user_input, Some(idle));
    let notes: Vec<_> = desk
        .notes
        .iter()
        .map(|note| (note.lang.as_deref(), note.text.as_str()))
        .collect();
    assert_eq!(
        notes,
        [
            (Some("en"), "At my desk & typing"),
            (Some("de"), "Am Schreibtisch")
        ]
    );
    assert_eq!(presence.tuples[1].value().basic, Some(Basic::Closed));
    let carol = presence.persons[0].value();
    assert_eq!(carol.id.as_deref(), Some("carol"));
    assert_eq!(
        carol.activities,
        [Activity::Meeting, Activity::Other("in the small room".to_owned())]
    );
    assert_eq!(
        carol.notes,
        [LangText::new("Do not disturb"), LangText::new("Budget")]
    );
    let cipid = Cipid {
        display_name: Some("Carol Test".to_owned()),
        icon: Some("http://example.test/carol.png".to_owned()),
        ..Cipid::default()
    };
    assert_eq!(carol.cipid, cipid);
    let pc = presence.devices[0].value();
    assert_eq!(
        pc.device_id.as_deref(),
        Some("urn:uuid:48662e19-5fbf-43fc-a2fd-d23002787599")
    );
    assert_eq!(pc.user_input.as_ref().map(|input| input.is_idle), Some(false));
}

#[test]
fn oddities_of_clients_are_forgiven() {
    assert_eq!(person("<rpid:activities/>").activities, []);
    let busy = person(
        "<rpid:activities><x xmlns='urn:x'/><rpid:lunch/><rpid:busy> </rpid:busy></rpid:activities>\
         <rpid:activities><rpid:unknown/></rpid:activities><rpid:note>a</rpid:note><note>b</note>",
    );
    assert_eq!(busy.id, None);
    assert_eq!(busy.activities, [Activity::Busy, Activity::Unknown]);
    assert_eq!(busy.notes, [LangText::new("a"), LangText::new("b")]);
    let odd = parse(&within(
        "<tuple id=' t '><status><basic> OPEN </basic></status><contact priority='high'> sip:a@b </contact>\
         <rpid:user-input idle-threshold='0'>asleep</rpid:user-input></tuple><tuple id='u'><status/></tuple>\
         <odd/><odd xmlns=''/><x xmlns='urn:x'/>",
    ));
    let tuple = odd.tuples[0].value();
    assert_eq!(
        (tuple.id.as_str(), tuple.basic, &tuple.user_input),
        ("t", Some(Basic::Open), &None)
    );
    let contact = Contact {
        uri: "sip:a@b".to_owned(),
        priority: None,
    };
    assert_eq!(tuple.contact, Some(contact));
    assert_eq!(odd.tuples[1].value().basic, None);
    let others: Vec<_> = odd.others.iter().map(Fragment::as_str).collect();
    assert_eq!(others, ["<x xmlns=\"urn:x\"/>"]);
}

#[test]
fn what_is_ambiguous_is_refused() {
    for inner in [
        "<tuple id='a'><status/></tuple><tuple id='a'><status/></tuple>",
        "<tuple id='a'><status/></tuple><tuple id=' a'><status/></tuple>",
        "<tuple><status/></tuple>",
        "<tuple id=''><status/></tuple>",
        "<tuple id='a'/>",
        "<tuple id='a'><status/><status/></tuple>",
        "<tuple id='a'><status><basic>open</basic><basic>closed</basic></status></tuple>",
        "<tuple id='a'><status/><contact>sip:a@b</contact><contact>sip:c@d</contact></tuple>",
        "<tuple id='a'><status/><timestamp>1</timestamp><timestamp>2</timestamp></tuple>",
        "<dm:person id='a'><dm:timestamp/><dm:timestamp/></dm:person>",
        "<dm:device id='a'><dm:deviceID>a</dm:deviceID><dm:deviceID>b</dm:deviceID></dm:device>",
        "<tuple id='a'><status>",
        "<tuple id='a'><status/></tuple></presence><presence>",
    ] {
        let outcome = Presence::parse(within(inner).as_bytes());
        assert!(
            matches!(outcome, Err(BodyError::Malformed(_))),
            "{inner}: {outcome:?}"
        );
    }
    for root in [
        format!("<presence xmlns='{PIDF}'/>"),
        format!("<presence xmlns='{PIDF}' entity=' '/>"),
    ] {
        assert_eq!(
            Presence::parse(root.as_bytes()),
            Err(BodyError::Malformed("presence without entity"))
        );
    }
    assert!(matches!(
        Presence::parse(b"<presence entity='sip:a@b'/>"),
        Err(BodyError::Unsupported(_))
    ));
}

#[test]
fn long_namespaces_used_by_many_elements_are_refused() {
    let document = |tuples: usize| {
        let elements: String = (0..tuples)
            .map(|n| format!("<tuple id='a{n}'><status/><n:x/></tuple>"))
            .collect();
        let long = "n".repeat(4_000);
        format!("<presence xmlns='{PIDF}' xmlns:n='{long}' entity='sip:a@b'>{elements}</presence>")
    };
    assert!(Presence::parse(document(31).as_bytes()).is_ok());
    assert_eq!(
        Presence::parse(document(33).as_bytes()),
        Err(BodyError::Limit("kept elements"))
    );
}

#[test]
fn a_typed_document_is_printed_in_the_order_of_the_schema() {
    let mut presence = Presence::new("sip:bob@example.test");
    let contact = Contact {
        uri: "sip:bob@example.test".to_owned(),
        priority: Some(Priority::from_thousandths(500)),
    };
    presence.tuples.push(Kept::new(Tuple {
        contact: Some(contact),
        notes: vec![LangText::new("a < b")],
        ..Tuple::new("t", Basic::Open)
    }));
    presence.persons.push(Kept::new(Person {
        id: Some("p".to_owned()),
        activities: vec![Activity::Away],
        ..Person::default()
    }));
    presence.notes.push(LangText::new("hi"));
    assert_eq!(
        presence.print(),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         entity=\"sip:bob@example.test\"><tuple xmlns=\"urn:ietf:params:xml:ns:pidf\" id=\"t\"><status>\
         <basic>open</basic></status><contact priority=\"0.5\">sip:bob@example.test</contact><note>a &lt; b</note>\
         </tuple><note>hi</note><dm:person xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" \
         xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" id=\"p\"><rpid:activities><rpid:away/></rpid:activities>\
         </dm:person></presence>\r\n"
    );
}

#[test]
fn parts_of_several_publications_get_ids_of_their_own() {
    let mut all = parse(LIKE_BARESIP);
    for other in [LIKE_BARESIP, LIKE_LINPHONE, LIKE_BARESIP] {
        let other = parse(other);
        all.tuples.extend(other.tuples);
        all.persons.extend(other.persons);
    }
    let odd = "<dm:person/><dm:person id='1 2'/><dm:device id='t1-2'><dm:deviceID>urn:x</dm:deviceID></dm:device>\
        <x:x xmlns:x='urn:ietf:params:xml:ns:pidf:x' id='id'/>";
    let odd = parse(&within(odd));
    all.persons.extend(odd.persons);
    all.devices.extend(odd.devices);
    all.others.extend(odd.others);
    all.unify_ids().unwrap();
    let tuples: Vec<_> = all.tuples.iter().map(|tuple| tuple.value().id.as_str()).collect();
    assert_eq!(tuples, ["t1", "t1-2", "q3w1zk", "t1-3"]);
    let persons: Vec<_> = all
        .persons
        .iter()
        .filter_map(|person| person.value().id.as_deref())
        .collect();
    assert_eq!(persons, ["p1", "p1-2", "k0pd2e", "p1-3", "id", "_1_2"]);
    assert_eq!(all.devices[0].value().id.as_deref(), Some("t1-2-2"));
    assert_eq!(all.others[0].ids(), ["id-2"]);
    let again = all.clone();
    all.unify_ids().unwrap();
    assert_eq!(all, again);
}

#[test]
fn ten_thousand_equal_ids_are_told_apart_at_once() {
    let tuple = Kept::new(Tuple::new("t", Basic::Open));
    let mut presence = Presence::new("sip:a@b");
    presence.tuples = vec![tuple; 10_000];
    presence.unify_ids().unwrap();
    assert_eq!(presence.tuples[9_999].value().id, "t-10000");
}

fn note() -> impl Strategy<Value = LangText> {
    (
        proptest::option::of("[a-z]{1,8}"),
        "([!-~ä]([ -~ä\n\"]{0,8}[!-~ä])?)?",
    )
        .prop_map(|(lang, text)| LangText { lang, text })
}

fn notes() -> impl Strategy<Value = Vec<LangText>> {
    proptest::collection::vec(note(), 0..3)
}

fn user_input() -> impl Strategy<Value = Option<UserInput>> {
    let input = (
        any::<bool>(),
        proptest::option::of(1..u32::MAX),
        proptest::option::of("[ -~]{0,9}"),
    );
    let input = input.prop_map(|(is_idle, idle_threshold, last_input)| UserInput {
        is_idle,
        idle_threshold,
        last_input,
    });
    proptest::option::of(input)
}

fn timestamp() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[0-9TZ:.-]{1,20}")
}

fn activity() -> impl Strategy<Value = Activity> {
    prop_oneof![
        (0..24_usize).prop_map(|n| Activity::all().nth(n).unwrap()),
        "([!-~]([ -~]{0,8}[!-~])?)?".prop_map(Activity::Other),
    ]
}

prop_compose! {
    fn tuple()(
        id in "[a-z][a-z0-9.-]{0,6}",
        basic in proptest::option::of(prop_oneof![Just(Basic::Open), Just(Basic::Closed)]),
        contact in proptest::option::of(("[!-~]{1,20}", proptest::option::of(0..1001_u16))),
        user_input in user_input(),
        notes in notes(),
        timestamp in timestamp(),
    ) -> Tuple {
        let contact = contact.map(|(uri, priority)| Contact {
            uri,
            priority: priority.map(Priority::from_thousandths),
        });
        Tuple { id, basic, contact, user_input, notes, timestamp }
    }
}

prop_compose! {
    fn any_person()(
        id in proptest::option::of("[a-z]{1,6}"),
        activities in prop_oneof![
            proptest::collection::vec(activity(), 0..4),
            Just(vec![Activity::Unknown]),
        ],
        user_input in user_input(),
        notes in notes(),
        cipid in proptest::collection::vec(proptest::option::of("[!-~]{1,9}"), 6),
        timestamp in timestamp(),
    ) -> Person {
        let mut cipid = cipid.into_iter();
        let mut next = || cipid.next().flatten();
        let cipid = Cipid {
            card: next(), display_name: next(), homepage: next(), icon: next(), map: next(), sound: next(),
        };
        Person { id, activities, user_input, notes, cipid, timestamp }
    }
}

prop_compose! {
    fn device()(
        id in proptest::option::of("[a-z]{1,6}"),
        device_id in proptest::option::of("[!-~]{1,12}"),
        user_input in user_input(),
        notes in notes(),
        timestamp in timestamp(),
    ) -> Device {
        Device { id, device_id, user_input, notes, timestamp }
    }
}

prop_compose! {
    fn presence()(
        entity in "[!-~]{1,20}",
        mut tuples in proptest::collection::vec(tuple(), 0..4),
        notes in notes(),
        persons in proptest::collection::vec(any_person(), 0..3),
        devices in proptest::collection::vec(device(), 0..3),
        others in proptest::collection::vec("<p:x xmlns:p=\"urn:[a-z]{1,4}\">[a-z ]{1,5}</p:x>", 0..2),
    ) -> Presence {
        tuples.sort_by(|a, b| a.id.cmp(&b.id));
        tuples.dedup_by(|a, b| a.id == b.id);
        Presence {
            entity,
            tuples: tuples.into_iter().map(Kept::new).collect(),
            notes,
            persons: persons.into_iter().map(Kept::new).collect(),
            devices: devices.into_iter().map(Kept::new).collect(),
            others: others.iter().map(|other| Fragment::parse(other.as_bytes()).unwrap()).collect(),
        }
    }
}

proptest! {
    #[test]
    fn print_and_parse_are_inverse(presence in presence()) {
        prop_assert_eq!(Presence::parse(&presence.print()), Ok(presence));
    }

    #[test]
    fn what_was_read_is_printed_and_read_alike(
        which in 0..3_usize,
        cuts in proptest::collection::vec((0..3000_usize, "[<>/a-z'\"=& :]{0,3}"), 0..3),
    ) {
        let mut document = [LIKE_BARESIP, LIKE_LINPHONE, RICH][which].to_owned();
        for (at, piece) in cuts {
            let at = at % document.len();
            document.replace_range(at..(at + piece.len()).min(document.len()), &piece);
        }
        if let Ok(presence) = Presence::parse(document.as_bytes()) {
            let printed = presence.print();
            prop_assert_eq!(Presence::parse(&printed), Ok(presence.clone()));
            let mut unified = presence;
            unified.unify_ids().unwrap();
            prop_assert_eq!(Presence::parse(&unified.print()), Ok(unified));
        }
    }
}
