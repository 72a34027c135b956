use proptest::prelude::*;

use super::*;

/// Reads the whole document: its text, or what is wrong with it.
fn read(document: &str) -> Result<String, BodyError> {
    let mut reader = XmlReader::new(document.as_bytes())?;
    let mut text = String::new();
    loop {
        match reader.next()? {
            XmlEvent::Text(piece) => text.push_str(&piece),
            XmlEvent::Eof => return Ok(text),
            XmlEvent::Start(_) | XmlEvent::End => {}
        }
    }
}

#[test]
fn text_references_and_cdata_are_read() {
    let document = "<?xml version=\"1.0\"?>\r\n<a> x &lt;&#x41;&#66; <![CDATA[<b>]]></a>\r\n<!-- end -->";
    assert_eq!(read(document), Ok(" x <AB <b>".to_owned()));
}

#[test]
fn names_are_resolved_to_their_namespaces() {
    let mut reader =
        XmlReader::new(b"<p:a xmlns:p='urn:one' xmlns='urn:two'><b c=\"&quot;1&quot;\"/></p:a>").unwrap();
    let XmlEvent::Start(a) = reader.next().unwrap() else {
        panic!("no start")
    };
    assert!(a.is("urn:one", "a"));
    let XmlEvent::Start(b) = reader.next().unwrap() else {
        panic!("no start")
    };
    assert!(b.is("urn:two", "b"));
    assert_eq!(b.attribute("c"), Ok(Some("\"1\"".to_owned())));
    assert_eq!(b.attribute("d"), Ok(None));
    reader.finish().unwrap();
}

#[test]
fn a_value_of_characters_that_xml_does_not_allow_is_malformed() {
    for value in ["&#3;", "&#xffff;", "&unknown;"] {
        let document = format!("<a b='{value}' xmlns:p='urn:p' p:c='{value}'/>");
        let mut reader = XmlReader::new(document.as_bytes()).unwrap();
        let root = reader.root().unwrap();
        let outcome = root.attribute("b");
        assert!(matches!(outcome, Err(BodyError::Malformed(_))), "{outcome:?}");
        let outcome = root.attribute_in("urn:p", "c");
        assert!(matches!(outcome, Err(BodyError::Malformed(_))), "{outcome:?}");
    }
}

#[test]
fn what_could_reach_out_or_expand_is_refused() {
    let forbidden = [
        "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
        "<!DOCTYPE a SYSTEM \"http://example.test/a.dtd\"><a/>",
        "<a>&x;</a>",
        "<?xml-stylesheet href='x'?><a/>",
        "<a><?php ?></a>",
        "<a xmlns:xi='http://www.w3.org/2001/XInclude'><xi:include href='file:///etc/passwd'/></a>",
        "<a xmlns:xi='http://www.w3.org/2001/XInclud&#101;'><xi:include href='file:///etc/passwd'/></a>",
        "<a xmlns:xi='&#104;ttp://www.w3.org/2001/XInclude'><xi:include href='file:///etc/passwd'/></a>",
    ];
    for document in forbidden {
        assert!(
            matches!(read(document), Err(BodyError::Forbidden(_))),
            "{document}: {:?}",
            read(document)
        );
    }
}

#[test]
fn broken_documents_are_malformed() {
    let broken = [
        "",
        "   ",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "x<a/>",
        "<a/>x",
        "<a b='1' b='2'/>",
        "<a b=1/>",
        "<a>&#0;</a>",
        "<a>&#1;</a>",
        "<a>&#xd800;</a>",
        "<a>&amp</a>",
        "<p:a/>",
        "<a/><?xml version='1.0'?>",
        "</a>",
        "<a>]]>",
    ];
    for document in broken {
        assert!(
            matches!(read(document), Err(BodyError::Malformed(_))),
            "{document}: {:?}",
            read(document)
        );
    }
    // Wherever they stand: also what nobody reads is passed on.
    for character in ["\0", "\u{1}", "\u{b}", "\u{1f}", "\u{fffe}", "\u{ffff}"] {
        for document in [
            format!("<a>{character}</a>"),
            format!("<a b='{character}'/>"),
            format!("<!--{character}--><a/>"),
        ] {
            let outcome = XmlReader::new(document.as_bytes()).err();
            assert!(
                matches!(outcome, Some(BodyError::Malformed(_))),
                "{document:?}: {outcome:?}"
            );
        }
    }
    assert!(XmlReader::new("<a>\t\r\n\u{7f}\u{85}\u{fffd}</a>".as_bytes()).is_ok());
    assert!(matches!(
        XmlReader::new(b"<a>\xff</a>"),
        Err(BodyError::Unsupported(_))
    ));
}

#[test]
fn every_limit_holds_at_its_value_and_one_above() {
    let deep = |levels: usize| "<a>".repeat(levels) + &"</a>".repeat(levels);
    assert!(read(&deep(DEPTH)).is_ok());
    assert!(matches!(read(&deep(DEPTH + 1)), Err(BodyError::Limit(_))));

    let wide = |elements: usize| format!("<a>{}</a>", "<b/>".repeat(elements - 1));
    assert!(read(&wide(ELEMENTS)).is_ok());
    assert!(matches!(read(&wide(ELEMENTS + 1)), Err(BodyError::Limit(_))));

    let attributes = |count: usize| {
        let list: String = (0..count).map(|n| format!(" b{n}='1'")).collect();
        format!("<a{list}/>")
    };
    assert!(read(&attributes(ATTRIBUTES)).is_ok());
    assert!(matches!(
        read(&attributes(ATTRIBUTES + 1)),
        Err(BodyError::Limit(_))
    ));

    let long = |bytes: usize| format!("<a>{}</a>", "x".repeat(bytes - 7));
    assert!(read(&long(DOCUMENT_BYTES)).is_ok());
    assert!(matches!(
        read(&long(DOCUMENT_BYTES + 1)),
        Err(BodyError::Limit(_))
    ));

    let declarations = |count: usize| {
        let half =
            |from: usize, to: usize| (from..to).map(|n| format!(" xmlns:n{n}='u'")).collect::<String>();
        format!(
            "<a{}><b{}><c{}/></b></a>",
            half(0, 60),
            half(60, 120),
            half(120, count)
        )
    };
    assert!(read(&declarations(NAMESPACES)).is_ok());
    assert!(matches!(
        read(&declarations(NAMESPACES + 1)),
        Err(BodyError::Limit(_))
    ));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(reader) = XmlReader::new(&bytes) {
            let _ = reader.finish();
        }
    }

    #[test]
    fn random_markup_never_panics(document in "[<>/a-c=\"'&;! ?\\-\\[\\]#x0-9:]{0,80}") {
        let _ = read(&document);
    }

    #[test]
    fn escaped_text_is_read_back(text in "[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\u{fffe}\u{ffff}]{0,60}") {
        let document = format!("<a b=\"{0}\">{0}</a>", escaped(&text));
        let mut reader = XmlReader::new(document.as_bytes()).unwrap();
        let XmlEvent::Start(element) = reader.next().unwrap() else { panic!("no start") };
        prop_assert_eq!(element.attribute("b").unwrap().unwrap(), text.clone());
        prop_assert_eq!(reader.text_of_element().unwrap(), text);
    }
}
