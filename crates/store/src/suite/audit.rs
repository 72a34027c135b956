//! What an audit store must do.

use super::Outcome;
use crate::{AuditCategory, AuditEntry, AuditStore};

fn entry(at: i64, category: AuditCategory, action: &str) -> AuditEntry {
    AuditEntry {
        at,
        category,
        actor: "administrator".into(),
        action: action.into(),
        subject: "alice@example.test".into(),
        detail: "because".into(),
    }
}

pub async fn entries_come_back_newest_first(store: &impl AuditStore) -> Outcome {
    let entries = [
        entry(10, AuditCategory::Administration, "user.create"),
        // The wall clock may step back: the order is that of writing.
        entry(5, AuditCategory::SignIn, "sign-in.refused"),
        entry(10, AuditCategory::Administration, "user.delete"),
    ];
    store.append_audit(&entries).await?;
    store.append_audit(&[]).await?;
    let [first, second, third] = entries;
    assert_eq!(store.audit(2).await?, [third.clone(), second.clone()]);
    assert_eq!(store.audit(10).await?, [third, second, first]);
    Ok(())
}

pub async fn pruning_takes_old_entries_of_one_category(store: &impl AuditStore) -> Outcome {
    let entries = [
        entry(1, AuditCategory::Administration, "old change"),
        entry(1, AuditCategory::SignIn, "old refusal"),
        entry(100, AuditCategory::SignIn, "new refusal"),
    ];
    store.append_audit(&entries).await?;
    assert_eq!(store.prune_audit(AuditCategory::SignIn, 100).await?, 1);
    assert_eq!(store.prune_audit(AuditCategory::SignIn, 100).await?, 0);
    let left: Vec<_> = store
        .audit(10)
        .await?
        .into_iter()
        .map(|entry| entry.action)
        .collect();
    assert_eq!(left, ["new refusal", "old change"]);
    Ok(())
}
