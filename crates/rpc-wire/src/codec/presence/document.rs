//! What front ends are told.

use std::sync::Arc;

use prost::Message;
use rpc::Error;
use rpc::presence::{
    FollowRefusal, LevelView, OwnData, PassedOn, PresenceDocument, PresenceNews, PresenceVersion,
    SeenWatcher, WatcherStatus,
};
use topology::{PARTITIONS, Partition};

use super::super::{Malformed, aor, named, required};
use super::access::{rules, rules_to_wire};
use super::availability;
use super::contacts::{contact_news, contact_news_to_wire};
use super::publication::{kept, kept_to_wire, publication, publication_to_wire};
use super::state::{activity, activity_to_wire, card, card_to_wire, note_to_wire, notes};
use crate::proto::presence::v1 as wire;

pub(super) fn version_to_wire(version: PresenceVersion) -> wire::PresenceVersion {
    wire::PresenceVersion {
        epoch: version.epoch,
        count: version.count,
    }
}

fn version(version: Option<wire::PresenceVersion>) -> Result<PresenceVersion, Malformed> {
    let version = required("version", version)?;
    Ok(PresenceVersion {
        epoch: version.epoch,
        count: version.count,
    })
}

fn view_to_wire(view: &LevelView) -> wire::LevelView {
    wire::LevelView {
        availability: view.availability.0.into(),
        activity: view.activity.as_ref().map(activity_to_wire),
        since_ms: view.since,
        last_active_s: view.last_active,
        location: view.location.clone(),
        meeting_subject: view.meeting_subject.clone(),
        notes: view.notes.iter().map(note_to_wire).collect(),
        card: Some(card_to_wire(&view.card)),
        passed_on: view
            .passed_on
            .iter()
            .map(|passed| wire::PassedOn {
                category: passed.category.to_string(),
                instance: passed.instance,
                published_at_ms: passed.published_at,
                kept: Some(kept_to_wire(&passed.kept)),
            })
            .collect(),
        documents: view.documents.iter().map(kept_to_wire).collect(),
    }
}

fn view(view: wire::LevelView) -> Result<Arc<LevelView>, Malformed> {
    let passed = |passed: wire::PassedOn| {
        named("passed_on.category", &passed.category)?;
        Ok(PassedOn {
            category: passed.category.into(),
            instance: passed.instance,
            published_at: passed.published_at_ms,
            kept: kept(required("passed_on.kept", passed.kept)?)?,
        })
    };
    Ok(Arc::new(LevelView {
        availability: availability("view.availability", view.availability)?,
        activity: view.activity.map(activity),
        since: view.since_ms,
        last_active: view.last_active_s,
        location: view.location,
        meeting_subject: view.meeting_subject,
        notes: notes(view.notes),
        card: Arc::new(card(required("view.card", view.card)?)),
        passed_on: view
            .passed_on
            .into_iter()
            .map(passed)
            .collect::<Result<_, Malformed>>()?,
        documents: view
            .documents
            .into_iter()
            .map(kept)
            .collect::<Result<_, Malformed>>()?,
    }))
}

/// The document of a presentity. Views that are the same are sent once.
pub fn document_to_wire(document: &PresenceDocument) -> wire::PresenceDocument {
    let mut views: Vec<&Arc<LevelView>> = Vec::new();
    let levels = document.views.iter().map(|view| {
        let known = views
            .iter()
            .position(|known| Arc::ptr_eq(known, view) || known == &view);
        let place = known.unwrap_or_else(|| {
            views.push(view);
            views.len() - 1
        });
        u32::try_from(place).unwrap_or(u32::MAX)
    });
    let levels = levels.collect();
    wire::PresenceDocument {
        presentity: document.presentity.as_str().to_owned(),
        version: Some(version_to_wire(document.version)),
        rules: Some(rules_to_wire(&document.rules)),
        views: views.into_iter().map(|view| view_to_wire(view)).collect(),
        levels,
    }
}

