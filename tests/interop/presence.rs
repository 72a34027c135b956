//! Presence and contact lists with a real Lync-family client, and with a SIMPLE client beside it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use test_support::clients::Lyncdrive;

use crate::Pool;

/// How often two endpoints of one user change their status in turns, and how long they are watched after each for answers that
/// make them ask again and again.
const TURNS: [&str; 6] = ["busy", "away", "available", "busy", "away", "available"];
const QUIET: Duration = Duration::from_secs(30);

#[tokio::test]
async fn lyncdrive_signs_in_completely() -> Result<()> {
    let pool = Pool::start().await?;
    let amy = pool.user("amy").await?;
    let client = pool.lyncdrive(&amy, "desk").await?;
    pool.published(1).await?;
    for event in ["roaming_self", "roaming_contacts"] {
        let line = format!("portico_presence_subscription_active{{event=\"{event}\"}} 1");
        pool.counts(&line).await?;
    }
    pool.counts("portico_presence_services_total{operation=\"publish\",result=\"refused\"} 0")
        .await?;
    assert_eq!(client.quit().await?, 0);
    Ok(())
}

#[tokio::test]
async fn two_lyncdrives_see_status_and_note_of_each_other() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, dan) = (pool.user("amy").await?, pool.user("dan").await?);
    let mut one = pool.lyncdrive(&amy, "desk").await?;
    let mut two = pool.lyncdrive(&dan, "sofa").await?;
    pool.published(2).await?;
    one.command("add dan@example.test").await?;
    two.command("add amy@example.test").await?;
    one.sees("dan", "available").await?;
    two.sees("amy", "available").await?;
    one.command("status busy counting sheep").await?;
    two.sees_note("amy", "busy", "counting sheep").await?;
    two.command("status be-right-back").await?;
    one.sees("dan", "be-right-back").await?;
    ensure!(two.quit().await? == 0, "the end is not as it should be");
    one.sees("dan", "offline").await
}

#[tokio::test]
async fn a_contact_added_at_one_endpoint_appears_at_the_other() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, _) = (pool.user("amy").await?, pool.user("dan").await?);
    let mut one = pool.lyncdrive(&amy, "desk").await?;
    let mut two = pool.lyncdrive(&amy, "sofa").await?;
    pool.published(2).await?;
    one.command("add dan@example.test Friends").await?;
    two.event_about("buddy-added", "dan").await?;
    two.command("remove dan@example.test").await?;
    one.event_about("buddy-removed", "dan").await
}

#[tokio::test]
async fn groups_made_and_contacts_moved_at_one_endpoint_are_so_at_the_other_and_after_a_new_sign_in()
-> Result<()> {
    let pool = Pool::start().await?;
    let (amy, _) = (pool.user("amy").await?, pool.user("dan").await?);
    let mut one = pool.lyncdrive(&amy, "desk").await?;
    let two = pool.lyncdrive(&amy, "sofa").await?;
    pool.published(2).await?;
    one.command("add dan@example.test Friends").await?;
    two.event_about("buddy-added", "dan").await?;
    let list = pool.contacts_of("amy", "Friends").await?;
    ensure!(list.contains("dan@example.test"), "{list}");
    one.command("rename-group Friends Mates").await?;
    pool.contacts_of("amy", "Mates").await?;
    // Who signs in now sees it as it is.
    ensure!(two.quit().await? == 0, "not signed in any more");
    let mut two = pool.lyncdrive(&amy, "sofa").await?;
    pool.published(3).await?;
    let groups = test_support::eventually("the contact in its group", || async {
        Ok(grouped(&two, "Mates"))
    });
    groups.await?;
    two.command("remove dan@example.test").await?;
    one.event_about("buddy-removed", "dan").await
}

/// SIPE 1.25 dies of the news that another endpoint deleted a group.
#[tokio::test]
async fn a_group_deleted_at_one_endpoint_harms_no_other() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, _) = (pool.user("amy").await?, pool.user("dan").await?);
    let mut one = pool.lyncdrive(&amy, "desk").await?;
    let two = pool.lyncdrive(&amy, "sofa").await?;
    pool.published(2).await?;
    one.command("add dan@example.test Friends").await?;
    two.event_about("buddy-added", "dan").await?;
    one.command("remove dan@example.test").await?;
    two.event_about("buddy-removed", "dan").await?;
    one.command("delete-group Friends").await?;
    test_support::eventually("the group to be gone", || async {
        let list = pool
            .sandbox
            .ctl(&["user", "contacts", "amy@example.test"], "")
            .await?;
        Ok((!list.contains("Friends")).then_some(()))
    })
    .await?;
    one.command("add dan@example.test Mates").await?;
    two.event_about("buddy-added", "dan").await?;
    ensure!(two.quit().await? == 0, "not signed in any more");
    Ok(())
}

