//! What holds for all documents: printing and parsing are inverse, any bytes are survived, attacks are refused.

use std::fmt::Debug;

use proptest::prelude::*;

use super::batch_subscribe::BatchSubscribe;
use super::categories::Categories;
use super::contact_card::ContactCard;
use super::contacts::{ContactDelta, ContactList};
use super::containers::SetContainerMembers;
use super::device::{Device, Services};
use super::fault::Fault;
use super::note::Note;
use super::provisioning::{ProvisioningAnswer, ProvisioningQuestion};
use super::publish::Publish;
use super::roaming_self::{RoamingData, RoamingList};
use super::set_subscribers::SetSubscribers;
use super::soap::{SoapAnswer, SoapRequest};
use super::state::State;
use crate::BodyError;
use crate::fragment::Fragment;

mod values;

/// A document that can be printed and read.
trait Document: Sized + PartialEq + Debug {
    const NAME: &'static str;
    fn read(body: &[u8]) -> Result<Self, BodyError>;
    fn write(&self) -> Vec<u8>;
    /// Whether printing tells all there is.
    fn is_complete(&self) -> bool {
        true
    }
}

macro_rules! documents {
    ($($kind:ty),*) => { $(
        impl Document for $kind {
            const NAME: &'static str = stringify!($kind);
            fn read(body: &[u8]) -> Result<Self, BodyError> { Self::parse(body) }
            fn write(&self) -> Vec<u8> { self.print().to_vec() }
        }
    )* };
}

macro_rules! elements {
    ($($kind:ty),*) => { $(
        impl Document for $kind {
            const NAME: &'static str = stringify!($kind);
            fn read(body: &[u8]) -> Result<Self, BodyError> { Self::parse(body) }
            fn write(&self) -> Vec<u8> { self.print().as_str().as_bytes().to_vec() }
        }
    )* };
}

documents!(
    BatchSubscribe,
    Categories,
    ContactDelta,
    ContactList,
    Fault,
    ProvisioningAnswer,
    ProvisioningQuestion,
    Publish,
    RoamingData,
    RoamingList,
    SetContainerMembers,
    SetSubscribers,
    SoapAnswer
);
elements!(ContactCard, Device, Note, Services, State);

impl Document for SoapRequest {
    const NAME: &'static str = "SoapRequest";

    fn read(body: &[u8]) -> Result<Self, BodyError> {
        Self::parse(body)
    }

    fn write(&self) -> Vec<u8> {
        self.print().to_vec()
    }

    fn is_complete(&self) -> bool {
        // Of what is unknown not even the namespace is kept.
        !matches!(self, SoapRequest::Unknown(_))
    }
}

impl Document for Fragment {
    const NAME: &'static str = "Fragment";

    fn read(body: &[u8]) -> Result<Self, BodyError> {
        Self::parse(body)
    }

    fn write(&self) -> Vec<u8> {
        self.as_str().as_bytes().to_vec()
    }
}

/// Reads `body`; what is understood is the same after it was printed.
fn check<D: Document>(body: &[u8]) {
    if let Ok(document) = D::read(body)
        && document.is_complete()
    {
        assert_eq!(D::read(&document.write()), Ok(document), "{}", D::NAME);
    }
}

const CHECKS: [fn(&[u8]); 20] = [
    check::<BatchSubscribe>,
    check::<Categories>,
    check::<ContactCard>,
    check::<ContactDelta>,
    check::<ContactList>,
    check::<Device>,
    check::<Fault>,
    check::<Fragment>,
    check::<Note>,
    check::<ProvisioningAnswer>,
    check::<ProvisioningQuestion>,
    check::<Publish>,
    check::<RoamingData>,
    check::<RoamingList>,
    check::<Services>,
    check::<SetContainerMembers>,
    check::<SetSubscribers>,
    check::<SoapAnswer>,
    check::<SoapRequest>,
    check::<State>,
];

