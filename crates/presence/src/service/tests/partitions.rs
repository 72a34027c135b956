//! Whose presentities are whose.

use std::sync::atomic::AtomicBool;

use rpc::NoFence;
use rpc::presence::{MemberChanges, Publish};

use super::fakes::next;
use super::*;

/// A fence that can be raised.
#[derive(Default)]
struct Raised(AtomicBool);

impl Fence for Raised {
    fn is_valid(&self) -> bool {
        !self.0.load(Ordering::SeqCst)
    }
}

fn of_alice() -> Partition {
    Partition::of_user("alice@example.test")
}

fn publish(change: PublishOne) -> Publish {
    Publish {
        user: aor("alice"),
        endpoint: Some(EndpointId::new("e1")),
        changes: vec![change],
    }
}

/// Who does not own the user has done nothing and says so.
async fn is_refused(owner: &PresenceService, change: PublishOne) {
    let refused = owner.publish(publish(change)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unavailable);
    assert_eq!(
        owner.own(&aor("alice")).await.unwrap_err().code,
        ErrorCode::Unavailable
    );
}

#[tokio::test(start_paused = true)]
async fn a_member_speaks_for_the_users_of_its_partitions_only_and_while_it_is_not_fenced() {
    let fixture = Fixture::new().await;
    let fence = Arc::new(Raised::default());
    let owner = fixture.in_pool(fence.clone());
    is_refused(&owner, machine(Availability::AVAILABLE)).await;
    owner.take(of_alice(), 7).await.unwrap();
    let published = owner.publish(publish(machine(Availability::AVAILABLE))).await;
    let published = published.unwrap().unwrap();
    assert_eq!(published.own.version.epoch, 7);
    let bob = owner.own(&aor("bob")).await.unwrap_err();
    assert_eq!(bob.code, ErrorCode::Unavailable);
    fence.0.store(true, Ordering::SeqCst);
    is_refused(&owner, machine(Availability::BUSY)).await;
    fence.0.store(false, Ordering::SeqCst);
    assert!(owner.own(&aor("alice")).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_goes_to_the_next_owner_and_its_documents_are_newer() {
    let fixture = Fixture::new().await;
    let (first, second) = (
        fixture.in_pool(Arc::new(NoFence)),
        fixture.in_pool(Arc::new(NoFence)),
    );
    first.take(of_alice(), 1).await.unwrap();
    let chosen = PublishOne::Set {
        key: PublicationKey {
            category: category::STATE.into(),
            instance: 0x2000_0000,
            container: 2,
        },
        known: Some(0),
        lifetime: Lifetime {
            bound: Bound::Static,
            expires: None,
        },
        content: PublicationContent::States([StateInput::new(Source::User, Availability::BUSY)].into()),
        kept: None,
    };
    for change in [chosen, machine(Availability::AVAILABLE)] {
        first.publish(publish(change)).await.unwrap().unwrap();
    }
    let before = first.own(&aor("alice")).await.unwrap().unwrap();
    first.give(of_alice()).await;
    is_refused(&first, machine(Availability::AVAILABLE)).await;
    assert_eq!(first.snapshot().presentities, 0);

    second.take(of_alice(), 2).await.unwrap();
    let after = second.own(&aor("alice")).await.unwrap().unwrap();
    assert!(after.version > before.version, "{:?}", after.version);
    let names = after.publications.iter();
    let names: Vec<_> = names.map(|one| (one.lifetime.bound, one.version)).collect();
    assert_eq!(names, [(Bound::Endpoint, 1), (Bound::Static, 1)]);

    second.lost(of_alice());
    is_refused(&second, machine(Availability::AVAILABLE)).await;
    assert_eq!(second.snapshot().presentities, 0);
}

#[tokio::test(start_paused = true)]
async fn front_ends_follow_again_in_a_partition_that_comes_back_under_the_same_epoch() {
    let fixture = Fixture::new().await;
    let owner = fixture.in_pool(Arc::new(NoFence));
    let member = MemberId::new("fe1");
    let mut news = owner.news(&member).await.unwrap();
    let follow = Follow {
        presentity: aor("alice"),
        own: false,
    };
    // A new epoch tells them by itself.
    for (epoch, is_told) in [(3, false), (3, true), (5, false)] {
        owner.take(of_alice(), epoch).await.unwrap();
        match next(&mut news).await {
            Some(PresenceNews::Lost(partition)) => assert!(is_told && partition == of_alice()),
            other => assert!(!is_told && other.is_none(), "{other:?}"),
        }
        owner
            .follow(&member, vec![follow.clone()])
            .await
            .unwrap()
            .remove(0)
            .unwrap();
        assert_eq!(owner.snapshot().presentities, 1);
        owner.give(of_alice()).await;
        assert_eq!(owner.snapshot().presentities, 0);
    }
    owner.take(of_alice(), 5).await.unwrap();
    owner
        .follow(&member, vec![follow])
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    owner.take(of_alice(), 6).await.unwrap();
    assert_eq!(
        owner.snapshot().presentities,
        0,
        "nobody is left of the time before"
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_stored_while_the_user_goes_to_another_member_is_not_accepted_here() {
    let fixture = Fixture::new().await;
    let owner = fixture.in_pool(Arc::new(NoFence));
    let chosen = set(
        category::STATE,
        None,
        Bound::Static,
        state(Source::User, Availability::BUSY),
    );
    let bob = ContainerMember::User(aor("bob"));
    let members = MemberChanges {
        containers: vec![(300, None, vec![MemberChange::Add(bob)])],
    };
    for change in 0..4 {
        owner.take(of_alice(), 1).await.unwrap();
        owner.own(&aor("alice")).await.unwrap().unwrap();
        let busy = fixture.store.busy.lock().await;
        let (service, chosen, members) = (owner.clone(), chosen.clone(), members.clone());
        let task = tokio::spawn(async move {
            let alice = aor("alice");
            match change {
                0 => service.publish(publish(chosen)).await.map(drop),
                1 => service.change_members(&alice, members).await.map(drop),
                2 => service.acknowledge(&alice, vec![aor("bob")]).await,
                _ => {
                    let group = ContactChange::AddGroup {
                        name: "Friends".to_owned(),
                        external_uri: String::new(),
                    };
                    service.change_contacts(&alice, None, group).await.map(drop)
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
        owner.lost(of_alice());
        drop(busy);
        assert_eq!(
            task.await.unwrap().unwrap_err().code,
            ErrorCode::Unavailable,
            "{change}"
        );
    }
}
