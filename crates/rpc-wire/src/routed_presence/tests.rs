//! What is asked again, and how often. Time is virtual.

use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::*;
use crate::test_owner::{Owner, owner};

/// This member owns everything.
struct Routes(watch::Sender<u64>);

impl OwnerRoutes for Routes {
    fn owner(&self, _: Partition) -> Option<PartitionOwner> {
        let owner = self.members().remove(0);
        Some(PartitionOwner { owner, epoch: 1 })
    }

    fn members(&self) -> Vec<OwnerMember> {
        vec![OwnerMember {
            member: MemberId::new("m1"),
            incarnation: 1,
            address: None,
            is_self: true,
        }]
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

fn user(number: usize) -> AddressOfRecord {
    AddressOfRecord::parse(&format!("u{number}@example.test")).unwrap()
}

fn router(owner: Owner) -> (RoutedPresence, Arc<Owner>, Arc<Routes>) {
    let (owner, routes) = (Arc::new(owner), Arc::new(Routes(watch::Sender::new(0))));
    let router = RoutedPresence::new(
        routes.clone(),
        Some(PresenceClient::local(owner.clone())),
        Arc::new(|_| Err(unavailable("nobody else is there"))),
        TaskTracker::new(),
        CancellationToken::new(),
    );
    (router, owner, routes)
}

#[tokio::test(start_paused = true)]
async fn an_owner_is_looked_for_ever_more_seldom_and_at_once_when_there_is_another() {
    let (router, owner, routes) = router(owner(Some(ErrorCode::Unavailable)));
    let began = Instant::now();
    let error = router.own(&user(0)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert!((PATIENCE..PATIENCE + AGAIN_MAX).contains(&began.elapsed()));
    let asked = owner.asked.swap(0, Ordering::SeqCst);
    assert!((10..20).contains(&asked), "{asked}");

    let began = Instant::now();
    let changes = async {
        tokio::time::sleep(Duration::from_millis(5_050)).await;
        *owner.error.lock() = None;
        routes.0.send_modify(|count| *count += 1);
    };
    let user = user(0);
    let (answer, ()) = tokio::join!(router.own(&user), changes);
    assert_eq!(answer.unwrap(), None);
    assert_eq!(began.elapsed(), Duration::from_millis(5_050));
}

#[tokio::test(start_paused = true)]
async fn what_failed_for_another_reason_is_not_asked_again() {
    for code in [ErrorCode::Timeout, ErrorCode::Internal, ErrorCode::TooMany] {
        let (router, owner, _routes) = router(owner(Some(code)));
        assert_eq!(router.own(&user(0)).await.unwrap_err().code, code);
        assert_eq!(owner.asked.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_to_a_follow_that_are_cut_short_are_asked_for_until_the_first_that_fails() {
    let follow: Vec<Follow> = (0..5)
        .map(|number| Follow {
            presentity: user(number),
            own: false,
        })
        .collect();
    let member = MemberId::new("fe1");
    // Which one fails, how many are answered, and how often the owner is asked.
    for (fails, answered, asked) in [(None, 5, 3), (Some(3), 3, 3), (Some(0), 0, 1)] {
        let (router, owner, _routes) = router(Owner {
            room: 2,
            fails: fails.map(user),
            ..owner(None)
        });
        match router.follow(&member, follow.clone()).await {
            Ok(answers) => assert_eq!(answers.len(), answered),
            Err(error) => assert_eq!((error.code, answered), (ErrorCode::Timeout, 0)),
        }
        assert_eq!(owner.asked.load(Ordering::SeqCst), asked, "{fails:?}");
    }
}
