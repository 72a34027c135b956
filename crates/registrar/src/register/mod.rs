//! REGISTER: decided by pure functions ([`rules`]), made true by a compare-and-set, then told to whoever watches.
//!
//! A decision is worked out on a state of the user's bindings and committed against that very state. If somebody else was
//! faster it is worked out again on the newer one, so the rules need no lock.

#[cfg(test)]
mod model;
pub(crate) mod rules;

use std::sync::Arc;

use rpc::{
    BindingChange, BindingEnd, Epoch, Error, ErrorCode, Register, RegisterError, Registered, RegistrarChange,
    Unregister,
};
use sip_types::AddressOfRecord;
use store::{StoreError, UserBindings};

use self::rules::{Change, Decision, Removal};
use crate::accounts::Known;
use crate::counters::Operation;
use crate::error::store_failed;
use crate::location::{address_of, bindings_of};
use crate::policy::{Limits, REGISTRATION};
use crate::service::Inner;

/// How often a decision is worked out anew because somebody else was faster. Each time somebody got on, so this many
/// losses in a row for one user's handful of endpoints are not contention but a defect.
const ATTEMPTS: usize = 16;

fn too_busy(aor: &AddressOfRecord) -> Error {
    Error::new(
        ErrorCode::Conflict,
        format!("the bindings of {aor} change too fast"),
    )
}

impl Inner {
    /// Adds or refreshes an endpoint and counts what came of it.
    pub(crate) async fn register(&self, request: Register) -> Result<Registered, RegisterError> {
        let outcome = self.try_register(request).await;
        match &outcome {
            Ok(_) => {}
            Err(RegisterError::Failed(_)) => self.counters.operation(Operation::Failed),
            Err(_) => self.counters.operation(Operation::Refused),
        }
        outcome
    }

    async fn try_register(&self, request: Register) -> Result<Registered, RegisterError> {
        let known = self
            .accounts
            .get(&request.aor)
            .await?
            .ok_or(RegisterError::NoSuchUser)?;
        let limits = self.registration_limits(&known)?;
        if !known.stored.account.enabled || !limits.allow {
            return Err(RegisterError::Forbidden);
        }
        for _ in 0..ATTEMPTS {
            let state = self.bindings.load(&request.aor).await.map_err(store_failed)?;
            let now = self.time.now();
            let context = rules::Context {
                state: &state,
                limits: &limits,
                now,
                epoch: self.epochs.next(self.clock.unix_seconds(), state.newest_epoch()),
                random: self.spread(&request),
            };
            let mut change = match rules::register(&context, &request)? {
                Decision::Repeat(binding) => {
                    self.counters.operation(Operation::Repeated);
                    return Ok(Registered {
                        epoch: Epoch(binding.epoch),
                        expires: binding.granted,
                        bindings: bindings_of(&request.aor, &state, now),
                        is_new: binding.was_new,
                    });
                }
                Decision::Change(change) => change,
            };
            let update = std::mem::take(&mut change.update);
            match self
                .bindings
                .commit(&request.aor, state.revision, update, now)
                .await
            {
                Ok(state) => return self.registered(&request, &known, *change, &state).await,
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(store_failed(error).into()),
            }
        }
        Err(too_busy(&request.aor).into())
    }

    /// The binding is committed: tells everybody and answers.
    async fn registered(
        &self,
        request: &Register,
        known: &Arc<Known>,
        change: Change,
        state: &UserBindings,
    ) -> Result<Registered, RegisterError> {
        let now = self.time.now();
        self.counters.operation(change.operation);
        if change.is_visible {
            self.locations
                .apply(&request.aor, state, &known.display_name, now);
            self.announce(&request.aor, change.ended);
        }
        self.wake_for(state);
        self.check_still_allowed(request, known).await?;
        Ok(Registered {
            epoch: Epoch(change.epoch),
            expires: change.granted,
            bindings: bindings_of(&request.aor, state, now),
            is_new: change.is_new,
        })
    }

    /// An administrator may have disabled or deleted the account between our reading it and our commit. He dropped it from
    /// the cache before he ended the bindings, so either he saw ours or we see that the account is not the one we read.
    async fn check_still_allowed(&self, request: &Register, known: &Arc<Known>) -> Result<(), RegisterError> {
        let aor = &request.aor;
        let newest = match self.accounts.get(aor).await {
            Ok(newest) => newest,
            Err(error) => {
                // The client will be told that it failed, so it must not stay bound.
                self.end_all(aor, Some(request.endpoint.as_str())).await?;
                return Err(error.into());
            }
        };
        if newest
            .as_ref()
            .is_some_and(|newest| Arc::ptr_eq(newest, known) || newest.stored.account.enabled)
        {
            return Ok(());
        }
        self.end_all(aor, None).await?;
        Err(if newest.is_some() {
            RegisterError::Forbidden
        } else {
            RegisterError::NoSuchUser
        })
    }