/// Whether dan was added in this group.
fn grouped(client: &Lyncdrive, group: &str) -> Option<()> {
    let added = client.events("buddy-added");
    let is_dan = |e: &serde_json::Value| e["who"] == "sip:dan@example.test" && e["group"] == group;
    added.iter().any(is_dan).then_some(())
}

#[tokio::test]
async fn an_access_level_set_in_lyncdrive_is_followed_by_the_other_side() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, dan) = (pool.user("amy").await?, pool.user("dan").await?);
    let mut one = pool.lyncdrive(&amy, "desk").await?;
    let mut two = pool.lyncdrive(&dan, "sofa").await?;
    pool.published(2).await?;
    one.command("add dan@example.test").await?;
    two.command("add amy@example.test").await?;
    two.sees("amy", "available").await?;
    one.command("level dan@example.test Blocked").await?;
    two.sees("amy", "offline").await?;
    one.command("level dan@example.test Team").await?;
    two.sees("amy", "available").await?;
    let levels = pool
        .sandbox
        .ctl(&["presence", "levels", "amy@example.test"], "")
        .await?;
    let line = levels.lines().find(|line| line.contains("dan@example.test"));
    ensure!(line.is_some_and(|line| line.contains("workgroup")), "{levels}");
    Ok(())
}

#[tokio::test]
async fn lyncdrive_sees_baresip_come_and_go() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, bea) = (pool.user("amy").await?, pool.user("bea").await?);
    let mut lyncdrive = pool.lyncdrive(&amy, "desk").await?;
    pool.published(1).await?;
    lyncdrive.command("add bea@example.test").await?;
    let mut baresip = pool.baresip_with_presence(&bea, &["amy"]).await?;
    lyncdrive.sees("bea", "available").await?;
    baresip.sees("amy", "Online").await?;
    lyncdrive.command("status invisible").await?;
    baresip.sees("amy", "Offline").await?;
    baresip.quit().await?;
    lyncdrive.sees("bea", "offline").await
}

/// The client knows nothing of such groups: the server shows the members in a group of contacts.
#[tokio::test]
async fn lyncdrive_sees_the_members_of_a_group() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, dan) = (pool.user("amy").await?, pool.user("dan").await?);
    let (bea, _) = (pool.user("bea").await?, pool.user("leo").await?);
    pool.group(&["dan"]).await?;
    let mut client = pool.lyncdrive(&amy, "desk").await?;
    pool.published(1).await?;
    client.command("add sales@example.test").await?;
    client.event_about("buddy-added", "dan").await?;
    client.event_about("buddy-removed", "sales").await?;
    let mut other = pool.lyncdrive(&dan, "sofa").await?;
    client.sees("dan", "available").await?;
    // Somebody comes into the group, and is seen without a new sign-in.
    pool.change_group("add", "bea").await?;
    client.event_about("buddy-added", "bea").await?;
    let baresip = pool.baresip_with_presence(&bea, &[]).await?;
    client.sees("bea", "available").await?;
    client.command("buddies").await?;
    client.event("buddies-done").await?;
    let buddies = client.events("buddy");
    for user in ["dan", "bea"] {
        let of_sales = |buddy: &&serde_json::Value| {
            let text = buddy.to_string();
            text.contains(&format!("{user}@example.test")) && text.contains("\"Sales\"")
        };
        ensure!(
            buddies.iter().any(|buddy| of_sales(&buddy)),
            "{user}: {buddies:?}"
        );
    }
    // What the user adds has a number that counts on.
    client.command("add leo@example.test Friends").await?;
    client.event_about("buddy-added", "leo").await?;
    pool.change_group("remove", "bea").await?;
    client.event_about("buddy-removed", "bea").await?;
    other.command("status be-right-back").await?;
    client.sees("dan", "be-right-back").await?;
    // Who is in it, and what it is called, is not the user's to say.
    client.command("remove dan@example.test").await?;
    client.event_about("buddy-added", "dan").await?;
    let rename = ["group", "set", "sales@example.test", "--display-name", "Sellers"];
    pool.sandbox.ctl(&rename, "").await?;
    test_support::within("the new name", async {
        loop {
            client.command("buddies").await?;
            client.event("buddies-done").await?;
            let of_sellers = |buddy: &serde_json::Value| buddy.to_string().contains("\"Sellers\"");
            if client.events("buddy").iter().any(of_sellers) {
                return anyhow::Ok(());
            }
        }
    })
    .await?;
    let leave = [
        "user",
        "contacts",
        "amy@example.test",
        "--remove",
        "sales@example.test",
    ];
    pool.sandbox.ctl(&leave, "").await?;
    client.event_about("buddy-removed", "dan").await?;
    baresip.quit().await?;
    ensure!(client.quit().await? == 0, "not signed in any more");
    Ok(())
}

