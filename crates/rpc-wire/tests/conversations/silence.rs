//! Who never answers is waited for so long, and no longer. In virtual time, which stands still where there are sockets: so
//! through the codec.

use std::time::Duration;

use rpc::{ErrorCode, LegId, Typing};
use tokio::time::Instant;

use crate::probes::{OfFrontEnd, OfOwner};
use crate::rig::{Rig, Road};
use crate::words::{key, signal, submit, text};

/// How long something takes that ends with nothing but time.
async fn ends_in<T: std::fmt::Debug>(asking: impl Future<Output = Result<T, rpc::Error>>, limit: Duration) {
    let since = Instant::now();
    assert_eq!(asking.await.unwrap_err().code, ErrorCode::Timeout);
    let late = since.elapsed().saturating_sub(limit);
    assert!(
        since.elapsed() >= limit && late < Duration::from_millis(10),
        "{late:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_front_end_that_never_answers_is_given_up_after_five_seconds() {
    let rig = Rig::new(Road::Codec).await;
    let limit = Duration::from_secs(5);
    ends_in(rig.front_end.stop_ringing(LegId(1)), limit).await;
    ends_in(rig.front_end.end_leg(LegId(1)), limit).await;
    ends_in(
        rig.front_end.signal(signal(None, Typing::Idle), Vec::new()),
        limit,
    )
    .await;
    let mut unanswered = Vec::new();
    for _ in 0..3 {
        unanswered.push(rig.of_front_end.next().await);
    }
    // The stream stands: what is asked next is answered.
    drop(unanswered);
    let ending = async {
        let OfFrontEnd::EndLeg(leg, reply) = rig.of_front_end.next().await else {
            panic!("not the end of a leg");
        };
        assert_eq!(leg, LegId(2));
        reply.ok(());
    };
    let (answer, ()) = tokio::join!(rig.front_end.end_leg(LegId(2)), ending);
    answer.unwrap();
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_never_answers_is_waited_for_as_long_as_the_request_makes_sense() {
    let rig = Rig::new(Road::Codec).await;
    let control = Duration::from_secs(20);
    ends_in(rig.owner.cancel(&key(), LegId(1)), control).await;
    ends_in(rig.owner.leave(&key(), LegId(1)), control).await;
    let news = Duration::from_secs(3);
    ends_in(rig.owner.signal(signal(None, Typing::Idle)), news).await;
    for _ in 0..3 {
        rig.of_owner.next().await;
    }
    let answering = async {
        let OfOwner::Submit(_, reply) = rig.of_owner.next().await else {
            panic!("not a submit");
        };
        reply.ok(Ok(()));
    };
    let (answer, ()) = tokio::join!(rig.owner.submit(submit(text(1), None)), answering);
    assert_eq!(answer.unwrap(), Ok(()));
    rig.end().await;
}
