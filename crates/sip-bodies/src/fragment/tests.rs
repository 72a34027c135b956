use proptest::prelude::*;

use super::*;

/// The first child of the document's root, kept.
fn keep(document: &str) -> Result<Fragment, BodyError> {
    let mut reader = XmlReader::new(document.as_bytes())?;
    reader.root()?;
    let child = reader.child()?.ok_or(BodyError::Malformed("no child"))?;
    let keeper = Keeper::start(&child)?;
    let kept = keeper.read(&mut reader)?;
    reader.finish()?;
    Ok(kept)
}

fn kept(document: &str) -> String {
    keep(document).unwrap().as_str().to_owned()
}

#[test]
fn namespaces_in_scope_go_with_the_element_that_uses_them() {
    let around = |inner: &str| {
        format!("<r xmlns='urn:r' xmlns:p='urn:p' xmlns:q='urn:q?a&amp;b' xmlns:u='u'>{inner}</r>")
    };
    assert_eq!(kept(&around("<a/>")), "<a xmlns=\"urn:r\"/>");
    assert_eq!(
        kept(&around("<p:a q:b='1'><p:c/></p:a>")),
        "<p:a xmlns:p=\"urn:p\" xmlns:q=\"urn:q?a&amp;b\" q:b=\"1\"><p:c/></p:a>"
    );
    assert_eq!(
        kept(&around("<a xmlns='urn:x' xmlns:p='urn:y'><p:b c='q:t'/></a>")),
        "<a xmlns:q=\"urn:q?a&amp;b\" xmlns=\"urn:x\" xmlns:p=\"urn:y\"><p:b c=\"q:t\"/></a>"
    );
    // Declared on one child, in scope from outside for the next.
    assert_eq!(
        kept(&around("<p:a><b xmlns='urn:b'/><c/></p:a>")),
        "<p:a xmlns=\"urn:r\" xmlns:p=\"urn:p\"><b xmlns=\"urn:b\"/><c/></p:a>"
    );
}

#[test]
fn a_type_without_prefix_takes_the_default_namespace_along() {
    let around = |name: &str| {
        format!(
            "<p:r xmlns:p='urn:p' xmlns='urn:default' xmlns:s='urn:s' xmlns:i='{SCHEMA_INSTANCE}' xmlns:unused='urn:u'>\
             <s:state {name}='q:userState' xmlns:q='urn:q'/></p:r>"
        )
    };
    assert_eq!(
        kept(&around("i:type")),
        format!(
            "<s:state xmlns:i=\"{SCHEMA_INSTANCE}\" xmlns:s=\"urn:s\" i:type=\"q:userState\" xmlns:q=\"urn:q\"/>"
        )
    );
    assert_eq!(
        kept(&around("i:type").replace("q:userState", "userState")),
        format!(
            "<s:state xmlns=\"urn:default\" xmlns:i=\"{SCHEMA_INSTANCE}\" xmlns:s=\"urn:s\" i:type=\"userState\" \
             xmlns:q=\"urn:q\"/>"
        )
    );
    assert_eq!(
        kept(&around("type").replace("q:userState", "userState")),
        "<s:state xmlns:s=\"urn:s\" type=\"userState\" xmlns:q=\"urn:q\"/>"
    );
}

#[test]
fn only_prefixes_that_something_could_use_are_declared() {
    let document = "<a xmlns:p='urn:p' xmlns:ä='urn:q' xmlns:x-p='urn:x' xmlns:b='urn:b' xmlns:c='urn:c'>\
                    <b d='(ä:e)' c='b :'>x-p:f p c</b></a>";
    assert_eq!(
        kept(document),
        "<b xmlns=\"\" xmlns:ä=\"urn:q\" d=\"(ä:e)\" c=\"b :\">x-p:f p c</b>"
    );
}

#[test]
fn an_element_in_no_namespace_stays_in_none() {
    assert_eq!(
        kept("<r xmlns:p='urn:p'><p:a><b/></p:a></r>"),
        "<p:a xmlns=\"\" xmlns:p=\"urn:p\"><b/></p:a>"
    );
    assert_eq!(kept("<a><b/></a>"), "<b xmlns=\"\"/>");
    assert_eq!(kept("<a xmlns='urn:a'><b xmlns=''/></a>"), "<b xmlns=\"\"/>");
}

