use rpc::{Directory, ErrorCode, NewAccount};
use store::AuditStore;
use tokio_stream::StreamExt;

use super::*;
use crate::testing::{Fixture, aor};

fn sales() -> NewGroup {
    NewGroup {
        address: aor("sales"),
        display_name: String::new(),
    }
}

fn adding(members: &[AddressOfRecord]) -> GroupChange {
    GroupChange {
        add: members.to_vec(),
        ..GroupChange::default()
    }
}

async fn code<T: std::fmt::Debug>(result: impl Future<Output = Result<T, Error>>) -> ErrorCode {
    result.await.unwrap_err().code
}

impl Fixture {
    /// The groups of which changes were announced, until none is waiting.
    async fn changed_groups(&mut self) -> Vec<Option<AddressOfRecord>> {
        let mut groups = Vec::new();
        while let Ok(Some(change)) =
            tokio::time::timeout(std::time::Duration::from_millis(10), self.changes.next()).await
        {
            if let RegistrarChange::Group(group) = change {
                groups.push(group);
            }
        }
        groups
    }
}

#[tokio::test]
async fn a_group_lives_from_create_to_delete_and_each_change_is_announced_and_written_down() {
    let mut fixture = Fixture::new().await;
    let service = fixture.service.clone();
    let made = service.create_group(sales()).await.unwrap();
    assert_eq!((&made.display_name[..], made.size), ("sales", 0));
    assert_eq!(made.created_at, 1_800_000_000);
    let stranger = AddressOfRecord::parse("zoe@partner.test").unwrap();
    let change = GroupChange {
        display_name: Some("Sales".into()),
        ..adding(&[aor("bob"), stranger.clone(), aor("alice")])
    };
    let changed = service.change_group(&aor("sales"), change).await.unwrap();
    assert_eq!((&changed.display_name[..], changed.size), ("Sales", 3));
    let (shown, members) = service.group(&aor("sales")).await.unwrap().unwrap();
    assert_eq!(shown, changed);
    assert_eq!(members, [aor("alice"), aor("bob"), stranger.clone()]);
    service.delete_account(&aor("bob")).await.unwrap();
    assert_eq!(service.groups(None, 10).await.unwrap()[0].size, 2);
    service.delete_group(&aor("sales")).await.unwrap();
    assert_eq!(service.group(&aor("sales")).await.unwrap(), None);
    assert_eq!(
        code(service.delete_group(&aor("sales"))).await,
        ErrorCode::NotFound
    );
    let announced = fixture.changed_groups().await;
    assert_eq!(announced, vec![Some(aor("sales")); 4]);

    let audit = fixture.directory.audit(10).await.unwrap();
    let entries = audit.iter().map(|entry| (&entry.action[..], &entry.detail[..]));
    let entries: Vec<_> = entries
        .filter(|(action, _)| action.starts_with("group"))
        .collect();
    let members = "display name Sales, +bob@example.test, +zoe@partner.test, +alice@example.test";
    assert_eq!(
        entries,
        [("group.delete", ""), ("group.set", members), ("group.create", "")]
    );
}

#[tokio::test]
async fn an_address_is_that_of_an_account_or_of_a_group() {
    let fixture = Fixture::new().await;
    let service = &fixture.service;
    let of = |address| NewGroup { address, ..sales() };
    assert_eq!(
        code(service.create_group(of(aor("alice")))).await,
        ErrorCode::Conflict
    );
    service.create_group(sales()).await.unwrap();
    assert_eq!(code(service.create_group(sales())).await, ErrorCode::Conflict);
    let account = NewAccount {
        aor: aor("sales"),
        display_name: String::new(),
        site: String::new(),
        password: "secret".into(),
        ntlm: false,
    };
    assert_eq!(code(service.create_account(account)).await, ErrorCode::Conflict);
    let elsewhere = of(AddressOfRecord::parse("sales@elsewhere.test").unwrap());
    assert_eq!(
        code(service.create_group(elsewhere)).await,
        ErrorCode::InvalidRequest
    );
}

#[tokio::test]
async fn members_are_people_and_a_thousand_at_most() {
    let fixture = Fixture::new().await;
    let service = &fixture.service;
    service.create_group(sales()).await.unwrap();
    let board = NewGroup {
        address: aor("board"),
        ..sales()
    };
    service.create_group(board).await.unwrap();
    let add = |members: Vec<AddressOfRecord>| async move {
        service.change_group(&aor("sales"), adding(&members)).await
    };
    assert_eq!(
        code(add(vec![aor("alice"), aor("nobody")])).await,
        ErrorCode::NotFound
    );
    assert_eq!(code(add(vec![aor("board")])).await, ErrorCode::InvalidRequest);
    assert_eq!(
        code(service.change_group(&aor("nobody"), adding(&[]))).await,
        ErrorCode::NotFound
    );
    let strangers = |count: u32| {
        let one = |number| AddressOfRecord::parse(&format!("u{number}@partner.test")).unwrap();
        (0..count).map(one).collect::<Vec<_>>()
    };
    assert_eq!(
        code(add(strangers(MAX_MEMBERS + 1))).await,
        ErrorCode::InvalidRequest
    );
    assert_eq!(service.groups(None, 1).await.unwrap()[0].size, 0);
    assert_eq!(add(strangers(MAX_MEMBERS)).await.unwrap().size, MAX_MEMBERS);
    assert_eq!(code(add(vec![aor("alice")])).await, ErrorCode::InvalidRequest);
    let audit = fixture.directory.audit(1).await.unwrap();
    assert!(audit[0].detail.ends_with("and 980 more"), "{}", audit[0].detail);
}
