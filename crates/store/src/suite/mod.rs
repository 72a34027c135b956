//! What every backend must do, as tests that a backend's own test module calls by one macro.
//!
//! [`directory_suite!`](crate::directory_suite) is for a backend of accounts, policies, places and audit;
//! [`presence_suite!`](crate::presence_suite) and [`group_suite!`](crate::group_suite) for one that keeps presence besides;
//! [`binding_suite!`](crate::binding_suite) for one of bindings, [`copy_suite!`](crate::copy_suite) for a shared copy of
//! them, [`presence_copy_suite!`](crate::presence_copy_suite) for one of presence, [`lease_suite!`](crate::lease_suite) for one of leases. They take the path of an `async fn()` that makes an
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
pub mod copies;
#[expect(missing_docs, reason = "the name of a behaviour is its documentation")]
pub mod groups;
#[expect(missing_docs, reason = "the name of a behaviour is its documentation")]
pub mod leases;
#[expect(missing_docs, reason = "the name of a behaviour is its documentation")]
pub mod policies;
#[expect(missing_docs, reason = "the name of a behaviour is its documentation")]
pub mod presence;
#[expect(missing_docs, reason = "the name of a behaviour is its documentation")]
pub mod presence_copies;
#[expect(missing_docs, reason = "the name of a behaviour is its documentation")]
pub mod searches;

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
        mod search_suite {
            $crate::suite_tests!($fresh, searches:
                people_are_found_by_the_beginnings_of_words,
                letters_are_the_same_however_they_are_written,
                what_is_syntax_elsewhere_is_only_text_in_a_search,
                a_search_sees_every_change_of_an_account,
                a_search_ends_at_its_limit_and_says_that_there_are_more,
                only_accounts_of_the_named_domains_are_found_and_counted,
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

/// The behaviours of [`PresenceStore`](crate::PresenceStore) for the store that `$fresh` makes, which keeps accounts too.
#[macro_export]
macro_rules! presence_suite {
    ($fresh:path) => {
        mod presence_suite {
            $crate::suite_tests!($fresh, presence:
                of_a_user_who_changed_nothing_nothing_is_kept,
                publications_are_read_back_as_they_were_written_in_order,
                publications_change_only_at_the_expected_version_and_all_or_none,
                a_repeated_write_of_publications_is_a_conflict,
                rules_are_replaced_as_a_whole_at_the_expected_revision,
                acknowledged_watchers_are_kept_once_in_order,
                a_contact_list_is_read_back_in_order,
                a_contact_list_changes_only_at_the_expected_number,
                a_change_of_a_contact_list_touches_only_what_it_names,
                of_writers_at_the_same_time_one_wins,
                presence_needs_an_account,
                what_is_kept_goes_with_the_account,
            );
        }
    };
}

/// The behaviours of [`GroupStore`](crate::GroupStore) for the store that `$fresh` makes, which keeps accounts and contact
/// lists too.
#[macro_export]
macro_rules! group_suite {
    ($fresh:path) => {
        mod group_suite {
            $crate::suite_tests!($fresh, groups:
                a_group_is_read_back_as_it_was_written,
                no_account_and_group_have_one_address,
                members_are_kept_once_in_order_and_bounded,
                groups_are_listed_in_order_page_by_page,
                a_deleted_group_leaves_only_contacts_of_its_address,
                whoever_has_no_account_any_more_is_a_member_of_nothing,
                groups_are_found_by_who_has_them_as_contacts,
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
                users_are_found_by_the_member_that_holds_them,
            );
        }
    };
}

/// The behaviours of [`BindingCopy`](crate::BindingCopy) for the copy that `$fresh` makes.
#[macro_export]
macro_rules! copy_suite {
    ($fresh:path) => {
        mod copy_suite {
            $crate::suite_tests!($fresh, copies:
                the_next_owner_finds_what_was_written,
                writes_may_arrive_out_of_order,
                a_smaller_epoch_is_refused_everything,
                a_write_under_an_epoch_that_never_took_says_so,
                replacing_leaves_only_what_is_said_and_newer,
            );
        }
    };
}

/// The behaviours of [`PresenceCopy`](crate::PresenceCopy) for the copy that `$fresh` makes.
#[macro_export]
macro_rules! presence_copy_suite {
    ($fresh:path) => {
        mod presence_copy_suite {
            $crate::suite_tests!($fresh, presence_copies:
                the_next_owner_finds_what_was_copied,
                copies_may_arrive_out_of_order,
                an_owner_that_was_replaced_copies_nothing,
                a_copy_that_forgot_its_owner_says_so,
                copying_anew_leaves_only_what_is_said_and_newer,
            );
        }
    };
}

/// The behaviours of [`LeaseStore`](crate::LeaseStore) for the [`LeaseBench`](leases::LeaseBench) that `$fresh` makes: an
/// empty store, and the means to let its time pass and to take everything from it.
#[macro_export]
macro_rules! lease_suite {
    ($fresh:path) => {
        mod lease_suite {
            $crate::suite_tests!($fresh, leases:
                a_lease_is_seen_by_others_as_it_was_renewed,
                a_renewed_lease_goes_on_and_one_that_is_not_ends,
                a_lease_that_ran_out_can_be_renewed_and_owns_what_nobody_took,
                a_later_life_supersedes_the_earlier_which_is_told,
                what_the_earlier_life_owned_is_free_for_the_later,
                what_nobody_owns_is_claimed_once,
                of_claimants_at_the_same_time_one_wins_each_partition,
                a_partition_of_a_dead_owner_is_claimed_with_a_larger_epoch,
                a_claim_without_a_lease_takes_nothing,
                a_transfer_moves_only_what_the_giver_owns,
                a_transfer_goes_only_to_a_live_member,
                epochs_grow_with_every_change_of_owner,
                leaving_frees_at_once,
                eviction_frees_at_once_but_not_a_later_life,
                known_versions_save_the_tables,
                the_tables_are_apart,
                losing_everything_changes_the_history,
                what_is_reasserted_stands_with_its_epoch,
                a_larger_epoch_stands_against_a_reassertion,
                epochs_grow_past_what_was_reasserted,
                all_partitions_are_claimed_and_transferred_in_one_call,
            );
        }
    };
}
