//! How much a service does at once, and for how long.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rpc::{Error, ErrorCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::metadata::MetadataMap;
use tonic::{Response, Status};

use crate::codec::error::status;
use crate::counters::ServerCounters;

/// Deadline of a call whose caller set none.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);
/// Longest deadline a caller can set.
pub const MAX_DEADLINE: Duration = Duration::from_secs(60);
/// Calls one service works on at once; one more is refused as too many.
pub const CALLS_PER_SERVICE: usize = 512;
/// Items of streams one service works on at once; one more is refused as too many. They have places of their own: what clients
/// do is not refused because members ask for much.
pub const ITEMS_PER_SERVICE: usize = 4_096;
/// Streams of changes one service keeps up at once.
pub const WATCHERS_PER_SERVICE: usize = 1_024;
/// When a refused caller may try again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The calls of one service that are being worked on.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    calls: Arc<Semaphore>,
    items: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    counters: Arc<ServerCounters>,
}

impl Work {
    /// Work whose tasks belong to `tasks` and whose streams end with `stop`.
    pub(crate) fn new(tasks: TaskTracker, stop: CancellationToken, counters: Arc<ServerCounters>) -> Self {
        Work {
            calls: Arc::new(Semaphore::new(CALLS_PER_SERVICE)),
            items: Arc::new(Semaphore::new(ITEMS_PER_SERVICE)),
            watchers: Arc::new(Semaphore::new(WATCHERS_PER_SERVICE)),
            tasks,
            stop,
            counters,
        }
    }

    fn enter(&self, of: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(of).try_acquire_owned().map_err(|_| {
            self.counters.too_many_calls.add();
            let error = Error::new(ErrorCode::TooMany, "this member works on too many calls");
            error.retry_after(RETRY_AFTER)
        })
    }

    /// Works on a call that changes nothing: it is dropped when its deadline passes or its caller goes.
    pub(crate) async fn read<T>(
        &self,
        deadline: Duration,
        work: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<Response<T>, Status> {
        let _place = self.enter(&self.calls).map_err(|error| status(&error))?;
        match timeout(deadline, work).await {
            Ok(result) => result.map(Response::new).map_err(|error| status(&error)),
            Err(_) => Err(status(&self.too_late(deadline))),
        }
    }

    /// Works on a call that changes something. What began is finished, in a task of its own that keeps its place, even when
    /// the deadline passes or the caller goes: half a change would be worse than one nobody waits for.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        deadline: Duration,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let place = self.enter(&self.calls).map_err(|error| status(&error))?;
        let work = telemetry::trace::carry(Box::pin(work));
        let task = self.tasks.spawn(async move {
            let _place = place;
            work.await
        });
        match timeout(deadline, task).await {
            Ok(Ok(result)) => result.map(Response::new).map_err(|error| status(&error)),
            Ok(Err(panicked)) => {
                tracing::error!(error = %panicked, "a call of another member failed");
                Err(status(&Error::new(ErrorCode::Internal, "the call failed")))
            }
            Err(_) => Err(status(&self.too_late(deadline))),
        }
    }

    /// A place for an item of a stream.
    pub(crate) fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.enter(&self.items)
    }

    /// Works on an item of a stream that changes something, and hands its result to `answer`: by the deadline, that there is
    /// none yet. What began is finished even so; it keeps its place until then.
    pub(crate) async fn item<T>(
        &self,
        place: OwnedSemaphorePermit,
        deadline: Duration,
        work: impl Future<Output = Result<T, Error>>,
        answer: impl AsyncFnOnce(Result<T, Error>),
    ) {
        let _place = place;
        let mut work = pin!(work);
        match timeout(deadline, work.as_mut()).await {
            Ok(result) => answer(result).await,
            Err(_) => {
                // Whoever does not read answers does not hold up the work.
                let (_nobody_waits, ()) = tokio::join!(work, answer(Err(self.too_late(deadline))));
            }
        }
    }

    /// A place for a stream that stays.
    pub(crate) fn watcher(&self) -> Result<OwnedSemaphorePermit, Status> {
        self.enter(&self.watchers).map_err(|error| status(&error))
    }

    fn too_late(&self, deadline: Duration) -> Error {
        self.counters.deadlines_passed.add();
        let text = format!("the call took longer than {} ms", deadline.as_millis());
        Error::new(ErrorCode::Timeout, text)
    }
}

/// How long a call may take: what its caller says (`grpc-timeout`), else the default.
pub(crate) fn deadline(metadata: &MetadataMap) -> Duration {
    let told = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok());
    told.and_then(parse)
        .map_or(DEFAULT_DEADLINE, |told| told.min(MAX_DEADLINE))
}

/// At most eight digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let plain = !digits.is_empty() && digits.len() <= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| plain)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_read_capped_and_never_missing() {
        let of = |text: &'static str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", tonic::metadata::MetadataValue::from_static(text));
            deadline(&metadata)
        };
        assert_eq!(of("1500m"), Duration::from_millis(1_500));
        assert_eq!(of("3S"), Duration::from_secs(3));
        assert_eq!(of("99999999H"), MAX_DEADLINE);
        assert_eq!(of("1n"), Duration::from_nanos(1));
        for odd in ["", "S", "5", "+5S", "123456789S", "5 S", "5x", "-1S"] {
            assert_eq!(of(odd), DEFAULT_DEADLINE, "{odd}");
        }
        assert_eq!(deadline(&MetadataMap::new()), DEFAULT_DEADLINE);
    }

    #[tokio::test]
    async fn one_call_too_many_is_refused_and_says_when_to_try_again() {
        let counters = Arc::new(ServerCounters::default());
        let work = Work::new(TaskTracker::new(), CancellationToken::new(), counters.clone());
        let places: Vec<_> = (0..CALLS_PER_SERVICE)
            .map(|_| work.enter(&work.calls).unwrap())
            .collect();
        let call = || work.read(DEFAULT_DEADLINE, async { Ok(()) });
        let refused = crate::codec::error::error(&call().await.unwrap_err());
        assert_eq!(
            (refused.code, refused.retry_after),
            (ErrorCode::TooMany, Some(RETRY_AFTER))
        );
        assert_eq!(counters.snapshot().too_many_calls, 1);
        assert!(work.place().is_ok(), "items have places of their own");
        drop(places);
        assert!(call().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_ends_with_its_deadline_and_a_write_goes_on() {
        let counters = Arc::new(ServerCounters::default());
        let work = Work::new(TaskTracker::new(), CancellationToken::new(), counters.clone());
        let done = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let slow = |done: Arc<std::sync::atomic::AtomicU32>| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(())
        };
        let short = Duration::from_millis(10);
        for result in [
            work.read(short, slow(done.clone())).await,
            work.write(short, slow(done.clone())).await,
        ] {
            let error = crate::codec::error::error(&result.unwrap_err());
            assert_eq!(error.code, ErrorCode::Timeout);
        }
        assert_eq!(
            work.calls.available_permits(),
            CALLS_PER_SERVICE - 1,
            "the write keeps its place"
        );
        work.tasks.close();
        work.tasks.wait().await;
        assert_eq!(
            done.load(std::sync::atomic::Ordering::Relaxed),
            1,
            "the write only"
        );
        assert_eq!(work.calls.available_permits(), CALLS_PER_SERVICE);
        assert_eq!(counters.snapshot().deadlines_passed, 2);
    }
}
