//! SERVICE (MS-SIP): what a Lync-family client changes of its user's own: publications, access levels, acknowledged watchers,
//! contacts. And whom it searches for.

mod search;

use std::sync::Arc;

use rpc::presence::{
    Contact, ContactChange, ContactChanged, ContactGroup, ContactRefusal, Publish, PublishRefusal,
};
use sip_bodies::BodyError;
use sip_bodies::lync::containers::{self, SetContainerMembers};
use sip_bodies::lync::fault::{self, FailedOperation, Fault};
use sip_bodies::lync::publish;
use sip_bodies::lync::set_subscribers::{self, SetSubscribers};
use sip_bodies::lync::soap::{self, ContactOperation, SoapAnswer, SoapRequest};
use sip_bodies::media_type::MediaType;
use sip_types::{HeaderName, StatusCode};

use super::Incoming;
use super::event::{self, Refusal};
use crate::counters::presence::Service;
use crate::identity::Destination;
use crate::presence::content::{Body, Content};
use crate::presence::lync::own::Own;
use crate::presence::lync::read;
use crate::presence::subscription::{News, Package, Subscription};

/// The documents that are understood.
const ACCEPT: [&str; 4] = [
    publish::CONTENT_TYPE,
    containers::CONTENT_TYPE,
    set_subscribers::CONTENT_TYPE,
    soap::CONTENT_TYPE,
];

/// What a request asks for.
enum Wish {
    Publish(publish::Publish),
    Members(SetContainerMembers),
    Acknowledge(SetSubscribers),
    Contacts(u32, ContactOperation),
    Search(search::Search),
    /// A SOAP operation that is not served.
    Unknown(String),
}

impl Wish {
    const fn counted(&self) -> Service {
        match self {
            Wish::Publish(_) => Service::Publish,
            Wish::Members(_) => Service::Members,
            Wish::Acknowledge(_) => Service::Acknowledge,
            Wish::Contacts(..) => Service::Contacts,
            Wish::Search(_) => Service::Search,
            Wish::Unknown(_) => Service::Unknown,
        }
    }
}

/// An answer with its document, if it has one.
struct Answer {
    status: StatusCode,
    body: Option<Body>,
}

impl Answer {
    const fn empty(status: StatusCode) -> Self {
        Answer { status, body: None }
    }

    fn new(status: StatusCode, content_type: &str, bytes: bytes::Bytes) -> Self {
        let content_type = content_type.to_owned();
        let body = Some(Body { content_type, bytes });
        Answer { status, body }
    }

    fn soap(status: StatusCode, answer: &SoapAnswer) -> Self {
        Answer::new(status, soap::CONTENT_TYPE, answer.print())
    }
}

/// Answers a SERVICE.
pub(crate) fn handle(incoming: Incoming, destination: Option<&Destination>) {
    let wish = match wish(&incoming, destination) {
        Ok(wish) => wish,
        Err(refusal) => {
            incoming.service.counters.presence.served(Service::Unknown, false);
            return refusal.send(&incoming);
        }
    };
    let service = Arc::clone(&incoming.service);
    // In order: what a client publishes names versions that the publication before it made.
    service.spawn_in_order(async move { serve(incoming, wish).await });
}

fn wish(incoming: &Incoming, destination: Option<&Destination>) -> Result<Wish, Refusal> {
    let request = &incoming.request;
    let content_type = request
        .headers()
        .get(&HeaderName::ContentType)
        .unwrap_or_default();
    let media = MediaType::parse(&content_type);
    let is = |content_type: &str| media.as_ref().is_some_and(|media| media.is(content_type));
    if !ACCEPT.into_iter().any(is) {
        let unsupported = Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        return Err(unsupported.with(HeaderName::Accept, ACCEPT.join(", ")));
    }
    let body = event::body(request)?;
    let wish = if is(publish::CONTENT_TYPE) {
        Wish::Publish(publish::Publish::parse(&body)?)
    } else if is(containers::CONTENT_TYPE) {
        Wish::Members(SetContainerMembers::parse(&body)?)
    } else if is(set_subscribers::CONTENT_TYPE) {
        Wish::Acknowledge(SetSubscribers::parse(&body)?)
    } else {
        match SoapRequest::parse(&body)? {
            SoapRequest::Contacts {
                delta_number,
                operation,
            } => Wish::Contacts(delta_number, operation),
            SoapRequest::DirectorySearch { max_results, terms } => {
                Wish::Search(search::Search { max_results, terms })
            }
            SoapRequest::Unknown(name) => Wish::Unknown(name),
        }
    };
    match (destination, &wish) {
        // Nobody is harmed, whoever is asked.
        (_, Wish::Unknown(_)) => Ok(wish),
        // Clients ask the domain. There is one directory, whoever is asked.
        (Some(_), Wish::Search(_)) => Ok(wish),
        (Some(Destination::User(user)), _) if *user == incoming.who.aor => Ok(wish),
        (Some(_), _) => {
            Err(Refusal::new(StatusCode::FORBIDDEN).saying("Only what is your own is yours to change"))
        }
        // There are no dialogs in which this is asked.
        (None, _) => Err(Refusal::new(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST)),
    }
}