/// Attacks on the reader of `D`, hidden in a document that it would take.
fn attack<D: Document>(document: &D) {
    let good = String::from_utf8(document.write()).unwrap();
    assert!(D::read(good.as_bytes()).is_ok(), "{}", D::NAME);
    let root = good.strip_prefix('<').unwrap();
    let name = root.split(|c: char| " />".contains(c)).next().unwrap();
    let (start, end) = (format!("<{name}"), format!("</{name}>"));
    let filled = match good.strip_suffix(&end) {
        Some(open) => open.to_owned(),
        None => format!("{}>", good.strip_suffix("/>").unwrap()),
    };
    let with_attribute = |attribute: &str| good.replacen(&start, &format!("{start} {attribute}"), 1);
    for bad in [
        format!("<!DOCTYPE {name} [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>{good}"),
        format!("<!DOCTYPE {name} [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;&a;'>]>{filled}&b;{end}"),
        format!("{filled}&e;{end}"),
        format!("{filled}<?php ?>{end}"),
        format!("<?xml-stylesheet href='x'?>{good}"),
        with_attribute("xmlns:xi='http://www.w3.org/2001/XInclude'"),
        with_attribute("xmlns:xi='http://www.w3.org/2001&#47;XInclude'"),
    ] {
        let outcome = D::read(bad.as_bytes());
        assert!(
            matches!(outcome, Err(BodyError::Forbidden(_))),
            "{bad}: {outcome:?}"
        );
    }
    let deep = format!("{filled}{}{}{end}", "<x>".repeat(40), "</x>".repeat(40));
    let many = format!("{filled}{}{end}", "<x/>".repeat(crate::xml::ELEMENTS));
    let long = format!("{filled}{}{end}", " ".repeat(crate::xml::DOCUMENT_BYTES));
    for (bad, bound) in [(deep, "depth"), (many, "elements"), (long, "length")] {
        let outcome = D::read(bad.as_bytes());
        assert!(
            matches!(outcome, Err(BodyError::Limit(_) | BodyError::TooLarge(_))),
            "{}, {bound}: {outcome:?}",
            D::NAME
        );
    }
    for bad in [format!("{good}x"), format!("{good}{good}"), filled] {
        let outcome = D::read(bad.as_bytes());
        assert!(
            matches!(outcome, Err(BodyError::Malformed(_))),
            "{bad}: {outcome:?}"
        );
    }
}

/// One test for each document: what is printed is read back, attacks are refused, and changes are survived.
macro_rules! documents_of {
    ($($test:ident: $kind:ty = $strategy:expr;)*) => { $(
        mod $test {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(64))]

                #[test]
                fn print_and_parse_are_inverse(document in $strategy) {
                    let printed = document.write();
                    prop_assert!(std::str::from_utf8(&printed).is_ok());
                    prop_assert_eq!(<$kind>::read(&printed), Ok(document));
                }

                #[test]
                fn a_changed_document_is_survived(
                    document in $strategy,
                    at in any::<prop::sample::Index>(),
                    length in 0..12_usize,
                    new in "([<>/='\"&;: a-z0-9]|xmlns|&lt;|<a/>){0,6}",
                ) {
                    let mut body = document.write();
                    let start = at.index(body.len());
                    let end = (start + length).min(body.len());
                    body.splice(start..end, new.bytes());
                    for check in CHECKS {
                        check(&body);
                    }
                }
            }

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(4))]

                #[test]
                fn attacks_are_refused(document in $strategy) {
                    attack(&document);
                }
            }
        }
    )* };
}

documents_of! {
    batch_subscribe: BatchSubscribe = values::batch_subscribe();
    categories: Categories = values::categories();
    contact_card: ContactCard = values::contact_card();
    contact_delta: ContactDelta = values::contact_delta();
    contact_list: ContactList = values::contact_list();
    device: Device = values::device();
    fault: Fault = values::fault();
    note: Note = values::note();
    provisioning_answer: ProvisioningAnswer = values::provisioning_answer();
    provisioning_question: ProvisioningQuestion = values::provisioning_question();
    publish: Publish = values::publish();
    roaming_data: RoamingData = values::roaming_data();
    roaming_list: RoamingList = values::roaming_list();
    services: Services = values::services();
    set_container_members: SetContainerMembers = values::set_container_members();
    set_subscribers: SetSubscribers = values::set_subscribers();
    soap_answer: SoapAnswer = values::soap_answer();
    soap_request: SoapRequest = values::soap_request();
    state: State = values::state();
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for check in CHECKS {
            check(&bytes);
        }
    }

    #[test]
    fn any_name_is_printed_as_xml_that_can_be_read(name in any::<String>()) {
        let card = ContactCard { display_name: Some(format!("x{name}x")), ..ContactCard::default() };
        let expected: String = name
            .chars()
            .map(|c| match c {
                '\t' | '\n' | '\r' => c,
                '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
                _ => c,
            })
            .collect();
        let read = ContactCard::parse(card.print().as_str().as_bytes()).unwrap();
        prop_assert_eq!(read.display_name, Some(format!("x{expected}x")));
    }
}