    /// Removes bindings and returns those that are left.
    pub(crate) async fn unregister(&self, request: Unregister) -> Result<Vec<rpc::Binding>, RegisterError> {
        let aor = &request.aor;
        let decide = |state: &UserBindings| rules::unregister(state, &request, self.time.now());
        match self.remove(aor, decide).await {
            Ok((state, _)) => Ok(bindings_of(aor, &state, self.time.now())),
            Err(error) => {
                let failed = matches!(error, RegisterError::Failed(_));
                self.counters.operation(if failed {
                    Operation::Failed
                } else {
                    Operation::Refused
                });
                Err(error)
            }
        }
    }

    /// Ends one endpoint or all of a user for an administrator; returns how many.
    pub(crate) async fn end_all(&self, aor: &AddressOfRecord, endpoint: Option<&str>) -> Result<u32, Error> {
        let decide = |state: &UserBindings| Ok(rules::kick(state, endpoint, self.time.now()));
        match self.remove(aor, decide).await {
            Ok((_, ended)) => Ok(ended),
            Err(RegisterError::Failed(error)) => Err(error),
            Err(other) => Err(Error::new(ErrorCode::Internal, other.to_string())),
        }
    }

    /// Commits what `decide` says, until nobody is faster. Returns what is left and how many ended.
    async fn remove(
        &self,
        aor: &AddressOfRecord,
        decide: impl Fn(&UserBindings) -> Result<Option<Removal>, RegisterError>,
    ) -> Result<(Arc<UserBindings>, u32), RegisterError> {
        for _ in 0..ATTEMPTS {
            let state = self.bindings.load(aor).await.map_err(store_failed)?;
            let Some(removal) = decide(&state)? else {
                return Ok((state, 0));
            };
            let now = self.time.now();
            match self
                .bindings
                .commit(aor, state.revision, removal.update, now)
                .await
            {
                Ok(state) => {
                    let ended = removal.ended.len();
                    let operation = if removal.end == BindingEnd::Rejected {
                        Operation::Rejected
                    } else {
                        Operation::Unregistered
                    };
                    self.counters.operations(operation, ended);
                    self.locations.apply(aor, &state, &self.no_name, now);
                    let ended_as = |binding| (binding, removal.end);
                    self.announce(aor, removal.ended.into_iter().map(ended_as).collect());
                    self.wake_for(&state);
                    return Ok((state, u32::try_from(ended).unwrap_or(u32::MAX)));
                }
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(store_failed(error).into()),
            }
        }
        Err(too_busy(aor).into())
    }

    /// Tells watchers which bindings of a user ended; with none, that something about them changed.
    pub(crate) fn announce(&self, aor: &AddressOfRecord, ended: Vec<(Arc<store::Binding>, BindingEnd)>) {
        let displaced = ended
            .iter()
            .filter(|(_, end)| *end == BindingEnd::Displaced)
            .count();
        self.counters.operations(Operation::Displaced, displaced);
        self.watchers.publish(RegistrarChange::Bindings(BindingChange {
            aor: aor.clone(),
            ended: ended
                .iter()
                .map(|(binding, end)| (address_of(aor, binding), *end))
                .collect(),
            account_ended: false,
        }));
    }

    /// Tells watchers that an account may not be used any more. It may be signed in without a binding.
    pub(crate) fn announce_account_ended(&self, aor: &AddressOfRecord) {
        self.watchers.publish(RegistrarChange::Bindings(BindingChange {
            aor: aor.clone(),
            ended: Vec::new(),
            account_ended: true,
        }));
    }

    fn registration_limits(&self, known: &Known) -> Result<Limits, Error> {
        let policy = self
            .engine
            .effective(REGISTRATION, &known.assignment, &known.policies)?;
        Ok(Limits::of(&policy))
    }

    /// A number that differs from endpoint to endpoint and from refresh to refresh, without asking for randomness.
    fn spread(&self, request: &Register) -> u64 {
        use std::hash::BuildHasher;
        self.hasher
            .hash_one((&request.aor, &request.endpoint, &request.call_id, request.cseq))
    }
}

#[cfg(test)]
mod tests;