#[test]
fn cdata_and_references_become_text_and_comments_go() {
    assert_eq!(
        kept("<r><a b='&#10;\"'>x<!-- no --><![CDATA[<&>]]>&#13;\r\n&#x1F600;<d></d></a></r>"),
        "<a xmlns=\"\" b=\"&#10;&quot;\">x&lt;&amp;&gt;&#13;\n\u{1f600}<d/></a>"
    );
}

#[test]
fn what_the_reader_forgives_is_not_kept() {
    for inner in [
        "<1/>",
        "<a:b:c/>",
        "<xmlns:a/>",
        "<a 1='x'/>",
        "<a p:b='x'/>",
        "<a xmlns:p=''/>",
        "<a xmlns:p='urn:p' xmlns:q='urn:p' p:b='1' q:b='2'/>",
        "<a>\u{1}</a>",
        "<a b='\u{1}'/>",
        "<a b='&#1;'/>",
        "<a xmlns='&#2;'/>",
        "<b\"c/>",
        "<b><c d:e='1'/></b>",
        "<b :c='1'/>",
        "<b c='&unknown;'/>",
        "<b><c d='&unknown;'/></b>",
        "<b><c xmlns:d=''/></b>",
        "<b:c:d xmlns:b='urn:b'/>",
        "<b c='\u{ffff}'/>",
        "<b>\u{0}</b>",
    ] {
        let outcome = keep(&format!("<r>{inner}</r>"));
        assert!(
            matches!(outcome, Err(BodyError::Malformed(_))),
            "{inner}: {outcome:?}"
        );
    }
    let outcome = keep("<r xmlns:p='&#2;'><p:a/></r>");
    assert!(matches!(outcome, Err(BodyError::Malformed(_))), "{outcome:?}");
}

#[test]
fn children_of_a_tuple_and_a_device_come_into_the_order_of_the_schema() {
    let tuple = format!(
        "<r xmlns='{PIDF}'><tuple id='t'> <timestamp/> <note>n</note> <contact/> <x xmlns='urn:x'/> <odd/> \
         <y xmlns=''/> <status> </status> </tuple></r>"
    );
    assert_eq!(
        kept(&tuple),
        format!(
            "<tuple xmlns=\"{PIDF}\" id=\"t\"><status> </status><x xmlns=\"urn:x\"/><contact/><note>n</note>\
             <timestamp/></tuple>"
        )
    );
    let device =
        format!("<r xmlns='{DATA_MODEL}'><device><deviceID>u</deviceID><x xmlns='urn:x'/></device></r>");
    assert_eq!(
        kept(&device),
        format!("<device xmlns=\"{DATA_MODEL}\"><x xmlns=\"urn:x\"/><deviceID>u</deviceID></device>")
    );
}

#[test]
fn ids_are_found_and_renamed() {
    let text = format!(
        "<person xmlns='{DATA_MODEL}' xmlns:r='urn:ietf:params:xml:ns:pidf:rpid' id='p'><r:mood id='m'/>\
         <x xmlns='urn:x' id='kept' xml:id='x'/></person>"
    );
    let fragment = Fragment::parse(text.as_bytes()).unwrap();
    assert_eq!(fragment.ids(), ["p", "m", "x"]);
    let renamed = fragment
        .rename_ids(&mut |id| format!("{}-2", id.unwrap_or("new")))
        .unwrap();
    assert_eq!(renamed.ids(), ["p-2", "m-2", "x-2"]);
    assert!(
        renamed
            .as_str()
            .contains("<x xmlns=\"urn:x\" id=\"kept\" xml:id=\"x-2\"/>")
    );
    let nameless = Fragment::parse(format!("<person xmlns='{DATA_MODEL}'/>").as_bytes()).unwrap();
    assert!(nameless.needs_id() && nameless.ids().is_empty());
    let named = nameless
        .rename_ids(&mut |id| format!("{}-2", id.unwrap_or("new")))
        .unwrap();
    assert_eq!(
        named.as_str(),
        format!("<person xmlns=\"{DATA_MODEL}\" id=\"new-2\"/>")
    );
    assert!(!named.needs_id());
}

