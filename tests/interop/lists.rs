//! Presence between real SIMPLE clients, in lists and by access level, and beside a Lync-family client.

use anyhow::{Result, ensure};
use test_support::{Dialect, Draft, Puppet};

use crate::Pool;

fn names(users: &[&str]) -> Vec<String> {
    users.iter().map(|user| (*user).to_owned()).collect()
}

fn publish(user: &mut Puppet) -> Draft {
    let uri = user.uri();
    let document = format!(
        "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"{uri}\">\
         <tuple id=\"t\"><status><basic>open</basic></status></tuple></presence>"
    );
    user.request("PUBLISH", &uri)
        .header("Event", "presence")
        .body("application/pidf+xml", document)
}

#[tokio::test]
async fn baresip_and_linphone_see_each_other_come_change_and_go() -> Result<()> {
    let pool = Pool::start().await?;
    let (bea, leo) = (pool.user("bea").await?, pool.user("leo").await?);
    let mut linphone = pool.linphone_list(&leo, &names(&["bea"])).await?;
    linphone.sees("bea", "offline").await?;
    let mut baresip = pool.baresip_with_presence(&bea, &["leo"]).await?;
    linphone.sees("bea", "online").await?;
    baresip.sees("leo", "Online").await?;
    // Linphone's busy is away with an open line, which baresip shows as offline.
    linphone.publish("busy counting sheep").await?;
    baresip.sees("leo", "Offline").await?;
    linphone.publish("online").await?;
    baresip.sees("leo", "Online").await?;
    linphone.publish("offline").await?;
    baresip.sees("leo", "Offline").await?;
    baresip.quit().await?;
    linphone.sees("bea", "offline").await?;
    linphone.quit().await
}

#[tokio::test]
async fn linphone_watches_eighty_contacts_in_one_list() -> Result<()> {
    let pool = Pool::start().await?;
    let mut people = Vec::new();
    let mut puppets = Vec::new();
    for number in 0..77 {
        let account = pool.user(&format!("p{number}")).await?;
        people.push(account.user.clone());
        // Every other one is there.
        if number % 2 == 0 {
            let mut puppet = pool.sandbox.endpoint(&account, Dialect::Simple).await?;
            let draft = publish(&mut puppet);
            ensure!(puppet.call(draft).await?.status() == Some(200), "not published");
            puppets.push(puppet);
        }
    }
    let (amy, bea, leo) = (
        pool.user("amy").await?,
        pool.user("bea").await?,
        pool.user("leo").await?,
    );
    people.extend(names(&["amy", "bea", "nobody"]));
    let linphone = pool.linphone_list(&leo, &people).await?;
    for (number, user) in people.iter().take(77).enumerate() {
        let status = if number % 2 == 0 { "online" } else { "offline" };
        linphone.sees(user, status).await?;
    }
    linphone.sees("amy", "offline").await?;
    let subscribed = ["event=\"presence_list\""];
    let active = pool
        .sandbox
        .metric("portico_presence_subscription_active", &subscribed)
        .await?;
    ensure!(active == 1.0, "{active} lists are watched");
    let mut lyncdrive = pool.lyncdrive(&amy, "desk").await?;
    linphone.sees("amy", "online").await?;
    let baresip = pool.baresip_with_presence(&bea, &[]).await?;
    linphone.sees("bea", "online").await?;
    lyncdrive.command("status be-right-back").await?;
    linphone.sees("amy", "busy").await?;
    baresip.quit().await?;
    linphone.sees("bea", "offline").await?;
    linphone.quit().await
}

#[tokio::test]
async fn linphone_watches_the_contact_list_the_server_keeps() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, leo) = (pool.user("amy").await?, pool.user("leo").await?);
    for (user, contact) in [(&leo, "amy"), (&leo, "bea")] {
        let (user, contact) = (
            format!("{}@example.test", user.user),
            format!("{contact}@example.test"),
        );
        if contact.starts_with("bea") {
            pool.user("bea").await?;
        }
        pool.sandbox
            .ctl(&["user", "contacts", &user, "--add", &contact], "")
            .await?;
    }
    let linphone = pool.linphone_list(&leo, &[]).await?;
    linphone.sees("amy", "offline").await?;
    linphone.sees("bea", "offline").await?;
    let lyncdrive = pool.lyncdrive(&amy, "desk").await?;
    linphone.sees("amy", "online").await?;
    ensure!(lyncdrive.quit().await? == 0, "the end is not as it should be");
    linphone.sees("amy", "offline").await?;
    linphone.quit().await
}

