//! What is published for a report.

use super::*;

/// Unix seconds; a full minute.
const NOW: u64 = 1_800_000_000;

fn busy(from: u64, until: u64) -> api::CalendarReport {
    api::CalendarReport {
        busy: true,
        from: Some(from.to_string()),
        until: Some(until.to_string()),
        subject: Some("Budget".to_owned()),
        location: Some("  ".to_owned()),
    }
}

fn published(change: PublishOne) -> Publication {
    match change {
        PublishOne::Set {
            key,
            lifetime,
            content,
            ..
        } => Publication {
            key,
            version: 1,
            endpoint: None,
            lifetime,
            published_at: NOW * 1_000,
            content,
            kept: None,
        },
        _ => panic!("something is set"),
    }
}

fn meeting_of(report: &api::CalendarReport) -> Option<Publication> {
    meeting(report, NOW).ok().map(published)
}

#[test]
fn a_meeting_begins_and_ends_when_it_is_told_and_has_a_name_of_its_own() {
    let first = meeting_of(&busy(NOW + 60, NOW + 3_600)).unwrap();
    assert_eq!(first.lifetime.expires, Some(Duration::from_secs(3_600)));
    assert_eq!(first.lifetime.bound, Bound::Static);
    let PublicationContent::States(states) = &first.content else {
        panic!("a state");
    };
    assert_eq!(states[0].starts_at, Some(NOW + 60));
    assert_eq!(states[0].meeting_subject.as_deref(), Some("Budget"));
    assert_eq!(states[0].meeting_location, None);
    let second = meeting_of(&busy(NOW + 120, NOW + 3_600)).unwrap();
    assert_ne!(first.key, second.key);
    let again = meeting_of(&busy(NOW + 60, NOW + 7_200)).unwrap();
    assert_eq!(first.key, again.key);
}

#[test]
fn a_meeting_that_cannot_be_is_refused() {
    let mut endless = busy(NOW, NOW + 1);
    endless.until = None;
    let mut vague = busy(NOW, NOW + 1);
    vague.from = Some("noon".to_owned());
    let wrong = [
        busy(NOW + 60, NOW + 60),
        busy(NOW - 60, NOW - 30),
        busy(u64::MAX - 1, u64::MAX),
        endless,
        vague,
    ];
    for report in wrong {
        assert!(meeting_of(&report).is_none(), "{report:?}");
    }
}

#[test]
fn meetings_that_overlap_a_time_are_taken_back_and_those_of_clients_are_not() {
    let early = Arc::new(meeting_of(&busy(NOW, NOW + 600)).unwrap());
    let late = Arc::new(meeting_of(&busy(NOW + 1_200, NOW + 1_800)).unwrap());
    let mut of_client = meeting_of(&busy(NOW, NOW + 600)).unwrap();
    of_client.endpoint = Some(rpc::EndpointId::new("desk"));
    let all = [early.clone(), late.clone(), Arc::new(of_client)];
    let taken = |from, until| -> Vec<PublicationKey> {
        let changes = taken_back(&all, from, until);
        changes.iter().map(|change| change.key().clone()).collect()
    };
    assert_eq!(taken(0, u64::MAX), [early.key.clone(), late.key.clone()]);
    assert_eq!(taken(NOW + 599, NOW + 1_200), std::slice::from_ref(&early.key));
    assert_eq!(taken(NOW + 600, NOW + 1_200), []);
    assert_eq!(taken(NOW + 1_799, NOW + 9_999), std::slice::from_ref(&late.key));
}

#[test]
fn out_of_office_has_a_text_and_both_are_taken_back() {
    let report = api::OutOfOfficeReport {
        away: true,
        from: None,
        until: Some((NOW + 60).to_string()),
        text: Some("Back on Monday".to_owned()),
    };
    let changes = out_of_office(&report, NOW).ok().unwrap();
    let published: Vec<Publication> = changes.into_iter().map(published).collect();
    let expires = Some(Duration::from_secs(60));
    assert!(published.iter().all(|one| one.lifetime == kept(expires)));
    let back = api::OutOfOfficeReport {
        away: false,
        ..report.clone()
    };
    let removed = out_of_office(&back, NOW).ok().unwrap();
    let keys: Vec<&PublicationKey> = removed.iter().map(PublishOne::key).collect();
    assert_eq!(keys, [&published[0].key, &published[1].key]);
    let later = api::OutOfOfficeReport {
        from: Some((NOW + 30).to_string()),
        ..report
    };
    assert!(out_of_office(&later, NOW).is_err());
}

#[test]
fn an_empty_note_is_none() {
    let removed = note(NOTE, NoteKind::Personal, " ", None).ok().unwrap();
    assert!(matches!(removed, PublishOne::Remove { .. }));
    assert!(note(NOTE, NoteKind::Personal, &"x".repeat(1_001), None).is_err());
}

#[test]
fn times_are_rfc_3339_or_unix_seconds() {
    for text in ["1800000000", "2027-01-15T08:00:00Z", "2027-01-15T09:00:00+01:00"] {
        assert_eq!(time(Some(text)).ok(), Some(Some(NOW)), "{text}");
    }
    assert!(time(Some("tomorrow")).is_err());
    assert!(time(Some("1900-01-01T00:00:00Z")).is_err());
}