async fn serve(incoming: Incoming, wish: Wish) {
    let counted = wish.counted();
    let outcome = match wish {
        Wish::Publish(publish) => publications(&incoming, &publish).await,
        Wish::Members(members) => levels(&incoming, &members).await,
        Wish::Acknowledge(seen) => acknowledge(&incoming, &seen).await,
        Wish::Contacts(delta, operation) => contacts(&incoming, delta, operation).await,
        Wish::Search(search) => search::answer(&incoming, search).await,
        Wish::Unknown(name) => {
            let fault = SoapAnswer::unknown_operation(&name);
            Ok(Answer::soap(StatusCode::NOT_IMPLEMENTED, &fault))
        }
    };
    let counters = &incoming.service.counters.presence;
    match outcome {
        Ok(answer) => {
            counters.served(counted, answer.status.is_success());
            let reply = incoming.reply(answer.status);
            let reply = match answer.body {
                Some(body) => reply.body(&body.content_type, body.bytes),
                None => reply,
            };
            incoming.respond(reply.build());
        }
        Err(failed) => {
            counters.served(counted, false);
            match failed {
                Failed::Refused(refusal) => refusal.send(&incoming),
                Failed::Owner(error) => incoming.answer_error(&error),
            }
        }
    }
}

/// Why there is no answer of the owner.
enum Failed {
    Refused(Refusal),
    Owner(rpc::Error),
}

impl From<BodyError> for Failed {
    fn from(error: BodyError) -> Self {
        Failed::Refused(error.into())
    }
}

impl From<rpc::Error> for Failed {
    fn from(error: rpc::Error) -> Self {
        Failed::Owner(error)
    }
}

/// The client's own subscription of this package.
fn subscription(incoming: &Incoming, package: Package) -> Option<Arc<Subscription>> {
    let all = incoming.flow.watching.all();
    let mut own = all.into_iter().filter(|known| known.watcher == incoming.who.aor);
    own.find(|known| known.package == package)
}

// === publications ===

async fn publications(incoming: &Incoming, publish: &publish::Publish) -> Result<Answer, Failed> {
    if event::user(&publish.uri).is_some_and(|who| who != incoming.who.aor) {
        let reason = "Only your own presence is yours to publish";
        return Err(Failed::Refused(
            Refusal::new(StatusCode::FORBIDDEN).saying(reason),
        ));
    }
    let changes = publish.publications.iter().map(read::change);
    let request = Publish {
        user: incoming.who.aor.clone(),
        endpoint: Some(incoming.flow.endpoint()),
        changes: changes.collect::<Result<_, _>>()?,
    };
    let published = match incoming.service.presence.client.publish(request.clone()).await? {
        Ok(published) => published,
        Err(refusal) => return refused(refusal),
    };
    incoming
        .flow
        .categories
        .published(&request, published.own.version, crate::service::now());
    let own = &published.own;
    let endpoints = incoming.service.presence.following.own(own);
    let answer = match subscription(incoming, Package::RoamingSelf) {
        Some(subscription) => {
            subscription.with_own(&incoming.service, |shown, sight| shown.answer(own, sight))
        }
        None => None,
    };
    let body = answer.unwrap_or_else(|| {
        let sight = crate::presence::content::Sight {
            following: &incoming.service.presence.following,
            watcher: &incoming.who.aor,
            host: &incoming.service.config.fqdn,
        };
        Own::new(incoming.who.aor.clone(), &[]).answer(own, &sight)
    });
    // The others of this user here; the client itself knows it by the answer.
    incoming.service.tell_all(&endpoints, News::Own);
    Ok(Answer {
        status: StatusCode::OK,
        body: Some(body),
    })
}

