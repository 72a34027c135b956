use super::*;

fn uri(text: &str) -> Uri {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_sip_uri_is_taken_apart() {
    let parsed = uri("sips:alice:se,cret@Example.com:5061;transport=tcp;lr?Subject=x%20y&Priority=urgent");
    assert_eq!(parsed.scheme(), "sips");
    assert!(parsed.is_sip() && parsed.is_sips());
    assert_eq!(parsed.user(), Some("alice"));
    assert_eq!(parsed.password(), Some("se,cret"));
    assert_eq!(parsed.host(), "Example.com");
    assert_eq!(parsed.port(), Some(5061));
    assert_eq!(parsed.params().text("Transport").unwrap(), "tcp");
    assert!(parsed.params().has("lr"));
    let headers: Vec<_> = parsed.headers().collect();
    assert_eq!(headers, [("Subject", "x%20y"), ("Priority", "urgent")]);
}

#[test]
fn the_user_part_may_look_like_parameters_headers_and_paths() {
    let parsed = uri("sip:user;par=u%40example.net@example.com");
    assert_eq!(parsed.user(), Some("user;par=u%40example.net"));
    assert_eq!(parsed.user_decoded().unwrap(), "user;par=u@example.net");
    assert_eq!(parsed.host(), "example.com");
    let odd = uri("sip:a/b?c;d(e)!f~*'$x:p&w=d@h.example");
    assert_eq!(odd.user(), Some("a/b?c;d(e)!f~*'$x"));
    assert_eq!(odd.password(), Some("p&w=d"));
}

#[test]
fn hosts_may_be_ipv6_references() {
    let parsed = uri("sip:[2001:db8::10:5070]");
    assert_eq!(
        (parsed.host(), parsed.port(), parsed.user()),
        ("[2001:db8::10:5070]", None, None)
    );
    assert_eq!(parsed.host_ip(), Some("2001:db8::10:5070".parse().unwrap()));
    assert_eq!(uri("sip:a@[::1]:5060;lr").port(), Some(5060));
}

#[test]
fn a_gruu_names_its_user() {
    let gruu = uri("sip:Alice@example.test;opaque=user:epid:CF4L2AMcWg2NmvFJquaVSgAA;gruu");
    assert_eq!(gruu.aor().unwrap().as_str(), "alice@example.test");
    assert_eq!(
        gruu.params().text("opaque").unwrap(),
        "user:epid:CF4L2AMcWg2NmvFJquaVSgAA"
    );
    assert!(gruu.params().has("gruu"));
    assert_eq!(uri("sip:example.test").aor(), None);
    assert_eq!(uri("tel:+123").aor(), None);
}

#[test]
fn telephone_numbers_are_read() {
    let tel = uri("tel:+1-201-555-0123;phone-context=example.com");
    assert!(tel.is_tel() && !tel.is_sip());
    assert_eq!(tel.telephone_number(), Some("+1-201-555-0123"));
    assert_eq!(tel.params().text("phone-context").unwrap(), "example.com");
    assert!("tel:abcxyz".parse::<Uri>().is_err());
}

#[test]
fn other_schemes_are_kept_verbatim() {
    for text in [
        "http://www.example.com/a?b#c",
        "urn:uuid:f81d4fae-7dec",
        "nobodyKnows:opaque",
        "im:bob@example.test",
    ] {
        let parsed = uri(text);
        assert_eq!(parsed.to_string(), text);
        assert!(!parsed.is_sip());
        assert_eq!(parsed.host(), "");
    }
}

#[test]
fn malformed_uris_are_refused() {
    for bad in [
        "",
        "sip",
        "sip:",
        ":a",
        "1sip:a",
        "sip:@h",
        "sip:a@",
        "sip:a@h@i",
        "sip:a b@h",
        "sip:a@h;",
        "sip:a@h;;x",
        "sip:a@h;x=\"y\"",
        "sip:a@h;x=%4",
        "sip:a%zz@h",
        "sip:a@h?",
        "sip:a@h?x",
        "sip:a@h?x=a@b",
        "sip:2001:db8::10",
        "sip:a@h:",
        "sip:a@h:99999",
        "<sip:a@h>",
        "sip:ä@h",
        "sip:a@h ",
        "sip:a@[::g]",
    ] {
        assert!(bad.parse::<Uri>().is_err(), "{bad:?}");
    }
    assert!(
        format!("sip:{}@h", "a".repeat(crate::limits::START_LINE))
            .parse::<Uri>()
            .is_err()
    );
}

#[test]
fn equivalence_follows_rfc_3261() {
    let same = [
        (
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtLanTa.CoM;Transport=tcp",
        ),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;newparam=5",
        ),
        (
            "sip:h;transport=tcp?to=a%40b&x=1",
            "sip:h;transport=tcp?x=1&to=a%40b",
        ),
        (
            "sip:alice@h?Subject=next%20meeting",
            "sip:alice@h?subject=next%20meeting",
        ),
        ("sip:[2001:db8::0:1]", "sip:[2001:DB8::1]"),
        ("TEL:+1", "tel:+1"),
    ];
    for (one, other) in same {
        assert!(uri(one).equivalent(&uri(other)), "{one} = {other}");
        assert!(uri(other).equivalent(&uri(one)), "{other} = {one}");
    }
    let different = [
        ("SIP:ALICE@h", "sip:alice@h"),
        ("sip:bob@h", "sip:bob@h:5060"),
        ("sip:bob@h", "sips:bob@h"),
        ("sip:bob@h;transport=udp", "sip:bob@h;transport=tcp"),
        ("sip:bob@h;transport=udp", "sip:bob@h"),
        ("sip:bob@h", "sip:bob@h;maddr=10.0.0.1"),
        ("sip:bob@h", "sip:bob@h?Subject=x"),
        ("sip:bob@h", "sip:h"),
        ("sip:a:b@h", "sip:a@h"),
        ("sip:bob@h;method=A", "sip:bob@h"),
    ];
    for (one, other) in different {
        assert!(!uri(one).equivalent(&uri(other)), "{one} /= {other}");
        assert!(!uri(other).equivalent(&uri(one)), "{other} /= {one}");
    }
}
