use super::*;

async fn fresh() -> Box<MemoryBindings> {
    Box::default()
}

crate::binding_suite!(super::fresh);

fn binding(deadline: u64) -> Binding {
    Binding {
        endpoint: Arc::from("e1"),
        epoch: 1,
        member: topology::MemberId::new("fe1"),
        connection: 1,
        contact: String::new(),
        instance: None,
        epid: None,
        reg_id: None,
        gruu: None,
        lync: false,
        session: false,
        user_agent: None,
        call_id: String::new(),
        cseq: 1,
        granted: 600,
        was_new: true,
        deadline: Timestamp(deadline),
    }
}

#[tokio::test]
async fn a_client_that_refreshes_all_day_leaves_one_entry_in_the_heap() {
    let store = MemoryBindings::new();
    let aor = AddressOfRecord::parse("alice@example.test").unwrap();
    let mut revision = Revision::NONE;
    for refresh in 0..1_000 {
        let update = BindingUpdate {
            put: Some(binding(600_000 + refresh)),
            ..BindingUpdate::default()
        };
        revision = store
            .commit(&aor, revision, update, Timestamp(refresh))
            .await
            .unwrap()
            .revision;
    }
    assert_eq!(store.heap.lock().len(), 1);
}

#[tokio::test]
async fn a_superseded_heap_entry_ends_nothing() {
    let store = MemoryBindings::new();
    let aor = AddressOfRecord::parse("alice@example.test").unwrap();
    let mut revision = Revision::NONE;
    for deadline in [900_000, 300_000, 800_000] {
        let update = BindingUpdate {
            put: Some(binding(deadline)),
            ..BindingUpdate::default()
        };
        revision = store
            .commit(&aor, revision, update, Timestamp(0))
            .await
            .unwrap()
            .revision;
    }
    assert!(
        store
            .sweep(Timestamp(300_000), 10)
            .await
            .unwrap()
            .ended
            .is_empty()
    );
    assert_eq!(store.sweep(Timestamp(800_000), 10).await.unwrap().ended.len(), 1);
    // The entry armed first, for 900_000, is still there and names nobody with a binding.
    assert!(
        store
            .sweep(Timestamp(900_000), 10)
            .await
            .unwrap()
            .ended
            .iter()
            .all(|ended| ended.expired.is_empty())
    );
}

#[tokio::test]
async fn a_refused_commit_for_an_unknown_user_leaves_no_trace() {
    let store = MemoryBindings::new();
    let aor = AddressOfRecord::parse("alice@example.test").unwrap();
    store
        .commit(&aor, Revision(7), BindingUpdate::default(), Timestamp(0))
        .await
        .unwrap_err();
    assert!(store.shards.iter().all(|shard| shard.lock().is_empty()));
}
