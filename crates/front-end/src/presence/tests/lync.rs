//! Lync-family clients: subscriptions answered inside the 200, notifications without an answer, SERVICE.

use std::time::Duration;

use rpc::presence::{Availability, Note, NoteKind};
use sip_types::{HeaderName, Response};

use super::owner::aor;
use super::rig::{Client, Dialog, Rig, header, standing, text};

const SECOND: Duration = Duration::from_secs(1);

/// What these clients say with every SUBSCRIBE.
const LYNC: &str = "Supported: ms-benotify\nSupported: ms-piggyback-first-notify\nProxy-Require: ms-benotify";

const SELF: &str = "vnd-microsoft-roaming-self";
const CONTACTS: &str = "vnd-microsoft-roaming-contacts";

fn body(answer: &Response) -> &str {
    std::str::from_utf8(answer.body()).unwrap()
}

fn field(answer: &Response, name: HeaderName) -> String {
    answer.headers().get(&name).unwrap_or_default().to_string()
}

async fn follow_self(client: &mut Client, user: &str) -> (Dialog, Response) {
    let parts = ["categories", "containers", "subscribers"]
        .map(|part| format!("<roaming type=\"{part}\"/>"))
        .concat();
    let list = format!(
        "<roamingList xmlns=\"http://schemas.microsoft.com/2006/09/sip/roaming-self\">{parts}</roamingList>"
    );
    let lines = format!("{LYNC}\nContent-Type: application/vnd-microsoft-roaming-self+xml");
    client
        .subscribe_answered(&format!("sip:{user}@example.test"), SELF, &lines, list)
        .await
}

fn batch(user: &str, action: &str, resources: &[&str]) -> String {
    let resources: String = resources
        .iter()
        .map(|uri| format!("<resource uri=\"{uri}\"/>"))
        .collect();
    format!(
        "<batchSub xmlns=\"http://schemas.microsoft.com/2006/01/sip/batch-subscribe\" \
         uri=\"sip:{user}@example.test\" name=\"\"><action name=\"{action}\" id=\"1\"><adhocList>{resources}</adhocList>\
         </action></batchSub>"
    )
}

const BATCH: &str = "Require: adhoclist, categoryList\nContent-Type: application/msrtc-adrl-categorylist+xml";

async fn watch(client: &mut Client, user: &str, resources: &[&str]) -> (Dialog, Response) {
    let lines = format!("{LYNC}\n{BATCH}");
    let uri = format!("sip:{user}@example.test");
    client
        .subscribe_answered(&uri, "presence", &lines, batch(user, "subscribe", resources))
        .await
}

/// Publishes a state of the user's own, or takes it back.
async fn publish(client: &mut Client, user: &str, version: u32, availability: u16) -> Response {
    let document = format!(
        "<publish xmlns=\"http://schemas.microsoft.com/2006/09/sip/rich-presence\">\
         <publications uri=\"sip:{user}@example.test\"><publication categoryName=\"state\" instance=\"536870912\" \
         container=\"2\" version=\"{version}\" expireType=\"static\">\
         <state xmlns=\"http://schemas.microsoft.com/2006/09/sip/state\" manual=\"true\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"userState\">\
         <availability>{availability}</availability></state></publication></publications></publish>"
    );
    serve(client, user, "application/msrtc-category-publish+xml", document).await
}

async fn serve(client: &mut Client, user: &str, content_type: &str, document: impl AsRef<[u8]>) -> Response {
    let uri = format!("sip:{user}@example.test");
    client
        .call(
            "SERVICE",
            &uri,
            &format!("Content-Type: {content_type}"),
            document,
        )
        .await
}

fn soap(operation: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:m=\"http://schemas.microsoft.com/winrtc/2002/11/sip\"><s:Body>{operation}</s:Body></s:Envelope>"
    )
}