#[tokio::test]
async fn linphone_watches_the_members_of_a_group() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, leo) = (pool.user("amy").await?, pool.user("leo").await?);
    for user in ["bea", "dan"] {
        pool.user(user).await?;
    }
    pool.group(&["amy", "bea"]).await?;
    let contact = [
        "user",
        "contacts",
        "leo@example.test",
        "--add",
        "sales@example.test",
    ];
    pool.sandbox.ctl(&contact, "").await?;
    let linphone = pool.linphone_list(&leo, &[]).await?;
    linphone.sees("amy", "offline").await?;
    linphone.sees("bea", "offline").await?;
    let lyncdrive = pool.lyncdrive(&amy, "desk").await?;
    linphone.sees("amy", "online").await?;
    pool.change_group("add", "dan").await?;
    linphone.sees("dan", "offline").await?;
    ensure!(lyncdrive.quit().await? == 0, "the end is not as it should be");
    linphone.sees("amy", "offline").await?;
    linphone.quit().await
}

#[tokio::test]
async fn what_simple_clients_see_follows_the_access_level() -> Result<()> {
    let pool = Pool::start().await?;
    let amy = pool.user("amy").await?;
    let (bea, leo) = (pool.user("bea").await?, pool.user("leo").await?);
    let level = async |watcher: &str, level: &str| {
        let rule = format!("{watcher}@example.test={level}");
        pool.sandbox
            .ctl(&["presence", "set", "amy@example.test", "--level", &rule], "")
            .await
    };
    level("leo", "workgroup").await?;
    let mut lyncdrive = pool.lyncdrive(&amy, "desk").await?;
    lyncdrive.command("status busy counting sheep").await?;
    let linphone = pool.linphone_list(&leo, &names(&["amy"])).await?;
    let mut baresip = pool.baresip_with_presence(&bea, &["amy"]).await?;
    // A colleague and somebody of the workgroup see state and note.
    linphone.sees_note("amy", "counting sheep").await?;
    baresip.sees("amy", "Busy").await?;
    // An external watcher sees less: the state, and no note.
    level("leo", "external").await?;
    let seen = linphone.sees("amy", "busy").await?;
    ensure!(seen["note"].is_null(), "{seen}");
    // A blocked one sees nobody there, and everything again afterwards.
    level("leo", "blocked").await?;
    level("bea", "blocked").await?;
    linphone.sees("amy", "offline").await?;
    baresip.sees("amy", "Offline").await?;
    level("leo", "colleagues").await?;
    level("bea", "colleagues").await?;
    linphone.sees_note("amy", "counting sheep").await?;
    baresip.sees("amy", "Busy").await?;
    linphone.quit().await
}

#[tokio::test]
async fn a_meeting_of_the_calendar_shows_on_lync_family_and_simple_clients() -> Result<()> {
    let pool = Pool::start().await?;
    let (amy, dan) = (pool.user("amy").await?, pool.user("dan").await?);
    let (bea, leo) = (pool.user("bea").await?, pool.user("leo").await?);
    let _amy = pool.lyncdrive(&amy, "desk").await?;
    let mut dan = pool.lyncdrive(&dan, "sofa").await?;
    pool.published(2).await?;
    dan.command("add amy@example.test").await?;
    dan.command("add bea@example.test").await?;
    let linphone = pool.linphone_list(&leo, &names(&["amy", "bea"])).await?;
    let mut baresip = pool.baresip_with_presence(&bea, &["amy"]).await?;
    dan.sees("amy", "available").await?;
    linphone.sees("amy", "online").await?;
    dan.sees("bea", "available").await?;
    let meeting = async |user: &str| {
        let user = format!("{user}@example.test");
        pool.sandbox
            .ctl(
                &[
                    "presence",
                    "set",
                    &user,
                    "--calendar",
                    "busy",
                    "--until",
                    "2099-01-01T00:00:00Z",
                ],
                "",
            )
            .await
    };
    // Of a Lync-family user,
    meeting("amy").await?;
    dan.sees_note("amy", "busy", "meeting").await?;
    linphone.sees("amy", "busy").await?;
    baresip.sees("amy", "Busy").await?;
    // and of a SIMPLE user.
    meeting("bea").await?;
    dan.sees_note("bea", "busy", "meeting").await?;
    linphone.sees("bea", "busy").await?;
    baresip.quit().await
}
