//! What has to be known before a message or a session may go on: where people are, and what policy and filters say.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rpc::{Error, ErrorCode, FailureReason, Freshness, InstantMessage, MessageKind, Open, RegistrarClient};
use sip_types::AddressOfRecord;

use crate::access::Standing;
use crate::archive::ArchiveMode;
use crate::counters::Counters;
use crate::effect::{Event, FirstText, Prepared, PreparedOpen};
use crate::endpoints::Endpoints;
use crate::filter::Verdict;
use crate::policy::{IM_POLICY, ImPolicy};
use crate::service::Hooks;

/// Asks the registrar and the hooks.
pub(super) struct Preparer {
    pub(super) registrar: RegistrarClient,
    pub(super) hooks: Hooks,
    pub(super) counters: Arc<Counters>,
}

/// What a failed dependency means to the sender: it may try again later.
fn dependency_failed(error: &Error) -> FailureReason {
    tracing::debug!(%error, code = error.code.as_str(), "the registrar did not answer");
    match error.code {
        ErrorCode::Timeout => FailureReason::Timeout,
        code if code.may_retry() => FailureReason::Overloaded,
        _ => FailureReason::Internal,
    }
}

async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, FailureReason>>,
) -> Result<T, FailureReason> {
    tokio::time::timeout(patience, work)
        .await
        .unwrap_or(Err(FailureReason::Timeout))
}

impl Preparer {
    /// Everything about one message.
    pub(super) async fn message(
        &self,
        message: Arc<InstantMessage>,
        patience: Duration,
    ) -> Result<Prepared, FailureReason> {
        within(patience, async {
            let (recipient, sender_policy, recipient_policy, is_blocked) = tokio::join!(
                self.endpoints(&message.to, Freshness::Cached),
                self.sender_policy(&message.from),
                self.policy(&message.to),
                self.is_blocked(&message.to, &message.from),
            );
            let sender_policy = sender_policy?;
            if !sender_policy.enabled {
                return Err(FailureReason::Forbidden);
            }
            let endpoints = recipient?.ok_or(FailureReason::NoSuchUser)?;
            let recipient_policy = recipient_policy?;
            if !recipient_policy.enabled || is_blocked {
                return Err(FailureReason::Forbidden);
            }
            let text = self.judge(message, &sender_policy, &recipient_policy).await?;
            Ok(Prepared {
                message: text.message,
                original: text.original,
                mode: text.mode,
                endpoints,
            })
        })
        .await
    }

    /// Everything about one session.
    pub(super) async fn open(&self, open: &Open, patience: Duration) -> Result<PreparedOpen, FailureReason> {
        within(patience, async {
            let (caller, callee, caller_policy, callee_policy, is_blocked) = tokio::join!(
                self.endpoints(&open.from, Freshness::Cached),
                self.endpoints(&open.to, Freshness::Cached),
                self.sender_policy(&open.from),
                self.policy(&open.to),
                self.is_blocked(&open.to, &open.from),
            );
            let caller_policy = caller_policy?;
            if !caller_policy.enabled {
                return Err(FailureReason::Forbidden);
            }
            let callee = callee?.ok_or(FailureReason::NoSuchUser)?;
            let callee_policy = callee_policy?;
            if !callee_policy.enabled || is_blocked {
                return Err(FailureReason::Forbidden);
            }
            // A leg lives on a registered connection: without one, nothing could be sent into it.
            let caller = caller?.unwrap_or_default();
            let caller = caller
                .find(&open.from_endpoint)
                .cloned()
                .ok_or(FailureReason::Unavailable)?;
            let first_text = match &open.first_text {
                Some(text) => self
                    .judge(text.clone(), &caller_policy, &callee_policy)
                    .await
                    .ok(),
                None => None,
            };
            Ok(PreparedOpen {
                caller,
                callee,
                first_text,
            })
        })
        .await
    }