/// The answer to what the owner refused: a conflict tells the current versions.
fn refused(refusal: PublishRefusal) -> Result<Answer, Failed> {
    let refusal = match refusal {
        PublishRefusal::Conflict(conflicts) => {
            let operations = conflicts
                .into_iter()
                .map(|(place, version, current_version)| FailedOperation {
                    // Documents count from 1.
                    index: u32::try_from(place).unwrap_or(u32::MAX).saturating_add(1),
                    version,
                    current_version,
                });
            let fault = Fault::wrong_delta(operations.collect());
            return Ok(Answer::new(
                StatusCode::CONFLICT,
                fault::CONTENT_TYPE,
                fault.print(),
            ));
        }
        PublishRefusal::NoSuchUser => Refusal::new(StatusCode::NOT_FOUND),
        PublishRefusal::Limit(reason) => Refusal::new(StatusCode::FORBIDDEN).saying(reason),
        PublishRefusal::Invalid(reason) => Refusal::bad(reason),
    };
    Err(Failed::Refused(refusal))
}

// === who sees how much, and who is known to watch ===

async fn levels(incoming: &Incoming, asked: &SetContainerMembers) -> Result<Answer, Failed> {
    let changes = read::members(asked)?;
    let client = &incoming.service.presence.client;
    match client.change_members(&incoming.who.aor, changes).await? {
        Ok(_) => Ok(Answer::empty(StatusCode::OK)),
        Err(refusal) => refused(refusal),
    }
}

async fn acknowledge(incoming: &Incoming, asked: &SetSubscribers) -> Result<Answer, Failed> {
    let seen = asked
        .subscribers
        .iter()
        .filter(|subscriber| subscriber.acknowledged);
    let seen: Vec<_> = seen
        .map(|subscriber| read::address(&subscriber.user))
        .collect::<Result<_, _>>()?;
    let client = &incoming.service.presence.client;
    client.acknowledge(&incoming.who.aor, seen).await?;
    Ok(Answer::empty(StatusCode::OK))
}

// === contacts ===

async fn contacts(incoming: &Incoming, delta: u32, operation: ContactOperation) -> Result<Answer, Failed> {
    let change = change(operation)?;
    let client = &incoming.service.presence.client;
    let changed = client
        .change_contacts(&incoming.who.aor, Some(u64::from(delta)), change)
        .await?;
    let refusal = match changed {
        Ok(news) => {
            let answer = match &news.changed {
                ContactChanged::AddedGroup(group) => SoapAnswer::GroupAdded { group_id: group.id },
                _ => SoapAnswer::Done,
            };
            return Ok(Answer::soap(StatusCode::OK, &answer));
        }
        Err(refusal) => refusal,
    };
    // It counts its requests, shows what it asked for, and goes wrong until it is told the whole list.
    incoming
        .service
        .tell_whole_list(subscription(incoming, Package::RoamingContacts));
    let status = match &refusal {
        ContactRefusal::NotFound(_) => StatusCode::NOT_FOUND,
        ContactRefusal::Stale(_) => StatusCode::CONFLICT,
        ContactRefusal::Limit(_) => StatusCode::FORBIDDEN,
        ContactRefusal::Invalid(_) => StatusCode::BAD_REQUEST,
    };
    let fault = SoapAnswer::Fault {
        code: "Client".to_owned(),
        text: refusal.to_string(),
    };
    Ok(Answer::soap(status, &fault))
}

fn change(operation: ContactOperation) -> Result<ContactChange, BodyError> {
    Ok(match operation {
        ContactOperation::AddGroup { name, external_uri } => ContactChange::AddGroup { name, external_uri },
        ContactOperation::ModifyGroup {
            group_id,
            name,
            external_uri,
        } => ContactChange::ModifyGroup(ContactGroup {
            id: group_id,
            name,
            external_uri,
        }),
        ContactOperation::DeleteGroup { group_id } => ContactChange::DeleteGroup(group_id),
        ContactOperation::SetContact {
            address,
            display_name,
            groups,
            subscribed,
            external_uri,
        } => ContactChange::SetContact(Contact {
            uri: read::address(&address)?,
            name: display_name,
            groups,
            subscribed,
            external_uri,
        }),
        ContactOperation::DeleteContact { address } => ContactChange::DeleteContact(read::address(&address)?),
    })
}

impl Subscription {
    /// Reads or changes what it shows of the user's own data; `None` if it shows something else.
    fn with_own<T>(
        &self,
        service: &crate::service::FrontEndService,
        use_it: impl FnOnce(&mut Own, &crate::presence::content::Sight<'_>) -> T,
    ) -> Option<T> {
        self.with_content(|content| match content {
            Content::Own(own) => Some(use_it(own, &self.sight(service))),
            _ => None,
        })
    }
}
