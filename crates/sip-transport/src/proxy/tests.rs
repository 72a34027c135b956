use super::*;
use proptest::prelude::*;

const CAP: usize = 232;

fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.extend([command, family]);
    header.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    header.extend(rest);
    header
}

/// 192.0.2.7:40000 to 198.51.100.1:5061.
const IPV4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x9c, 0x40, 0x13, 0xc5];

fn with_checksum(rest: &[u8]) -> Vec<u8> {
    let mut rest = rest.to_vec();
    rest.extend([TYPE_CRC32C, 0, 4, 0, 0, 0, 0]);
    let mut header = header(0x21, 0x11, &rest);
    let mut crc = crc32c::Crc32c::new();
    crc.update(&header);
    let end = header.len() - 4;
    header[end..].copy_from_slice(&crc.finish().to_be_bytes());
    header
}

fn source(bytes: &[u8]) -> SocketAddr {
    match parse(bytes, CAP) {
        Ok(Some((ProxyHeader::Proxied { source, .. }, _))) => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn addresses_are_read_and_the_rest_is_left() {
    let mut bytes = header(0x21, 0x11, &IPV4);
    let length = bytes.len();
    bytes.extend(b"\x16\x03\x01");
    assert_eq!(
        parse(&bytes, CAP),
        Ok(Some((
            ProxyHeader::Proxied {
                source: "192.0.2.7:40000".parse().unwrap(),
                destination: "198.51.100.1:5061".parse().unwrap(),
            },
            length
        )))
    );
    let mut ipv6 = [0; 36];
    ipv6[15] = 1;
    ipv6[31] = 2;
    ipv6[33] = 80;
    assert_eq!(source(&header(0x21, 0x21, &ipv6)), "[::1]:80".parse().unwrap());
}

#[test]
fn a_mapped_address_counts_as_ipv4() {
    let mut ipv6 = [0; 36];
    ipv6[10..16].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 7]);
    assert_eq!(source(&header(0x21, 0x21, &ipv6)), "192.0.2.7:0".parse().unwrap());
}

#[test]
fn local_and_unknown_families_leave_the_sockets_own_address() {
    for (bytes, expect) in [
        (header(0x20, 0x00, &[]), ProxyHeader::Local),
        (header(0x20, 0x11, &IPV4), ProxyHeader::Local),
        (header(0x21, 0x00, b"whatever"), ProxyHeader::Unknown),
        (header(0x21, 0x31, &[0; 216]), ProxyHeader::Unknown),
    ] {
        assert_eq!(parse(&bytes, CAP), Ok(Some((expect, bytes.len()))));
    }
}

#[test]
fn unknown_tlvs_are_skipped_and_the_checksum_is_verified() {
    let tlvs = [&IPV4[..], &[0xea, 0, 2, 1, 2], &[0x04, 0, 0]].concat();
    assert_eq!(
        source(&header(0x21, 0x11, &tlvs)),
        "192.0.2.7:40000".parse().unwrap()
    );

    let good = with_checksum(&tlvs);
    assert_eq!(source(&good), "192.0.2.7:40000".parse().unwrap());
    for at in FIXED..FIXED + 12 {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(parse(&bad, CAP), Err(ProxyError::Checksum));
    }
    let short = [&IPV4[..], &[TYPE_CRC32C, 0, 3, 1, 2, 3]].concat();
    assert_eq!(
        parse(&header(0x21, 0x11, &short), CAP),
        Err(ProxyError::Truncated)
    );
}

#[test]
fn faults_are_found_as_early_as_possible() {
    for (bytes, error) in [
        (b"REGISTER sip".to_vec(), ProxyError::NotAHeader),
        (b"\r\n\r\nREG".to_vec(), ProxyError::NotAHeader),
        (b"\x16\x03\x01".to_vec(), ProxyError::NotAHeader),
        (header(0x11, 0x11, &IPV4), ProxyError::UnknownVersion),
        (header(0x22, 0x11, &IPV4), ProxyError::UnknownVersion),
        (header(0x21, 0x12, &IPV4), ProxyError::NotAStream),
        (header(0x21, 0x11, &IPV4[..11]), ProxyError::Truncated),
        (
            header(0x21, 0x11, &[&IPV4[..], &[1]].concat()),
            ProxyError::Truncated,
        ),
        (
            header(0x21, 0x11, &[&IPV4[..], &[1, 0, 9]].concat()),
            ProxyError::Truncated,
        ),
        (
            header(0x21, 0x11, &[0; 217])[..16].to_vec(),
            ProxyError::TooLong(233),
        ),
    ] {
        assert_eq!(parse(&bytes, CAP), Err(error), "{bytes:?}");
    }
}

#[test]
fn policy_decides_by_the_sockets_address() {
    let ranges = vec!["10.0.0.0/8".parse().unwrap()];
    let inside = "10.1.1.1".parse().unwrap();
    let outside = "192.0.2.1".parse().unwrap();
    assert_eq!(ProxyPolicy::Off.expectation(inside), Expectation::None);
    let trusted = ProxyPolicy::Trusted(ranges.clone());
    assert_eq!(trusted.expectation(inside), Expectation::Optional);
    assert_eq!(trusted.expectation(outside), Expectation::None);
    let required = ProxyPolicy::Required(ranges);
    assert_eq!(required.expectation(inside), Expectation::Required);
    assert_eq!(required.expectation(outside), Expectation::Refused);
}

proptest! {
    #[test]
    fn a_cut_header_waits_for_its_rest(cut in 0usize..44) {
        let good = with_checksum(&[&IPV4[..], &[1, 0, 6], b"sip/20"].concat());
        prop_assert!(cut < good.len());
        prop_assert_eq!(parse(&good[..cut], CAP), Ok(None));
    }

    #[test]
    fn any_bytes_are_survived(tail in prop::collection::vec(any::<u8>(), 0..300), family in any::<u8>()) {
        let _ = parse(&tail, CAP);
        let mut bytes = header(0x21, family, &tail);
        let _ = parse(&bytes, CAP);
        bytes.truncate(bytes.len() / 2);
        let _ = parse(&bytes, 10_000);
    }
}
