//! Which challenges go into a 401, by client. The whole table is in this file.
//!
//! Stock clients fail on challenges they do not know: baresip 1.0.0 gives up in silence when anything stands
//! beside one MD5 line, linphone-daemon 5.1.65 crashes on an NTLM line (both tried on the wire). So everybody
//! gets the one line all survive, and a row of the table is needed for anything else.
//!
//! The choice reads only what an unauthenticated client says of itself. It decides what is *offered*; nothing
//! that was not offered to a client may be accepted from it on a clear-text or edge connection.

/// One `WWW-Authenticate` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Challenge {
    /// Digest with MD5.
    DigestMd5,
    /// Digest with SHA-256.
    DigestSha256,
    /// NTLM with signing.
    Ntlm,
}

/// What is known of a client before it has signed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientHints<'a> {
    /// `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// Whether `From` has an `epid` parameter (MS-SIPRE).
    pub has_epid: bool,
    /// All values of `Supported`, joined; empty if absent.
    pub supported: &'a str,
    /// Whether the connection is TLS, seen from the client: TLS ended by our own proxy counts.
    pub over_tls: bool,
    /// Whether the connection came through the edge.
    pub at_edge: bool,
}

/// What the operator allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// NTLM, for Lync-family clients on TLS from inside.
    pub ntlm: bool,
    /// Digest with MD5.
    pub md5: bool,
    /// Digest with SHA-256.
    pub sha256: bool,
}

impl Offer {
    fn has(self, challenge: Challenge, hints: &ClientHints<'_>) -> bool {
        match challenge {
            Challenge::DigestMd5 => self.md5,
            Challenge::DigestSha256 => self.sha256,
            // NTLM can be relayed: never in clear text, never to the outside.
            Challenge::Ntlm => self.ntlm && hints.over_tls && !hints.at_edge,
        }
    }
}

/// One kind of client.
struct Row {
    /// Client and version that was tried, or read in its source.
    #[cfg_attr(not(test), expect(dead_code, reason = "documentation that a test reads"))]
    client: &'static str,
    matches: fn(&ClientHints<'_>) -> bool,
    /// In the order of the lines.
    challenges: &'static [Challenge],
}

/// The first row that matches and has something to offer decides; the last matches everybody.
const TABLE: &[Row] = &[
    Row {
        client: "Lync family: Purple/2.14.12 Sipe/1.25.0 tried. Answers Digest on 401 with \"incompatible scheme\"",
        matches: is_lync_family,
        challenges: &[Challenge::Ntlm],
    },
    Row {
        client: "Linphone 5, liblinphone 5.1.65 tried: takes the first line it knows. (The bare linphone-daemon \
                 says `User-Agent: Unknown` and gets the default, which it takes as well)",
        matches: |hints| product_from(hints, "linphone", 5),
        challenges: &[Challenge::DigestSha256, Challenge::DigestMd5],
    },
    Row {
        client: "everybody: baresip 1.0.0 needs one MD5 line alone; libpurple SIMPLE 2.14 and SIPp 3.6.1 know MD5",
        matches: |_| true,
        challenges: &[Challenge::DigestMd5],
    },
    Row {
        client: "everybody, where the operator has switched MD5 off: older clients cannot sign in then",
        matches: |_| true,
        challenges: &[Challenge::DigestSha256],
    },
];

/// The challenges for a client, in the order of their `WWW-Authenticate` lines.
///
/// Empty only if the operator allows nothing that could be offered on this connection; answer 403 then.
#[must_use]
pub fn choose(hints: &ClientHints<'_>, offer: Offer) -> Vec<Challenge> {
    TABLE
        .iter()
        .filter(|row| (row.matches)(hints))
        .map(|row| {
            row.challenges
                .iter()
                .copied()
                .filter(|c| offer.has(*c, hints))
                .collect::<Vec<_>>()
        })
        .find(|challenges| !challenges.is_empty())
        .unwrap_or_default()
}

/// Whether the client speaks the Lync dialect: an `epid`, or an `msrtc` extension among its `Supported` values.
#[must_use]
pub fn is_lync_family(hints: &ClientHints<'_>) -> bool {
    hints.has_epid || contains_ignoring_case(hints.supported, "msrtc")
}

/// Whether `User-Agent` names a product that begins with `name` in at least the given major version.
///
/// RFC 3261 section 20.41: products are `name/version`, with comments between them.
fn product_from(hints: &ClientHints<'_>, name: &str, major: u32) -> bool {
    let products = hints.user_agent.unwrap_or_default().split_ascii_whitespace();
    products
        .filter_map(|product| product.split_once('/'))
        .any(|(product, version)| {
            let digits = version
                .split(|c: char| !c.is_ascii_digit())
                .next()
                .unwrap_or_default();
            product
                .get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
                && digits.parse::<u32>().is_ok_and(|found| found >= major)
        })
}

fn contains_ignoring_case(text: &str, part: &str) -> bool {
    text.as_bytes()
        .windows(part.len())
        .any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::Challenge::{DigestMd5, DigestSha256, Ntlm};
    use super::*;

    const ALL: Offer = Offer {
        ntlm: true,
        md5: true,
        sha256: true,
    };
    const NOBODY: ClientHints<'_> = ClientHints {
        user_agent: None,
        has_epid: false,
        supported: "",
        over_tls: true,
        at_edge: false,
    };