    /// The endpoints a typing indication may be shown at; none if either side may not use messages, or the sender is blocked.
    pub(super) async fn for_signal(&self, from: &AddressOfRecord, to: &AddressOfRecord) -> Endpoints {
        let (endpoints, sender, recipient, is_blocked) = tokio::join!(
            self.located(to, Freshness::Cached),
            self.policy(from),
            self.policy(to),
            self.is_blocked(to, from)
        );
        let enabled = |policy: Result<ImPolicy, FailureReason>| policy.is_ok_and(|policy| policy.enabled);
        if enabled(sender) && enabled(recipient) && !is_blocked {
            endpoints
        } else {
            Endpoints::default()
        }
    }

    /// Whether a recipient has blocked a sender, as far as that is known.
    async fn is_blocked(&self, recipient: &AddressOfRecord, sender: &AddressOfRecord) -> bool {
        let Some(access) = &self.hooks.access else {
            return false;
        };
        match access.standing(recipient, sender).await {
            Standing::Free => false,
            Standing::Blocked => {
                self.counters.count(Event::Blocked);
                true
            }
            Standing::Unknown => {
                self.counters.count(Event::RulesUnknown);
                false
            }
        }
    }

    /// The endpoints of a user as they are now; none if they cannot be known.
    pub(super) async fn located(&self, aor: &AddressOfRecord, freshness: Freshness) -> Endpoints {
        match self.endpoints(aor, freshness).await {
            Ok(Some(endpoints)) => endpoints,
            Ok(None) | Err(_) => Endpoints::default(),
        }
    }

    async fn endpoints(
        &self,
        aor: &AddressOfRecord,
        freshness: Freshness,
    ) -> Result<Option<Endpoints>, FailureReason> {
        match self.registrar.lookup(aor, freshness).await {
            Ok(location) => Ok(location.map(|location| Endpoints::new(location.bindings))),
            Err(error) => Err(dependency_failed(&error)),
        }
    }

    /// The policy of somebody who wants to say something: an account that is gone says nothing more.
    async fn sender_policy(&self, aor: &AddressOfRecord) -> Result<ImPolicy, FailureReason> {
        match self.registrar.policy(IM_POLICY.name, aor).await {
            Err(error) if error.code == ErrorCode::NotFound => Err(FailureReason::Forbidden),
            Err(error) => Err(dependency_failed(&error)),
            Ok(policy) => Ok(ImPolicy::read(&policy)),
        }
    }

    async fn policy(&self, aor: &AddressOfRecord) -> Result<ImPolicy, FailureReason> {
        match self.registrar.policy(IM_POLICY.name, aor).await {
            Ok(policy) => Ok(ImPolicy::read(&policy)),
            // Nobody has a policy for somebody who does not exist: the lookup says it better.
            Err(error) if error.code == ErrorCode::NotFound => Ok(ImPolicy::default()),
            Err(error) => Err(dependency_failed(&error)),
        }
    }

    /// Size, filter, and whether it has to be archived. Receipts are neither filtered nor archived.
    async fn judge(
        &self,
        message: Arc<InstantMessage>,
        sender: &ImPolicy,
        recipient: &ImPolicy,
    ) -> Result<FirstText, FailureReason> {
        if message.content.body.len() > sender.max_text_bytes.min(recipient.max_text_bytes) {
            return Err(FailureReason::TooLarge);
        }
        if let MessageKind::Receipt { .. } = message.kind {
            return Ok(FirstText {
                message,
                original: None,
                mode: ArchiveMode::Off,
            });
        }
        let (message, original) = self.filter(message)?;
        let mode = self.hooks.archive.mode(&message.from, &message.to).await;
        Ok(FirstText {
            message,
            original,
            mode,
        })
    }

    fn filter(
        &self,
        message: Arc<InstantMessage>,
    ) -> Result<(Arc<InstantMessage>, Option<rpc::Content>), FailureReason> {
        match self.hooks.filter.check(&message) {
            Verdict::Pass => Ok((message, None)),
            Verdict::Block(reason) => Err(reason),
            Verdict::Replace(content) => {
                let original = message.content.clone();
                let mut replaced = InstantMessage::clone(&message);
                replaced.content = content;
                Ok((Arc::new(replaced), Some(original)))
            }
        }
    }
}
