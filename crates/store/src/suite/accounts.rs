//! What an account store and a place store must do.

use topology::SiteId;

use super::{Outcome, account, aor};
use crate::{
    AccountPatch, AccountStore, CredentialKind, GrantOutcome, PlaceStore, PolicyScope, PolicyStore,
    SealedCredential, StoreError, StoredAccount, StoredPolicy,
};

async fn with_domain(store: &impl PlaceStore) -> Outcome {
    store.add_domain("example.test").await
}

fn sealed(kind: CredentialKind, bytes: &[u8]) -> SealedCredential {
    SealedCredential {
        kind,
        sealed: bytes.to_vec(),
    }
}

pub async fn an_account_is_read_back_as_it_was_written(store: &(impl AccountStore + PlaceStore)) -> Outcome {
    with_domain(store).await?;
    let mut written = account("alice")?;
    written.account.display_name = "Alice \"A\" Ängström; DROP TABLE accounts".into();
    written.credentials = vec![
        sealed(CredentialKind::NtHash, &[0, 1, 255]),
        sealed(CredentialKind::DigestMd5, &[]),
        sealed(CredentialKind::DigestSha256, &[7; 100]),
    ];
    store.create_account(written.clone()).await?;
    written.credentials.sort_by_key(|credential| credential.kind);
    assert_eq!(store.account(&written.account.aor).await?, Some(written));
    assert_eq!(store.account_count().await?, 1);
    Ok(())
}

pub async fn an_absent_account_is_none(store: &(impl AccountStore + PlaceStore)) -> Outcome {
    with_domain(store).await?;
    let nobody = aor("nobody@example.test")?;
    assert_eq!(store.account(&nobody).await?, None);
    assert_eq!(
        store.change_account(&nobody, AccountPatch::default()).await?,
        None
    );
    assert!(!store.delete_account(&nobody).await?);
    assert_eq!(store.accounts(None, 10).await?, []);
    assert_eq!(store.account_count().await?, 0);
    Ok(())
}

pub async fn a_second_account_of_one_address_is_a_conflict(
    store: &(impl AccountStore + PlaceStore),
) -> Outcome {
    with_domain(store).await?;
    let first = account("alice")?;
    store.create_account(first.clone()).await?;
    let second = StoredAccount {
        credentials: vec![sealed(CredentialKind::NtHash, b"other")],
        ..account("alice")?
    };
    assert!(matches!(
        store.create_account(second).await,
        Err(StoreError::Conflict(_))
    ));
    assert_eq!(
        store.account(&first.account.aor).await?,
        Some(first),
        "the first one is untouched"
    );
    Ok(())
}

pub async fn an_account_needs_a_known_domain(store: &impl AccountStore) -> Outcome {
    let refused = store.create_account(account("alice")?).await;
    assert!(
        matches!(refused, Err(StoreError::InvalidRequest(_))),
        "{refused:?}"
    );
    assert_eq!(store.account_count().await?, 0);
    Ok(())
}

pub async fn a_patch_changes_only_what_it_names(store: &(impl AccountStore + PlaceStore)) -> Outcome {
    with_domain(store).await?;
    let mut expected = account("alice")?;
    let key = expected.account.aor.clone();
    store.create_account(expected.clone()).await?;
    store.create_account(account("bob")?).await?;

    let patch = AccountPatch {
        enabled: Some(false),
        ..AccountPatch::default()
    };
    expected.account.enabled = false;
    assert_eq!(store.change_account(&key, patch).await?, Some(expected.clone()));

    let patch = AccountPatch {
        display_name: Some("A.".into()),
        site: Some(SiteId::new("north")),
        ..AccountPatch::default()
    };
    expected.account.display_name = "A.".into();
    expected.account.site = SiteId::new("north");
    assert_eq!(store.change_account(&key, patch).await?, Some(expected.clone()));
    assert_eq!(store.account(&key).await?, Some(expected));
    assert_eq!(
        store.account(&aor("bob@example.test")?).await?,
        Some(account("bob")?)
    );
    Ok(())
}

pub async fn new_credentials_replace_all_old_ones(store: &(impl AccountStore + PlaceStore)) -> Outcome {
    with_domain(store).await?;
    let mut stored = account("alice")?;
    stored.credentials.push(sealed(CredentialKind::NtHash, b"old"));
    let key = stored.account.aor.clone();
    store.create_account(stored).await?;
    let patch = AccountPatch {
        credentials: Some(vec![sealed(CredentialKind::DigestMd5, b"new")]),
        ..AccountPatch::default()
    };
    let changed = store.change_account(&key, patch).await?;
    let credentials = changed.map(|stored| stored.credentials);
    assert_eq!(credentials, Some(vec![sealed(CredentialKind::DigestMd5, b"new")]));
    Ok(())
}

pub async fn a_deleted_account_leaves_nothing_behind(
    store: &(impl AccountStore + PlaceStore + PolicyStore),
) -> Outcome {
    with_domain(store).await?;
    let stored = account("alice")?;
    let key = stored.account.aor.clone();
    store.create_account(stored.clone()).await?;
    let policy = StoredPolicy {
        kind: "im".into(),
        scope: PolicyScope::Tag("strict".into()),
        values: Default::default(),
    };
    store.create_policy(&policy).await?;
    assert_eq!(
        store.grant_policy("im", Some("strict"), &key).await?,
        GrantOutcome::Done
    );

    assert!(store.delete_account(&key).await?);
    assert!(!store.delete_account(&key).await?);
    assert_eq!(store.account(&key).await?, None);

    let bare = StoredAccount {
        credentials: Vec::new(),
        ..stored
    };
    store.create_account(bare.clone()).await?;
    assert_eq!(
        store.account(&key).await?,
        Some(bare),
        "no credential of the former account"
    );
    assert!(
        store.grants(&key).await?.is_empty(),
        "no grant of the former account"
    );
    Ok(())
}

pub async fn accounts_are_listed_in_order_page_by_page(store: &(impl AccountStore + PlaceStore)) -> Outcome {
    with_domain(store).await?;
    for user in ["carol", "alice", "dave", "bob", "b-ob"] {
        store.create_account(account(user)?).await?;
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store.accounts(after.as_ref(), 2).await?;
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.account.aor.clone());
        seen.extend(page.iter().map(|stored| stored.account.aor.user().to_owned()));
    }
    assert_eq!(seen, ["alice", "b-ob", "bob", "carol", "dave"]);
    let whole = store.accounts(None, 100).await?;
    assert!(
        whole.iter().all(|stored| stored.credentials.len() == 1),
        "each with its own credentials"
    );
    Ok(())
}

pub async fn domains_are_kept_once_and_sites_appear_with_use(
    store: &(impl AccountStore + PlaceStore + PolicyStore),
) -> Outcome {
    store.add_domain("example.test").await?;
    store.add_domain("example.test").await?;
    store.add_domain("a.test").await?;
    assert_eq!(store.domains().await?, ["a.test", "example.test"]);

    store.create_account(account("alice")?).await?;
    let policy = StoredPolicy {
        kind: "im".into(),
        scope: PolicyScope::Site(SiteId::new("north")),
        values: Default::default(),
    };
    store.create_policy(&policy).await?;
    assert_eq!(store.sites().await?, [SiteId::new("main"), SiteId::new("north")]);
    Ok(())
}