    fn check(user_agent: &str, offer: Offer, expected: &[Challenge]) {
        let hints = ClientHints {
            user_agent: Some(user_agent),
            ..NOBODY
        };
        assert_eq!(choose(&hints, offer), expected, "{user_agent}");
    }

    fn lync() -> ClientHints<'static> {
        ClientHints {
            user_agent: Some("Purple/2.14.12 Sipe/1.25.0 (linux-x86_64)"),
            has_epid: true,
            supported: "gruu-10, adhoclist, msrtc-event-categories",
            ..NOBODY
        }
    }

    #[test]
    fn stock_and_unknown_clients_get_one_md5_line() {
        for agent in [
            "baresip v1.0.0 (x86_64/linux)",
            "Unknown",
            "",
            "/",
            "linphone",
            "linphone/",
            "Linphone/4.4.1",
        ] {
            check(agent, ALL, &[DigestMd5]);
        }
        assert_eq!(choose(&NOBODY, ALL), [DigestMd5]);
    }

    #[test]
    fn linphone_5_gets_sha_256_first() {
        for agent in [
            "Linphone-Desktop/5.1.2 (host) debian/12 Qt/5.15.8 LinphoneSDK/5.2.109",
            "LinphoneAndroid/4.6.0 (x) LinphoneSDK/5.0.1 (tags/5.0.1)",
            "linphone/10.0",
        ] {
            check(agent, ALL, &[DigestSha256, DigestMd5]);
        }
    }

    #[test]
    fn without_md5_everybody_gets_sha_256() {
        let offer = Offer { md5: false, ..ALL };
        check("baresip v1.0.0 (x86_64/linux)", offer, &[DigestSha256]);
        check("Linphone/5.1.65", offer, &[DigestSha256]);
        check("Linphone/5.1.65", Offer { sha256: false, ..ALL }, &[DigestMd5]);
    }

    #[test]
    fn a_lync_family_client_gets_ntlm_alone() {
        assert_eq!(choose(&lync(), ALL), [Ntlm]);
        assert_eq!(
            choose(
                &ClientHints {
                    has_epid: false,
                    ..lync()
                },
                ALL
            ),
            [Ntlm]
        );
        let shouting = ClientHints {
            has_epid: false,
            supported: "com.microsoft.MSRTC.presence",
            ..lync()
        };
        assert_eq!(choose(&shouting, ALL), [Ntlm]);
        assert_eq!(
            choose(
                &ClientHints {
                    supported: "",
                    ..lync()
                },
                ALL
            ),
            [Ntlm]
        );
    }

    #[test]
    fn ntlm_is_never_offered_in_clear_text_at_the_edge_or_unasked() {
        assert_eq!(
            choose(
                &ClientHints {
                    over_tls: false,
                    ..lync()
                },
                ALL
            ),
            [DigestMd5]
        );
        assert_eq!(
            choose(
                &ClientHints {
                    at_edge: true,
                    ..lync()
                },
                ALL
            ),
            [DigestMd5]
        );
        assert_eq!(choose(&lync(), Offer { ntlm: false, ..ALL }), [DigestMd5]);
        let only_ntlm = Offer {
            ntlm: true,
            md5: false,
            sha256: false,
        };
        assert_eq!(choose(&NOBODY, only_ntlm), []);
        assert_eq!(
            choose(
                &ClientHints {
                    at_edge: true,
                    ..lync()
                },
                only_ntlm
            ),
            []
        );
    }

    #[test]
    fn each_row_says_which_client_it_is_for() {
        assert!(
            TABLE
                .iter()
                .all(|row| row.client.contains(char::is_numeric) || row.client.contains("operator"))
        );
    }
}