#[test]
fn every_limit_holds_at_its_value_and_one_above() {
    let long = |bytes: usize| format!("<a><b>{}</b></a>", "x".repeat(bytes - "<b xmlns=\"\"></b>".len()));
    assert_eq!(kept(&long(FRAGMENT_BYTES)).len(), FRAGMENT_BYTES);
    let outcome = keep(&long(FRAGMENT_BYTES + 1));
    assert!(matches!(outcome, Err(BodyError::TooLarge(_))), "{outcome:?}");
    // Each character of it becomes five.
    let growing = format!("<a><b><![CDATA[{}]]></b></a>", "&".repeat(FRAGMENT_BYTES / 5));
    let outcome = keep(&growing);
    assert!(matches!(outcome, Err(BodyError::TooLarge(_))), "{outcome:?}");

    let scope = |bytes: usize| format!("<a xmlns:p='{}'><p:b/></a>", "x".repeat(bytes - 1));
    assert!(keep(&scope(SCOPE_BYTES)).is_ok());
    assert!(matches!(keep(&scope(SCOPE_BYTES + 1)), Err(BodyError::Limit(_))));
    let inside = |bytes: usize| format!("<a><b xmlns='{}'/></a>", "x".repeat(bytes));
    assert!(keep(&inside(SCOPE_BYTES)).is_ok());
    assert!(matches!(keep(&inside(SCOPE_BYTES + 1)), Err(BodyError::Limit(_))));

    let attributes = |count: usize| {
        let list: String = (1..count).map(|n| format!(" c{n}='1'")).collect();
        format!("<a xmlns:p='urn:p'><p:b{list}/></a>")
    };
    let full = kept(&attributes(ATTRIBUTES));
    assert!(Fragment::parse(full.as_bytes()).is_ok());
    let outcome = keep(&attributes(ATTRIBUTES + 1));
    assert!(matches!(outcome, Err(BodyError::Limit(_))), "{outcome:?}");
}

#[test]
fn the_longest_and_the_fullest_element_can_still_get_other_ids() {
    let id = "i".repeat(FRAGMENT_BYTES - format!("<person xmlns=\"{DATA_MODEL}\" id=\"\"/>").len());
    let longest = Fragment::parse(format!("<person xmlns='{DATA_MODEL}' id='{id}'/>").as_bytes()).unwrap();
    assert_eq!(longest.as_str().len(), FRAGMENT_BYTES);
    let renamed = longest
        .rename_ids(&mut |id| format!("{}-2", id.unwrap_or_default()))
        .unwrap();
    assert_eq!(renamed.ids(), [format!("{id}-2")]);

    let nameless = |attributes: usize| {
        let list: String = (0..attributes).map(|n| format!(" c{n}='1'")).collect();
        Fragment::parse(format!("<d:person xmlns:d='{DATA_MODEL}'{list}/>").as_bytes())
    };
    let fullest = nameless(ATTRIBUTES - 2).unwrap();
    let named = fullest.rename_ids(&mut |_| "p".to_owned()).unwrap();
    assert_eq!(named.ids(), ["p"]);
    assert!(matches!(nameless(ATTRIBUTES - 1), Err(BodyError::Limit(_))));
}

/// What a reader understands: names with their namespaces, attributes with theirs, texts.
fn meaning(document: &str) -> Vec<String> {
    let mut reader = XmlReader::new(document.as_bytes()).unwrap();
    let mut seen = vec![String::new()];
    loop {
        match reader.next().unwrap() {
            XmlEvent::Start(element) => {
                seen.push(format!("<{:?}{}", element.namespace(), element.local_name()));
                for (name, value) in element.attributes().unwrap() {
                    if declared_prefix(name).is_none() {
                        let namespace = element.resolve(name, NameKind::Attribute).unwrap();
                        let local = name.rsplit(':').next().unwrap();
                        seen.push(format!("@{namespace:?}{local}={value}"));
                    }
                }
                seen.push(String::new());
            }
            XmlEvent::End => seen.extend(["/".to_owned(), String::new()]),
            XmlEvent::Text(text) => seen.last_mut().unwrap().push_str(&text),
            XmlEvent::Eof => return seen,
        }
    }
}

