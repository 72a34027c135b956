//! What an attacker may put into XML, through every parser of presence that reads it.

use proptest::prelude::*;
use sip_bodies::BodyError;
use sip_bodies::fragment::Fragment;
use sip_bodies::pidf::Presence;
use sip_bodies::resource_lists::ResourceLists;
use sip_bodies::rlmi::ResourceList;
use sip_bodies::watcherinfo::WatcherInfo;
use sip_bodies::xml::{ATTRIBUTES, DEPTH, DOCUMENT_BYTES, ELEMENTS, NAMESPACES};

/// A place in a document where a parser reads: what stands before and behind it, and the parser.
struct Place {
    name: &'static str,
    before: &'static str,
    behind: &'static str,
    parse: fn(&[u8]) -> Result<(), BodyError>,
}

fn presence(body: &[u8]) -> Result<(), BodyError> {
    Presence::parse(body).map(drop)
}

const PLACES: [Place; 10] = [
    Place {
        name: "presence",
        before: "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:a@b'>",
        behind: "</presence>",
        parse: presence,
    },
    Place {
        name: "tuple",
        before: "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:a@b'><tuple id='a'><status/>",
        behind: "</tuple></presence>",
        parse: presence,
    },
    Place {
        name: "contact",
        before: "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:a@b'><tuple id='a'><status/><contact>",
        behind: "</contact></tuple></presence>",
        parse: presence,
    },
    Place {
        name: "activities",
        before: "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:a@b'>\
                 <person xmlns='urn:ietf:params:xml:ns:pidf:data-model'>\
                 <activities xmlns='urn:ietf:params:xml:ns:pidf:rpid'>",
        behind: "</activities></person></presence>",
        parse: presence,
    },
    Place {
        name: "device",
        before: "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:a@b'>\
                 <device xmlns='urn:ietf:params:xml:ns:pidf:data-model'>",
        behind: "</device></presence>",
        parse: presence,
    },
    Place {
        name: "fragment",
        before: "<a>",
        behind: "</a>",
        parse: |body| Fragment::parse(body).map(drop),
    },
    Place {
        name: "rlmi",
        before: "<list xmlns='urn:ietf:params:xml:ns:rlmi' uri='sip:a@b' version='0' fullState='true'>\
                 <resource uri='sip:c@d'><instance id='1' state='pending'>",
        behind: "</instance></resource></list>",
        parse: |body| ResourceList::parse(body).map(drop),
    },
    Place {
        name: "resource-lists",
        before: "<resource-lists xmlns='urn:ietf:params:xml:ns:resource-lists'><list><entry uri='sip:a@b'>",
        behind: "</entry></list></resource-lists>",
        parse: |body| ResourceLists::parse(body, 100).map(drop),
    },
    Place {
        name: "lists in lists",
        before: "<resource-lists xmlns='urn:ietf:params:xml:ns:resource-lists'><list>",
        behind: "</list></resource-lists>",
        parse: |body| ResourceLists::parse(body, 100).map(drop),
    },
    Place {
        name: "watcherinfo",
        before: "<watcherinfo xmlns='urn:ietf:params:xml:ns:watcherinfo' version='0' state='full'>\
                 <watcher-list resource='sip:a@b' package='presence'>\
                 <watcher id='1' status='active' event='approved'>",
        behind: "</watcher></watcher-list></watcherinfo>",
        parse: |body| WatcherInfo::parse(body).map(drop),
    },
];

impl Place {
    fn outcome(&self, prologue: &str, inner: &str) -> Result<(), BodyError> {
        (self.parse)(format!("{prologue}{}{inner}{}", self.before, self.behind).as_bytes())
    }
}

#[test]
fn what_could_reach_out_or_expand_is_refused_everywhere() {
    let bomb = "<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>";
    for place in &PLACES {
        assert_eq!(place.outcome("", "<x xmlns='urn:x'/>"), Ok(()), "{}", place.name);
        for (prologue, inner) in [
            (bomb, "&b;"),
            ("<!DOCTYPE x SYSTEM 'http://example.test/x.dtd'>", ""),
            ("", "<!DOCTYPE x>"),
            ("", "&b;"),
            ("", "<x xmlns='urn:x'>&xxe;</x>"),
            ("<?xml-stylesheet href='x'?>", ""),
            ("", "<?php ?>"),
            (
                "",
                "<i:include xmlns:i='http://www.w3.org/2001/XInclude' href='file:///etc/passwd'/>",
            ),
            (
                "",
                "<i:include xmlns:i='http://www.w3.org/2001/XI&#110;clude' href='file:///etc/passwd'/>",
            ),
        ] {
            let outcome = place.outcome(prologue, inner);
            let refused = matches!(outcome, Err(BodyError::Forbidden(_)));
            assert!(refused, "{} {prologue} {inner}: {outcome:?}", place.name);
        }
    }
}

#[test]
fn floods_end_at_the_limits_everywhere() {
    let declarations: String = (0..NAMESPACES)
        .map(|n| format!("<x xmlns:n{n}='urn:{n}' xmlns='urn:x'>"))
        .collect();
    let on_few: String = (0..4)
        .map(|level| {
            let list: String = (0..50).map(|n| format!(" xmlns:n{level}x{n}='urn:x'")).collect();
            format!("<x xmlns='urn:x'{list}>")
        })
        .collect();
    let attributes: String = (0..=ATTRIBUTES).map(|n| format!(" a{n}='1'")).collect();
    let floods = [
        ("depth", "<x xmlns='urn:x'>".repeat(DEPTH)),
        ("declarations", declarations),
        ("declarations on few elements", on_few),
        ("attributes", format!("<x xmlns='urn:x'{attributes}/>")),
        ("elements", "<x/>".repeat(ELEMENTS)),
        ("length", " ".repeat(DOCUMENT_BYTES)),
    ];
    for place in &PLACES {
        for (what, flood) in &floods {
            let outcome = place.outcome("", flood);
            let limited = matches!(outcome, Err(BodyError::Limit(_) | BodyError::TooLarge(_)));
            assert!(limited, "{} {what}: {outcome:?}", place.name);
        }
    }
}

fn mutated() -> impl Strategy<Value = (usize, Vec<u8>)> {
    let pieces = proptest::collection::vec(
        (
            any::<prop::sample::Index>(),
            "[<>/='\"&;#x!\\[\\]?a-c: \\x00-\\x02]{0,4}",
        ),
        0..5,
    );
    (
        0..PLACES.len(),
        "(<x xmlns='urn:x' id='1'>|</x>|<!\\[CDATA\\[|\\]\\]>|<!--|-->|a|&lt;){0,6}",
        pieces,
    )
        .prop_map(|(place, inner, pieces)| {
            let Some(Place { before, behind, .. }) = PLACES.get(place) else {
                return (place, Vec::new());
            };
            let mut document = format!("{before}{inner}{behind}").into_bytes();
            for (at, piece) in pieces {
                let at = at.index(document.len());
                let end = (at + piece.len()).min(document.len());
                document.splice(at..end, piece.into_bytes());
            }
            (place, document)
        })
}

proptest! {
    #[test]
    fn mutated_documents_never_panic((place, document) in mutated()) {
        let _ = (PLACES[place].parse)(&document);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for place in &PLACES {
            let _ = (place.parse)(&bytes);
        }
    }
}