/// The document of a presentity.
///
/// # Errors
/// The field that is wrong.
pub fn document(document: wire::PresenceDocument) -> Result<PresenceDocument, Malformed> {
    let wrong = || Malformed::new("document.levels");
    let views: Vec<Arc<LevelView>> = document.views.into_iter().map(view).collect::<Result<_, _>>()?;
    let levels: Vec<Arc<LevelView>> = document
        .levels
        .iter()
        .map(|place| views.get(*place as usize).cloned().ok_or_else(wrong))
        .collect::<Result<_, _>>()?;
    Ok(PresenceDocument {
        presentity: aor("document.presentity", &document.presentity)?,
        version: version(document.version)?,
        rules: Arc::new(rules(required("document.rules", document.rules)?)?),
        views: levels.try_into().map_err(|_| wrong())?,
    })
}

fn watcher_to_wire(seen: &SeenWatcher) -> wire::SeenWatcher {
    let status = match seen.status {
        WatcherStatus::Active => wire::WatcherStatus::Active,
        WatcherStatus::Terminated => wire::WatcherStatus::Terminated,
    };
    wire::SeenWatcher {
        watcher: seen.watcher.as_str().to_owned(),
        display_name: seen.display_name.clone(),
        status: status.into(),
    }
}

/// Watchers.
pub fn watchers_to_wire(watchers: &[SeenWatcher]) -> Vec<wire::SeenWatcher> {
    watchers.iter().map(watcher_to_wire).collect()
}

/// Watchers.
///
/// # Errors
/// The field that is wrong.
pub fn watchers(watchers: Vec<wire::SeenWatcher>) -> Result<Vec<SeenWatcher>, Malformed> {
    let watcher = |seen: wire::SeenWatcher| {
        Ok(SeenWatcher {
            watcher: aor("watcher.watcher", &seen.watcher)?,
            status: match seen.status() {
                wire::WatcherStatus::Active => WatcherStatus::Active,
                wire::WatcherStatus::Terminated | wire::WatcherStatus::Unspecified => {
                    WatcherStatus::Terminated
                }
            },
            display_name: seen.display_name,
        })
    };
    watchers.into_iter().map(watcher).collect()
}

fn some_watchers_to_wire(some: Option<&Vec<SeenWatcher>>) -> Option<wire::Watchers> {
    some.map(|some| wire::Watchers {
        watchers: watchers_to_wire(some),
    })
}

/// Own data of a user.
pub fn own_to_wire(own: &OwnData) -> wire::OwnData {
    wire::OwnData {
        user: own.user.as_str().to_owned(),
        version: Some(version_to_wire(own.version)),
        categories: own.categories.as_ref().map(|names| wire::Categories {
            names: names.iter().map(ToString::to_string).collect(),
        }),
        publications: own
            .publications
            .iter()
            .map(|publication| publication_to_wire(publication))
            .collect(),
        rules: own.rules.as_deref().map(rules_to_wire),
        prompts: some_watchers_to_wire(own.prompts.as_ref()),
        watchers: some_watchers_to_wire(own.watchers.as_ref()),
    }
}

/// Own data of a user.
///
/// # Errors
/// The field that is wrong.
pub fn own(own: wire::OwnData) -> Result<OwnData, Malformed> {
    let some = |some: Option<wire::Watchers>| some.map(|some| watchers(some.watchers)).transpose();
    Ok(OwnData {
        user: aor("own.user", &own.user)?,
        version: version(own.version)?,
        categories: own
            .categories
            .map(|categories| categories.names.into_iter().map(Into::into).collect()),
        publications: own
            .publications
            .into_iter()
            .map(|one| publication(one).map(Arc::new))
            .collect::<Result<_, _>>()?,
        rules: own.rules.map(rules).transpose()?.map(Arc::new),
        prompts: some(own.prompts)?,
        watchers: some(own.watchers)?,
    })
}

