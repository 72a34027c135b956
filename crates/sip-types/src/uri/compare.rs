//! Equivalence of SIP URIs: RFC 3261 section 19.1.4.

use super::{Uri, percent_decode};

/// Parameters that make two URIs differ when only one of them has them, even with their default value.
const DISTINCTIVE: [&str; 5] = ["transport", "user", "ttl", "method", "maddr"];

pub(super) fn equivalent(one: &Uri, other: &Uri) -> bool {
    if one == other {
        return true;
    }
    if !one.scheme().eq_ignore_ascii_case(other.scheme()) {
        return false;
    }
    if !one.is_sip() {
        let rest = |uri: &Uri| {
            uri.as_str()
                .get(uri.scheme().len()..)
                .unwrap_or_default()
                .to_owned()
        };
        return rest(one) == rest(other);
    }
    same_userinfo(one, other)
        && same_host(one, other)
        && one.port() == other.port()
        && same_params(one, other)
        && same_headers(one, other)
}

/// The user part is compared with regard to case, after decoding: an escaped character equals itself.
fn same_userinfo(one: &Uri, other: &Uri) -> bool {
    same_encoded(one.user(), other.user(), |a, b| a == b)
        && same_encoded(one.password(), other.password(), |a, b| a == b)
}

fn same_encoded(one: Option<&str>, other: Option<&str>, same: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => same(&percent_decode(one), &percent_decode(other)),
        _ => false,
    }
}

fn same_host(one: &Uri, other: &Uri) -> bool {
    match (one.host_ip(), other.host_ip()) {
        (Some(one), Some(other)) => one == other,
        _ => one.host().eq_ignore_ascii_case(other.host()),
    }
}

/// A parameter in both must be equal; one of [`DISTINCTIVE`] in only one is a difference; any other in only one
/// is ignored.
fn same_params(one: &Uri, other: &Uri) -> bool {
    let (mine, theirs) = (one.params(), other.params());
    let distinct = |name: &str| DISTINCTIVE.iter().any(|known| known.eq_ignore_ascii_case(name));
    let agree = mine.iter().all(|(name, value)| match theirs.get(name) {
        Some(their) => same_encoded(Some(value), Some(their.raw()), |a, b| a.eq_ignore_ascii_case(b)),
        None => !distinct(name),
    });
    agree && theirs.iter().all(|(name, _)| mine.has(name) || !distinct(name))
}

/// Headers are never ignored, but their order is.
fn same_headers(one: &Uri, other: &Uri) -> bool {
    let sorted = |uri: &Uri| {
        let mut all: Vec<_> = uri
            .headers()
            .map(|(name, value)| (name.to_ascii_lowercase(), percent_decode(value)))
            .collect();
        all.sort();
        all
    };
    sorted(one) == sorted(other)
}