/// By the form for a search and by "Get info", which asks for one person by the address.
#[tokio::test]
async fn lyncdrive_finds_people() -> Result<()> {
    let pool = Pool::start().await?;
    let amy = pool.user("amy").await?;
    for (user, name) in [("dan", "Dan Äpfel"), ("dana", "Dana Birne")] {
        pool.user(user).await?;
        let address = format!("{user}@example.test");
        pool.sandbox
            .ctl(&["user", "set", &address, "--display-name", name], "")
            .await?;
    }
    let mut client = pool.lyncdrive(&amy, "desk").await?;
    pool.published(1).await?;
    client.command("search given=dan").await?;
    let done = client.event("search-done").await?;
    assert_eq!(done["matches"], 2, "{done}");
    let found = client.events("search-result");
    let has = |text: &str| found.iter().any(|row| row.to_string().contains(text));
    for text in ["dan@example.test", "Dan Äpfel", "dana@example.test", "Dana Birne"] {
        ensure!(has(text), "{text} is not in {found:?}");
    }
    client.command("search given=dan surname=äpf").await?;
    assert_eq!(client.event("search-done").await?["matches"], 1);
    client.command("search surname=nobody").await?;
    let notice = client.event("notice").await?;
    ensure!(notice.to_string().contains("No contacts found"), "{notice}");
    client.command("info dan@example.test").await?;
    let info = client.event("user-info").await?;
    let text = info["text"].as_str().unwrap_or_default();
    ensure!(
        text.contains("Dan Äpfel") && text.contains("dan@example.test"),
        "{info}"
    );
    assert_eq!(client.quit().await?, 0);
    Ok(())
}

/// SIPE 1.25 publishes again at once when it is told of a conflict, for ever if it does not know what it collides with.
#[tokio::test]
async fn two_endpoints_of_one_user_make_no_storm_of_conflicts() -> Result<()> {
    let pool = Pool::start().await?;
    let amy = pool.user("amy").await?;
    let mut one = pool.lyncdrive(&amy, "desk").await?;
    let mut two = pool.lyncdrive(&amy, "sofa").await?;
    pool.published(2).await?;
    for status in TURNS {
        one.command(&format!("status {status}")).await?;
        two.shows_itself(status).await?;
        let until = Instant::now() + QUIET;
        while Instant::now() < until {
            let refused = pool.refused_publications().await?;
            ensure!(refused < 20, "{refused} publications were refused");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        std::mem::swap(&mut one, &mut two);
    }
    ensure!(
        one.quit().await? == 0 && two.quit().await? == 0,
        "not signed in any more"
    );
    Ok(())
}

impl Pool {
    /// Waits until the metrics have this line.
    async fn counts(&self, line: &str) -> Result<()> {
        test_support::eventually(line, || async {
            let page = self.sandbox.page("/metrics").await?;
            Ok(page.lines().any(|found| found == line).then_some(()))
        })
        .await
    }

    /// Waits until the contact list of a user names this group; returns what the control tool says of it.
    async fn contacts_of(&self, user: &str, group: &str) -> Result<String> {
        let address = format!("{user}@example.test");
        let what = format!("{group} in the contact list of {user}");
        test_support::eventually(&what, || async {
            let list = self.sandbox.ctl(&["user", "contacts", &address], "").await?;
            Ok(list.contains(group).then_some(list))
        })
        .await
    }

    /// Makes the group of sales with these members.
    pub(crate) async fn group(&self, members: &[&str]) -> Result<()> {
        let sales = "sales@example.test";
        let create = ["group", "create", sales, "--display-name", "Sales"];
        self.sandbox.ctl(&create, "").await?;
        for member in members {
            self.change_group("add", member).await?;
        }
        Ok(())
    }

    /// Adds a member to the group, or removes one.
    pub(crate) async fn change_group(&self, verb: &str, member: &str) -> Result<()> {
        let member = format!("{member}@example.test");
        let change = ["group", verb, "sales@example.test", &member];
        self.sandbox.ctl(&change, "").await?;
        Ok(())
    }

    /// Waits until so many requests to publish were accepted: a Lync-family client that has signed in makes one.
    pub(crate) async fn published(&self, requests: u32) -> Result<()> {
        let name = "portico_presence_services_total";
        let labels = ["operation=\"publish\"", "result=\"done\""];
        test_support::eventually("clients to publish", || async {
            let done = self.sandbox.metric(name, &labels).await?;
            Ok((done >= f64::from(requests)).then_some(()))
        })
        .await
    }

    async fn refused_publications(&self) -> Result<u64> {
        let page = self.sandbox.page("/metrics").await?;
        let name = "portico_presence_services_total{operation=\"publish\",result=\"refused\"} ";
        let count = page.lines().find_map(|line| line.strip_prefix(name));
        Ok(count.unwrap_or("0").parse()?)
    }
}
