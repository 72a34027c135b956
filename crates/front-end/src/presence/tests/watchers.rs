//! Who watches: RFC 3857, RFC 3858.

use std::time::Duration;

use sip_bodies::watcherinfo::{WatcherInfo, WatcherStatus};
use sip_types::{HeaderName, Request};

use super::rig::{Rig, header};

const BOB: &str = "sip:bob@example.test";

fn told(notify: &Request) -> (bool, u32, Vec<String>) {
    assert_eq!(header(notify, HeaderName::Event), "presence.winfo");
    assert_eq!(
        header(notify, HeaderName::ContentType),
        "application/watcherinfo+xml"
    );
    let info = WatcherInfo::parse(notify.body()).unwrap();
    let [list] = info.lists.as_slice() else {
        panic!("{info:?}");
    };
    assert_eq!((list.resource.as_str(), list.package.as_str()), (BOB, "presence"));
    let watchers = list.watchers.iter().map(|watcher| {
        let left = watcher.status == WatcherStatus::Terminated;
        format!("{}{}", if left { "-" } else { "+" }, watcher.uri)
    });
    (info.is_full, info.version, watchers.collect())
}

#[tokio::test(start_paused = true)]
async fn watchers_are_told_in_full_and_then_who_came_and_left() {
    let rig = Rig::new(&["amy", "bob", "carol"]).await;
    rig.owner.set_watchers("bob", &["amy"]);
    let mut bob = rig.client("bob").await;
    bob.subscribe_with(BOB, "presence.winfo", "Expires: 600", "")
        .await;
    let amy = "sip:amy@example.test";
    assert_eq!(told(&bob.notify().await), (true, 0, vec![format!("+{amy}")]));
    rig.owner.set_watchers("bob", &["amy", "carol"]);
    let carol = "sip:carol@example.test";
    assert_eq!(told(&bob.notify().await), (false, 1, vec![format!("+{carol}")]));
    rig.owner.set_watchers("bob", &["carol"]);
    assert_eq!(told(&bob.notify().await), (false, 2, vec![format!("-{amy}")]));
    rig.owner.set_watchers("bob", &["carol"]);
    bob.hears_nothing(Duration::from_secs(5)).await;
    assert_eq!(rig.owner.take_followed(), ["bob*"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_learns_who_watches_another() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut amy = rig.client("amy").await;
    let answer = amy.call("SUBSCRIBE", BOB, "Event: presence.winfo", "").await;
    assert_eq!(answer.status().code(), 403);
    let pidf_only = "Event: presence.winfo\nAccept: application/pidf+xml";
    let answer = amy.call("SUBSCRIBE", "sip:amy@example.test", pidf_only, "").await;
    assert_eq!(answer.status().code(), 406);
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_in_the_news_watchers_are_looked_up_again() {
    let rig = Rig::new(&["amy", "bob"]).await;
    let mut bob = rig.client("bob").await;
    bob.subscribe_with(BOB, "presence.winfo", "Expires: 600", "")
        .await;
    assert_eq!(told(&bob.notify().await), (true, 0, vec![]));
    rig.owner.hang_up();
    rig.owner.set_watchers("bob", &["amy"]);
    let came = vec!["+sip:amy@example.test".to_owned()];
    assert_eq!(told(&bob.notify().await), (false, 1, came));
}