#[tokio::test(start_paused = true)]
async fn own_data_comes_inside_the_200_and_changes_without_being_answered() {
    let rig = Rig::new(&["amy"]).await;
    let mut amy = rig.client("amy").await;
    let (mut dialog, answer) = follow_self(&mut amy, "amy").await;
    assert_eq!(field(&answer, HeaderName::MsPiggybackCseq), "1");
    assert_eq!(field(&answer, HeaderName::Event), SELF);
    assert_eq!(
        field(&answer, HeaderName::SubscriptionState),
        "active;expires=3600"
    );
    assert!(
        body(&answer).contains("xsi:type=\"aggregateState\"><availability>18500"),
        "{answer}"
    );
    assert!(body(&answer).contains("type=\"sameEnterprise\""), "{answer}");
    assert!(body(&answer).contains("<subscribers "), "{answer}");
    rig.owner.set("amy", Availability::BUSY);
    let told = amy.benotify().await;
    assert_eq!(header(&told, HeaderName::CSeq), "2 BENOTIFY");
    assert!(text(&told).contains("<availability>6500"), "{told}");
    assert!(!text(&told).contains("<containers"), "{told}");
    let again = amy.again(&mut dialog, 600, LYNC).await;
    assert_eq!(field(&again, HeaderName::MsPiggybackCseq), "3");
    assert!(body(&again).contains("sameEnterprise"), "a refresh tells all");
    let end = amy.again(&mut dialog, 0, LYNC).await;
    assert!(field(&end, HeaderName::SubscriptionState).starts_with("terminated"));
    rig.owner.set("amy", Availability::AVAILABLE);
    amy.hears_nothing(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_publication_is_answered_with_its_category_and_told_to_the_other_endpoints() {
    let rig = Rig::new(&["amy"]).await;
    let mut desk = rig.client_at("amy", "urn:uuid:desk").await;
    let mut sofa = rig.client_at("amy", "urn:uuid:sofa").await;
    follow_self(&mut desk, "amy").await;
    follow_self(&mut sofa, "amy").await;
    let answer = publish(&mut desk, "amy", 0, 6_500).await;
    assert_eq!(answer.status().code(), 200, "{answer}");
    assert_eq!(
        field(&answer, HeaderName::ContentType),
        "application/vnd-microsoft-roaming-self+xml"
    );
    assert!(body(&answer).contains("version=\"1\""), "{answer}");
    assert!(
        !body(&answer).contains("aggregateState"),
        "not known yet: {answer}"
    );
    let told = sofa.benotify().await;
    assert!(text(&told).contains("instance=\"536870912\""), "{told}");
    assert!(text(&told).contains("<availability>6500"), "{told}");
    desk.hears_nothing(SECOND).await;
    let published = rig.owner.take_published();
    assert_eq!(published.len(), 1);

    let conflict = publish(&mut sofa, "amy", 0, 9_500).await;
    assert_eq!(conflict.status().code(), 409);
    assert!(
        body(&conflict).contains("index=\"1\" version=\"0\" curVersion=\"1\""),
        "{conflict}"
    );
    assert_eq!(publish(&mut sofa, "amy", 1, 9_500).await.status().code(), 200);
    rig.settle().await;
    rig.counted(r#"portico_presence_services_total{operation="publish",result="done"} 2"#);
    rig.counted(r#"portico_presence_services_total{operation="publish",result="refused"} 1"#);
}

#[tokio::test(start_paused = true)]
async fn watchers_are_told_of_the_categories_they_asked_for_and_no_others() {
    let rig = Rig::new(&["amy", "bob", "carol"]).await;
    let (mut amy, mut carol) = (rig.client("amy").await, rig.client("carol").await);
    let say = |text: &str| {
        rig.owner.change("bob", |view| {
            view.notes = [Note {
                kind: NoteKind::Personal,
                text: text.into(),
                language: None,
            }]
            .into();
        });
    };
    say("At my desk");
    let list = "<categoryList xmlns=\"http://schemas.microsoft.com/2006/09/sip/categorylist\">\
                <category name=\"note\"/><category name=\"calendarData\"/></categoryList></action>";
    let notes_only = batch("amy", "subscribe", &["sip:bob@example.test"]).replace("</action>", list);
    let lines = format!("{LYNC}\n{BATCH}");
    let (_, answer) = amy
        .subscribe_answered("sip:amy@example.test", "presence", &lines, notes_only)
        .await;
    assert!(body(&answer).contains("At my desk"), "{answer}");
    assert!(!body(&answer).contains("name=\"state\""), "{answer}");
    assert!(!body(&answer).contains("contactCard"), "{answer}");
    let (_, answer) = watch(&mut carol, "carol", &["sip:bob@example.test"]).await;
    for name in ["state", "note", "contactCard"] {
        assert!(body(&answer).contains(&format!("name=\"{name}\"")), "{answer}");
    }
    rig.pass(2 * SECOND).await;
    rig.owner.set("bob", Availability::BUSY);
    let told = carol.benotify().await;
    assert!(text(&told).contains("<availability>6500"), "{told}");
    amy.hears_nothing(2 * SECOND).await;
    // Named in two actions of one request: what either asked for.
    let both = batch("carol", "subscribe", &["sip:bob@example.test"]).replace("</action>", list);
    let cards = list.replace("note", "contactCard");
    let both = both.replace(
        "</batchSub>",
        &format!(
            "<action name=\"subscribe\" id=\"2\"><adhocList><resource uri=\"sip:bob@example.test\"/></adhocList>\
             {cards}</batchSub>"
        ),
    );
    let (_, answer) = carol
        .subscribe_answered("sip:carol@example.test", "presence", &lines, both)
        .await;
    assert!(
        body(&answer).contains("name=\"note\"") && body(&answer).contains("name=\"contactCard\""),
        "{answer}"
    );
    assert!(!body(&answer).contains("name=\"state\""), "{answer}");
    say("Back at 3");
    let told = amy.benotify().await;
    assert!(text(&told).contains("Back at 3"), "{told}");
    assert!(!text(&told).contains("availability"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn many_are_watched_at_once_and_told_of_one_by_one() {
    let rig = Rig::new(&["amy", "bob", "carol", "dave"]).await;
    let mut amy = rig.client("amy").await;
    let (mut dialog, answer) = watch(
        &mut amy,
        "amy",
        &[
            "sip:bob@example.test",
            "sip:carol@example.test",
            "sip:nobody@example.test",
            "sip:eve@other.test",
        ],
    )
    .await;
    assert_eq!(field(&answer, HeaderName::Require), "eventlist");
    assert!(
        field(&answer, HeaderName::ContentType)
            .starts_with("multipart/related;type=\"application/rlmi+xml\";start=resourceList"),
        "{answer}"
    );
    let all = body(&answer);
    assert_eq!(all.matches("xsi:type=\"aggregateState\"").count(), 2, "{all}");
    assert_eq!(all.matches("reason=\"noresource\"").count(), 2, "{all}");
    assert!(
        all.contains("</categories>\r\n\r\n--"),
        "SIPE drops four bytes: {all}"
    );
    rig.pass(2 * SECOND).await;
    rig.owner.change("bob", |view| {
        view.availability = Availability::AWAY;
        view.notes = [Note {
            kind: NoteKind::Personal,
            text: "Out for lunch".into(),
            language: None,
        }]
        .into();
    });
    let told = amy.benotify().await;
    assert_eq!(
        header(&told, HeaderName::ContentType),
        "application/msrtc-event-categories+xml"
    );
    assert!(text(&told).contains("uri=\"sip:bob@example.test\""), "{told}");
    assert!(
        text(&told).contains("<body type=\"personal\" uri=\"\">Out for lunch"),
        "{told}"
    );
    assert!(standing(&told).starts_with("active"));

    // One more in the same dialog: the answer tells of that one only.
    let more = batch("amy", "subscribe", &["sip:dave@example.test"]);
    let added = amy
        .again_with(&mut dialog, 600, &format!("{LYNC}\n{BATCH}"), more)
        .await;
    assert!(body(&added).contains("cid=\"dave@example.test\""), "{added}");
    assert!(!body(&added).contains("carol"), "{added}");
    // Two that change together come in one.
    rig.owner.set("carol", Availability::BUSY);
    rig.owner.set("dave", Availability::BUSY);
    let both = amy.benotify().await;
    assert_eq!(text(&both).matches("<availability>6500").count(), 2, "{both}");
    assert_eq!(header(&both, HeaderName::Require), "eventlist");
    // And one less.
    let less = batch("amy", "unsubscribe", &["sip:dave@example.test"]);
    amy.again_with(&mut dialog, 600, &format!("{LYNC}\n{BATCH}"), less)
        .await;
    rig.owner.set("dave", Availability::AWAY);
    amy.hears_nothing(5 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn one_user_is_shown_in_categories_to_whoever_asks_for_them() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut amy = rig.client("amy").await;
    let lines = format!("{LYNC}\nAccept: application/msrtc-event-categories+xml, application/pidf+xml");
    let uri = "sip:bob@example.test";
    let (_, answer) = amy.subscribe_answered(uri, "presence", &lines, "").await;
    assert!(body(&answer).starts_with("<categories "), "{answer}");
    let pidf = format!("{LYNC}\nAccept: application/pidf+xml");
    let (_, answer) = amy.subscribe_answered(uri, "presence", &pidf, "").await;
    assert!(body(&answer).contains("urn:ietf:params:xml:ns:pidf"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_poll_is_answered_inside_the_200_and_is_no_subscription() {
    let rig = Rig::new(&["amy", "bob", "carol"]).await;
    rig.owner.set("bob", Availability::BUSY);
    let mut amy = rig.client("amy").await;
    let poll = format!("{LYNC}\nEvent: presence\nExpires: 0");
    let one = format!("{poll}\nAccept: application/msrtc-event-categories+xml");
    let many = format!("{poll}\n{BATCH}");
    let both = batch(
        "amy",
        "subscribe",
        &["sip:bob@example.test", "sip:carol@example.test"],
    );
    for (uri, lines, asked, told) in [
        ("sip:bob@example.test", one, String::new(), 1),
        ("sip:amy@example.test", many, both, 2),
    ] {
        let answer = amy.call("SUBSCRIBE", uri, &lines, asked).await;
        assert_eq!(answer.status().code(), 200, "{answer}");
        assert_eq!(
            field(&answer, HeaderName::SubscriptionState),
            "terminated;reason=timeout"
        );
        assert_eq!(body(&answer).matches("aggregateState").count(), told, "{answer}");
        assert!(body(&answer).contains("<availability>6500"), "{answer}");
    }
    rig.pass(2 * SECOND).await;
    rig.owner.set("bob", Availability::AWAY);
    amy.hears_nothing(5 * SECOND).await;
    rig.counted(r#"portico_presence_subscription_active{event="presence"} 0"#);
    rig.counted(r#"portico_presence_subscription_active{event="presence_batch"} 0"#);
}

#[tokio::test(start_paused = true)]
async fn a_contact_list_comes_whole_then_by_changes_and_whole_again_after_a_gap() {
    let rig = Rig::new(&["amy"]).await;
    rig.owner.set_contacts("amy", &["bob"]);
    let mut amy = rig.client("amy").await;
    let uri = "sip:amy@example.test";
    let (_, answer) = amy.subscribe_answered(uri, CONTACTS, LYNC, "").await;
    assert!(body(&answer).contains("<contactList deltaNum=\"1\""), "{answer}");
    assert!(body(&answer).contains("uri=\"bob@example.test\""), "{answer}");
    rig.owner.set_contacts("amy", &["bob", "carol"]);
    let delta = amy.benotify().await;
    assert!(
        text(&delta).contains("<contactDelta deltaNum=\"2\" prevDeltaNum=\"1\""),
        "{delta}"
    );
    rig.owner.lose_contact_news("amy", &["carol"]);
    rig.owner.set_contacts("amy", &["carol", "dave"]);
    let whole = amy.benotify().await;
    assert!(text(&whole).contains("<contactList deltaNum=\"4\""), "{whole}");
    assert!(text(&whole).contains("dave@example.test"), "{whole}");
    amy.hears_nothing(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn members_are_in_a_group_of_contacts_named_as_theirs_and_come_and_go_with_it() {
    let rig = Rig::new(&["amy"]).await;
    rig.owner.set_contacts("amy", &["bob", "sales"]);
    rig.owner.set_members("amy", Some(&["bob", "carol"]));
    let mut amy = rig.client("amy").await;
    let uri = "sip:amy@example.test";
    let (_, answer) = amy.subscribe_answered(uri, CONTACTS, LYNC, "").await;
    let shown = body(&answer);
    assert!(shown.contains("id=\"1073741824\" name=\"The group\""), "{answer}");
    assert!(
        shown.contains("uri=\"carol@example.test\" name=\"\" groups=\"1073741824\""),
        "{answer}"
    );
    assert!(
        shown.contains("uri=\"bob@example.test\" name=\"BOB\""),
        "{answer}"
    );
    assert!(!shown.contains("sales"), "{answer}");
    rig.owner.set_members("amy", Some(&["bob", "dave"]));
    let change = amy.benotify().await;
    let told = text(&change);
    assert!(
        told.contains("<contactDelta deltaNum=\"1\" prevDeltaNum=\"1\""),
        "{change}"
    );
    assert!(
        told.contains("<addedContact uri=\"sip:dave@example.test\""),
        "{change}"
    );
    assert!(
        told.contains("<deletedContact uri=\"sip:carol@example.test\""),
        "{change}"
    );
    assert!(!told.contains("bob"), "{change}");
    rig.owner.set_members("amy", Some(&["bob", "dave"]));
    amy.hears_nothing(SECOND).await;
    // Too large now.
    rig.owner.set_members("amy", None);
    let change = amy.benotify().await;
    let told = text(&change);
    assert!(
        told.contains("<addedContact uri=\"sip:sales@example.test\""),
        "{change}"
    );
    assert!(
        told.contains("<modifiedContact uri=\"sip:bob@example.test\""),
        "{change}"
    );
    assert!(
        told.contains("<deletedContact uri=\"sip:dave@example.test\""),
        "{change}"
    );
    // SIPE 1.25 would die of that.
    assert!(!told.contains("<deletedGroup"), "{change}");
    amy.hears_nothing(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_contact_that_becomes_a_group_is_no_contact_any_more() {
    let rig = Rig::new(&["amy"]).await;
    rig.owner.set_contacts("amy", &["sales"]);
    let mut amy = rig.client("amy").await;
    let uri = "sip:amy@example.test";
    let (_, answer) = amy.subscribe_answered(uri, CONTACTS, LYNC, "").await;
    assert!(body(&answer).contains("uri=\"sales@example.test\""), "{answer}");
    rig.owner.set_members("amy", Some(&["dave"]));
    let whole = amy.benotify().await;
    assert!(text(&whole).contains("<contactList deltaNum=\"1\""), "{whole}");
    assert!(text(&whole).contains("dave@example.test"), "{whole}");
    let gone = amy.benotify().await;
    assert!(
        text(&gone).contains("<deletedContact uri=\"sip:sales@example.test\""),
        "{gone}"
    );
    assert!(
        text(&gone).contains("deltaNum=\"1\" prevDeltaNum=\"1\""),
        "{gone}"
    );
    amy.hears_nothing(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn contacts_are_changed_under_the_number_the_client_knows() {
    let rig = Rig::new(&["amy"]).await;
    let mut amy = rig.client("amy").await;
    let group =
        soap("<m:addGroup><m:name>Friends</m:name><m:externalURI/><m:deltaNum>1</m:deltaNum></m:addGroup>");
    let added = serve(&mut amy, "amy", "application/SOAP+xml", &group).await;
    assert_eq!(added.status().code(), 200, "{added}");
    assert!(body(&added).contains("<m:groupID>2</m:groupID>"), "{added}");
    let stale = serve(&mut amy, "amy", "application/SOAP+xml", &group).await;
    assert_eq!(stale.status().code(), 409, "{stale}");
    assert!(body(&stale).contains("faultstring"), "{stale}");
}

#[tokio::test(start_paused = true)]
async fn levels_and_watchers_are_the_users_to_change() {
    let rig = Rig::new(&["amy"]).await;
    let mut amy = rig.client("amy").await;
    let change = |version: u32| {
        format!(
            "<setContainerMembers xmlns=\"http://schemas.microsoft.com/2006/09/sip/container-management\">\
             <container id=\"400\" version=\"{version}\"><member action=\"add\" type=\"user\" \
             value=\"bob@example.test\"/></container></setContainerMembers>"
        )
    };
    let kind = "application/msrtc-setcontainermembers+xml";
    assert_eq!(serve(&mut amy, "amy", kind, change(0)).await.status().code(), 200);
    let conflict = serve(&mut amy, "amy", kind, change(7)).await;
    assert_eq!(conflict.status().code(), 409);
    assert!(body(&conflict).contains("curVersion=\"1\""), "{conflict}");
    let seen = "<setSubscribers xmlns=\"http://schemas.microsoft.com/2006/09/sip/presence-subscribers\">\
         <subscriber user=\"bob@example.test\" acknowledged=\"true\"/>\
         <subscriber user=\"carol@example.test\" acknowledged=\"false\"/></setSubscribers>";
    let kind = "application/msrtc-presence-setsubscriber+xml";
    assert_eq!(serve(&mut amy, "amy", kind, seen).await.status().code(), 200);
    assert_eq!(rig.owner.take_acknowledged(), [aor("bob")]);
}

#[tokio::test(start_paused = true)]
async fn settings_are_told_once() {
    let rig = Rig::new(&["amy"]).await;
    let mut amy = rig.client("amy").await;
    let question = "<provisioningGroupList xmlns=\"http://schemas.microsoft.com/2006/09/sip/provisioninggrouplist\">\
         <provisioningGroup name=\"ServerConfiguration\"/><provisioningGroup name=\"ucPolicy\"/></provisioningGroupList>";
    let lines =
        format!("{LYNC}\nExpires: 0\nContent-Type: application/vnd-microsoft-roaming-provisioning-v2+xml");
    let (_, answer) = amy
        .subscribe_answered(
            "sip:amy@example.test",
            "vnd-microsoft-provisioning-v2",
            &lines,
            question,
        )
        .await;
    assert!(body(&answer).contains("name=\"ucPolicy\""), "{answer}");
    assert!(
        !body(&answer).contains("focusFactoryUri"),
        "there are no conferences: {answer}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_or_not_ones_own_is_refused() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut amy = rig.client("amy").await;
    let search = soap("<m:findPeople/>");
    let unknown = serve(&mut amy, "amy", "application/SOAP+xml", search).await;
    assert_eq!(unknown.status().code(), 501);
    assert!(body(&unknown).contains("findPeople"), "{unknown}");
    let other = serve(&mut amy, "amy", "text/plain", "hello").await;
    assert_eq!(other.status().code(), 415);
    assert_eq!(publish(&mut amy, "bob", 0, 3_500).await.status().code(), 403);
    for event in [SELF, CONTACTS, "vnd-microsoft-provisioning-v2"] {
        let lines = format!("Event: {event}\n{LYNC}");
        let answer = amy.call("SUBSCRIBE", "sip:bob@example.test", &lines, "").await;
        assert_eq!(answer.status().code(), 403, "{event}");
    }
    let nobody = batch("amy", "subscribe", &[]);
    let lines = format!("Event: presence\n{LYNC}\n{BATCH}");
    let answer = amy
        .call("SUBSCRIBE", "sip:amy@example.test", &lines, nobody)
        .await;
    assert_eq!(answer.status().code(), 400);
}

#[tokio::test(start_paused = true)]
async fn the_next_owner_is_told_what_an_endpoint_published() {
    let rig = Rig::new(&["amy"]).await;
    let mut amy = rig.client("amy").await;
    follow_self(&mut amy, "amy").await;
    let document = "<publish xmlns=\"http://schemas.microsoft.com/2006/09/sip/rich-presence\">\
         <publications uri=\"sip:amy@example.test\"><publication categoryName=\"device\" instance=\"7\" container=\"2\" \
         version=\"0\" expireType=\"endpoint\"><device xmlns=\"urn:x\"/></publication></publications></publish>";
    let answer = serve(
        &mut amy,
        "amy",
        "application/msrtc-category-publish+xml",
        document,
    )
    .await;
    assert_eq!(answer.status().code(), 200, "{answer}");
    rig.owner.take_published();
    rig.owner.lose_publications();
    let partition = topology::Partition::of_user(aor("amy").as_str());
    rig.owner.tell(rpc::presence::PresenceNews::Lost(partition));
    rig.pass(2 * SECOND).await;
    let published = rig.owner.take_published();
    let [again] = &published[..] else {
        panic!("{published:?}");
    };
    assert_eq!(&*again.changes[0].key().category, "device");
    assert_eq!(again.changes[0].known(), None, "whatever the owner has");
}
