//! What every backend must do, as tests that a backend's own test module calls by one macro.
//!
//! [`directory_suite!`](crate::directory_suite) is for a backend of accounts, policies, places and audit;
//! [`binding_suite!`](crate::binding_suite) for one of bindings. Both take the path of an `async fn()` that makes an
//! empty store and returns something that dereferences to it, such as a `Box`. Each behaviour becomes a `#[tokio::test]` of its own, named for the behaviour.
//!
//! To add a behaviour: write the function in the file of its trait, name it in the macro, and watch every backend pass.

#[expect(missing_docs, reason = "the name of a behaviour is its documentation")]
pub mod accounts;
#[expect(missing_docs, reason = "the name of a behaviour is its documentation")]
pub mod audit;
#[expect(missing_docs, reason = "the name of a behaviour is its documentation")]
pub mod bindings;
#[expect(missing_docs, reason = "the name of a behaviour is its documentation")]
pub mod policies;

use sip_types::AddressOfRecord;

use crate::{Account, CredentialKind, SealedCredential, StoreError, StoredAccount};

/// How a behaviour ends: assertions panic, failures of the store come out here.
pub type Outcome = Result<(), StoreError>;

/// The address of record of this text.
fn aor(text: &str) -> Result<AddressOfRecord, StoreError> {
    AddressOfRecord::parse(text).map_err(|error| StoreError::InvalidRequest(format!("{text}: {error}")))
}

/// An account in the suite's domain.
fn account(user: &str) -> Result<StoredAccount, StoreError> {
    Ok(StoredAccount {
        account: Account {
            aor: aor(&format!("{user}@example.test"))?,
            display_name: format!("{user} of the suite"),
            site: topology::SiteId::new("main"),
            enabled: true,
            created_at: 1_800_000_000,
        },
        credentials: vec![SealedCredential {
            kind: CredentialKind::DigestMd5,
            sealed: user.as_bytes().to_vec(),
        }],
    })
}

/// Makes one test of each named behaviour.
#[doc(hidden)]
#[macro_export]
macro_rules! suite_tests {
    ($fresh:path, $module:ident: $($name:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $name() {
                let store = $fresh().await;
                $crate::suite::$module::$name(&*store).await.unwrap();
            }
        )+
    };
}

/// The behaviours of [`AccountStore`](crate::AccountStore), [`PolicyStore`](crate::PolicyStore),
/// [`PlaceStore`](crate::PlaceStore) and [`AuditStore`](crate::AuditStore) for the store that `$fresh` makes.
#[macro_export]
macro_rules! directory_suite {
    ($fresh:path) => {
        mod account_suite {
            $crate::suite_tests!($fresh, accounts:
                an_account_is_read_back_as_it_was_written,
                an_absent_account_is_none,
                a_second_account_of_one_address_is_a_conflict,
                an_account_needs_a_known_domain,
                a_patch_changes_only_what_it_names,
                new_credentials_replace_all_old_ones,
                a_deleted_account_leaves_nothing_behind,
                accounts_are_listed_in_order_page_by_page,
                domains_are_kept_once_and_sites_appear_with_use,
            );
        }
        mod policy_suite {
            $crate::suite_tests!($fresh, policies:
                a_policy_is_read_back_with_the_types_of_its_values,
                a_second_policy_of_kind_and_scope_is_a_conflict,
                setting_values_leaves_the_others,
                scopes_of_the_same_name_are_different_policies,
                a_grant_needs_account_and_policy,
                a_grant_replaces_the_one_before_and_can_be_taken_back,
                deleting_a_policy_ends_its_grants,
                policies_are_listed_in_order,
            );
        }
        mod audit_suite {
            $crate::suite_tests!($fresh, audit:
                entries_come_back_newest_first,
                pruning_takes_old_entries_of_one_category,
            );
        }
    };
}

/// The behaviours of [`BindingStore`](crate::BindingStore) for the store that `$fresh` makes.
#[macro_export]
macro_rules! binding_suite {
    ($fresh:path) => {
        mod binding_suite {
            $crate::suite_tests!($fresh, bindings:
                a_binding_is_read_back_as_it_was_committed,
                a_commit_against_another_revision_changes_nothing,
                revisions_grow_even_after_everything_is_forgotten,
                a_refresh_keeps_its_place_and_a_new_epoch_moves_to_the_end,
                removal_and_tombstones_are_one_commit,
                tombstones_are_bounded_and_forgotten,
                the_sweep_ends_what_is_due_once,
                the_sweep_names_the_next_deadline,
                a_refreshed_binding_is_not_swept_at_its_old_deadline,
                the_sweep_stops_at_its_limit,
                totals_follow_what_is_bound,
            );
        }
    };
}