/// The first answers to following, as many as fit into `room` bytes.
pub fn followed_to_wire(
    answers: &[Result<Arc<PresenceDocument>, FollowRefusal>],
    room: usize,
) -> wire::FollowResponse {
    let mut left = room;
    let answers = answers.iter().map_while(|answer| {
        let answer = wire::FollowAnswer {
            document: answer.as_ref().ok().map(|document| document_to_wire(document)),
        };
        left = left.checked_sub(repeated_len(&answer))?;
        Some(answer)
    });
    wire::FollowResponse {
        answers: answers.collect(),
    }
}

/// Bytes of a message as one of the repeated messages of field 1 to 15.
fn repeated_len(message: &impl Message) -> usize {
    let len = message.encoded_len();
    1 + prost::length_delimiter_len(len) + len
}

/// Answers to following, of the first questions: not more than were `asked`.
///
/// # Errors
/// The answer or field that is wrong.
pub fn followed(
    response: wire::FollowResponse,
    asked: usize,
) -> Result<Vec<Result<Arc<PresenceDocument>, FollowRefusal>>, Error> {
    if response.answers.len() > asked {
        return Err(Malformed::new("follow.answers").in_answer());
    }
    let answer = |answer: wire::FollowAnswer| match answer.document {
        None => Ok(Err(FollowRefusal::NoSuchUser)),
        Some(one) => Ok(Ok(Arc::new(document(one)?))),
    };
    let answers = response.answers.into_iter().map(answer);
    answers.collect::<Result<_, _>>().map_err(Malformed::in_answer)
}

/// News in order, in messages of at most `room` bytes. What does not fit into one alone is one all the same.
pub fn news_in_messages(news: &[PresenceNews], room: usize) -> Vec<wire::NewsResponse> {
    let mut messages: Vec<wire::NewsResponse> = Vec::new();
    let mut left = 0;
    for item in news.iter().map(news_to_wire) {
        let len = repeated_len(&item);
        match messages.last_mut() {
            Some(message) if len <= left => {
                message.items.push(item);
                left -= len;
            }
            _ => {
                messages.push(wire::NewsResponse { items: vec![item] });
                left = room.saturating_sub(len);
            }
        }
    }
    messages
}

/// One piece of news.
pub fn news_to_wire(news: &PresenceNews) -> wire::NewsItem {
    use wire::news_item::News;
    let news = match news {
        PresenceNews::Document(document) => News::Document(document_to_wire(document)),
        PresenceNews::Own(own) => News::Own(own_to_wire(own)),
        PresenceNews::Contacts(contacts) => News::Contacts(contact_news_to_wire(contacts)),
        PresenceNews::GroupsChanged(user) => News::GroupsChanged(user.as_str().to_owned()),
        PresenceNews::Lost(partition) => News::LostPartition(partition.number().into()),
    };
    wire::NewsItem { news: Some(news) }
}

/// One piece of news; `None`: of a kind this version does not know.
///
/// # Errors
/// The field that is wrong.
pub fn news(item: wire::NewsItem) -> Result<Option<PresenceNews>, Malformed> {
    use wire::news_item::News;
    let Some(news) = item.news else {
        return Ok(None);
    };
    Ok(Some(match news {
        News::Document(one) => PresenceNews::Document(Arc::new(document(one)?)),
        News::Own(one) => PresenceNews::Own(Arc::new(own(one)?)),
        News::Contacts(one) => PresenceNews::Contacts(Arc::new(contact_news(one)?)),
        News::GroupsChanged(user) => PresenceNews::GroupsChanged(aor("news.groups_changed", &user)?),
        News::LostPartition(number) => {
            let number = u16::try_from(number).ok().filter(|number| *number < PARTITIONS);
            let partition = number.and_then(Partition::new);
            PresenceNews::Lost(required("news.lost_partition", partition)?)
        }
    }))
}
