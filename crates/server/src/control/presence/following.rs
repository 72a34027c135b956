//! Following one user as a front end does: for a moment, or for as long as somebody reads.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use rpc::Error;
use rpc::presence::{Follow, PresenceDocument, PresenceNews};
use sip_types::AddressOfRecord;
use tokio::sync::mpsc;
use topology::{MemberId, Partition};

use super::{Presences, Refusal, not_found, shown};

/// Lines that wait for the reader; with more no further news are taken, and the owner's newest document waits instead.
const WAITING: usize = 16;

/// The stream of news as a client gives it.
type News = std::pin::Pin<Box<dyn futures_util::Stream<Item = PresenceNews> + Send>>;

/// One user who is followed.
pub(super) struct Following {
    presences: Arc<Presences>,
    follower: MemberId,
    user: AddressOfRecord,
    news: News,
    /// The newest document there is.
    document: Arc<PresenceDocument>,
}

/// The present document of a user.
pub(super) async fn once(
    presences: &Arc<Presences>,
    user: &AddressOfRecord,
) -> Result<Arc<PresenceDocument>, Refusal> {
    let following = Following::begin(presences, user).await?;
    let document = following.document.clone();
    following.end().await;
    Ok(document)
}

impl Following {
    /// Begins to follow a user.
    pub(super) async fn begin(presences: &Arc<Presences>, user: &AddressOfRecord) -> Result<Self, Refusal> {
        let follower = presences.follower();
        let news = presences.client.news(&follower).await?.boxed();
        let document = follow(presences, &follower, user).await?;
        Ok(Following {
            presences: Arc::clone(presences),
            follower,
            user: user.clone(),
            news,
            document: document.ok_or_else(|| not_found("user", user))?,
        })
    }

    /// The owner forgets this follower. Where it cannot be told, it notices with the next news that nobody reads them.
    async fn end(self) {
        let unfollowed = self
            .presences
            .client
            .unfollow(&self.follower, vec![self.user])
            .await;
        if let Err(error) = unfollowed {
            tracing::debug!(%error, "the end of a look at presence was not told to its owner");
        }
    }

    /// What a watcher sees, now and after every change of it, as lines of JSON. They end with their reader and with the
    /// server.
    pub(super) fn lines(mut self, watcher: Option<AddressOfRecord>) -> mpsc::Receiver<Bytes> {
        let (lines, receiver) = mpsc::channel(WAITING);
        let presences = Arc::clone(&self.presences);
        presences.tasks.clone().spawn(async move {
            tokio::select! {
                () = presences.stop.cancelled() => {}
                () = lines.closed() => {}
                ended = self.write(watcher.as_ref(), &lines) => if let Err(error) = ended {
                    tracing::info!(%error, "the presence of somebody is not told any more to who watches it by the control socket");
                },
            }
            self.end().await;
        });
        receiver
    }

    async fn write(
        &mut self,
        watcher: Option<&AddressOfRecord>,
        lines: &mpsc::Sender<Bytes>,
    ) -> Result<(), Error> {
        let mut before = None;
        loop {
            let seen = shown::shown(&self.presences, &self.document, watcher);
            if before.as_ref() != Some(&seen) {
                if lines.send(line(&seen)?).await.is_err() {
                    return Ok(());
                }
                before = Some(seen);
            }
            self.next().await?;
        }
    }

    /// Waits for a newer document.
    async fn next(&mut self) -> Result<(), Error> {
        loop {
            let newest = match self.news.next().await {
                Some(PresenceNews::Document(document)) if document.presentity == self.user => Some(document),
                Some(PresenceNews::Lost(partition))
                    if partition == Partition::of_user(self.user.as_str()) =>
                {
                    follow(&self.presences, &self.follower, &self.user).await?
                }
                Some(_) => None,
                // The owner ended it: the reader was slow.
                None => {
                    self.news = self.presences.client.news(&self.follower).await?.boxed();
                    follow(&self.presences, &self.follower, &self.user).await?
                }
            };
            if let Some(newest) = newest.filter(|newest| newest.version > self.document.version) {
                self.document = newest;
                return Ok(());
            }
        }
    }
}

/// Follows, or follows again. `None`: no such user.
async fn follow(
    presences: &Presences,
    follower: &MemberId,
    user: &AddressOfRecord,
) -> Result<Option<Arc<PresenceDocument>>, Error> {
    let wish = Follow {
        presentity: user.clone(),
        own: false,
    };
    let answers = presences.client.follow(follower, vec![wish]).await?;
    Ok(answers.into_iter().next().and_then(Result::ok))
}

fn line(seen: &super::api::Presence) -> Result<Bytes, Error> {
    let mut line = serde_json::to_vec(seen)
        .map_err(|error| Error::new(rpc::ErrorCode::Internal, format!("presence as JSON: {error}")))?;
    line.push(b'\n');
    Ok(Bytes::from(line))
}
