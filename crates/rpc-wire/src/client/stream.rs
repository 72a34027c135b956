//! Streams that a member of the pool sends batches on: of changes from a registrar, of news from an owner of presence.

use rpc::{Error, ErrorCode};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Response, Status, Streaming};

use super::Caller;
use crate::codec::Malformed;
use crate::codec::error::error;

/// Items that wait for a receiver here. More wait where they come from, which knows best what of them may be left out.
const LAG: usize = 1_024;

/// Reads streams in tasks of its own.
#[derive(Clone)]
pub(super) struct StreamReader {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl StreamReader {
    /// With tasks of `tasks`, which end with `stop`.
    pub(super) fn new(tasks: TaskTracker, stop: CancellationToken) -> Self {
        StreamReader { tasks, stop }
    }

    /// The items of a stream, which stands when its first batch is there. `items` takes a batch apart; what a later version
    /// added and this one does not know is `None`. Whoever holds the receiver sees the end of its stream: when the other side
    /// ends it, and when an item is malformed.
    ///
    /// # Errors
    /// Why the stream could not be opened within the deadline of `caller`.
    pub(super) async fn open<M, T, I>(
        &self,
        caller: Caller,
        what: &'static str,
        call: impl Future<Output = Result<Response<Streaming<M>>, Status>>,
        items: fn(M) -> I,
    ) -> Result<ReceiverStream<T>, Error>
    where
        M: Send + 'static,
        T: Send + 'static,
        I: Iterator<Item = Result<Option<T>, Malformed>> + Send + 'static,
    {
        let open = async {
            let mut stream = call.await?.into_inner();
            let first = stream.message().await?;
            Ok((stream, first))
        };
        let (stream, first) = match timeout(caller.deadline, open).await {
            Ok(opened) => opened.map_err(|status| error(&status))?,
            Err(_) => return Err(caller.too_late()),
        };
        let ended = || {
            Error::new(
                ErrorCode::Unavailable,
                format!("a stream of {what} ended at once"),
            )
        };
        let first = first.ok_or_else(ended)?;
        let (sender, receiver) = mpsc::channel(LAG);
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let why = tokio::select! {
                why = pass_on(stream, first, items, &sender) => why,
                () = stop.cancelled() => return,
                () = sender.closed() => return,
            };
            tracing::info!(of = what, reason = why, "a stream from another member ended");
        });
        Ok(ReceiverStream::new(receiver))
    }
}

/// Passes items on until there are no more, or none that can be trusted; says why.
async fn pass_on<M, T, I>(
    mut stream: Streaming<M>,
    first: M,
    items: fn(M) -> I,
    sender: &mpsc::Sender<T>,
) -> String
where
    I: Iterator<Item = Result<Option<T>, Malformed>>,
{
    let mut batch = first;
    loop {
        for item in items(batch) {
            match item {
                Ok(None) => {}
                Ok(Some(item)) => {
                    if sender.send(item).await.is_err() {
                        return "its receiver is gone".to_owned();
                    }
                }
                Err(malformed) => return malformed.to_string(),
            }
        }
        batch = match stream.message().await {
            Ok(Some(batch)) => batch,
            Ok(None) => return "the other member closed it".to_owned(),
            Err(status) => return error(&status).message,
        };
    }
}