/// Elements over a few names, prefixes and namespaces, all declared around them or inside.
fn declared_element() -> impl Strategy<Value = String> {
    let value = "[a-c:'<>&\u{1}\n]{0,5}".prop_map(|text| crate::xml::escaped(&text).into_owned());
    let tag = (
        "(p:|q:)?[a-c]",
        proptest::option::of("(p:|xml:)?[d-f]"),
        value.clone(),
        prop_oneof!["", " xmlns='urn:[a-b]?'", " xmlns:p='urn:c'"],
    );
    let leaf = (tag.clone(), value.clone()).prop_map(|((name, attribute, value, declared), text)| {
        let attribute = attribute.map_or(String::new(), |key| format!(" {key}=\"{value}\""));
        format!("<{name}{declared}{attribute}>{text}</{name}>")
    });
    leaf.prop_recursive(4, 24, 4, move |inner| {
        (tag.clone(), proptest::collection::vec(inner, 0..4)).prop_map(
            |((name, attribute, value, declared), children)| {
                let attribute = attribute.map_or(String::new(), |key| format!(" {key}=\"{value}\""));
                format!("<{name}{declared}{attribute}>{}</{name}>", children.concat())
            },
        )
    })
}

/// Elements with prefixes, declarations, attributes and text in any mixture; most are well formed.
fn element() -> impl Strategy<Value = String> {
    let attributes = "( (xmlns|xmlns:p|p:a|id|b)='(urn:p|q:x|&lt;x)'){0,3}";
    let leaf = (attributes, "[a-z &]{0,4}")
        .prop_map(|(a, text)| format!("<p:l{a}>{}</p:l>", text.replace('&', "&amp;")));
    leaf.prop_recursive(4, 24, 4, move |inner| {
        (attributes, "(q:|p:|)[ab]", proptest::collection::vec(inner, 0..4))
            .prop_map(|(a, name, inner)| format!("<{name}{a}>{}</{name}>", inner.concat()))
    })
}

proptest! {
    #[test]
    fn a_kept_element_is_a_document_that_means_the_same(inner in declared_element()) {
        let outer = format!("<r xmlns='urn:r' xmlns:p='urn:p' xmlns:q='&quot;q'>{inner}</r>");
        let kept = keep(&outer).unwrap();
        // The same without the root around it.
        let (all, inner) = (meaning(&outer), meaning(kept.as_str()));
        prop_assert_eq!(&all[2..all.len() - 2], &inner[..]);
        prop_assert_eq!(Fragment::parse(kept.as_str().as_bytes()), Ok(kept));
    }

    #[test]
    fn random_markup_is_kept_well_formed_or_refused(document in "[<>/a-c=\"'&;! ?\\-\\[\\]#x0-9:\u{1}]{0,60}") {
        if let Ok(kept) = Fragment::parse(format!("<a>{document}</a>").as_bytes()) {
            prop_assert_eq!(Fragment::parse(kept.as_str().as_bytes()), Ok(kept));
        }
    }

    #[test]
    fn what_was_kept_is_kept_unchanged_in_any_document(element in element()) {
        let first = format!("<r xmlns='urn:r' xmlns:p='urn:1' xmlns:q='urn:2'>{element}</r>");
        if let Ok(first) = keep(&first) {
            prop_assert_eq!(Fragment::parse(first.as_str().as_bytes()), Ok(first.clone()));
            let elsewhere = format!("<s xmlns='urn:s' xmlns:p='urn:3'>{}</s>", first.as_str());
            prop_assert_eq!(keep(&elsewhere), Ok(first));
        }
    }

    #[test]
    fn random_markup_never_panics(document in "(<[pq]?:?[ab]( xmlns(:p)?=\"[a&;]{0,2}\"| (p:)?id='x')*/?>|</[ab]>|[x&;#1]){0,12}") {
        if let Ok(fragment) = Fragment::parse(document.as_bytes()) {
            prop_assert_eq!(Fragment::parse(fragment.as_str().as_bytes()), Ok(fragment));
        }
    }
}
