//! REGISTER, and answering challenges (RFC 3261 sections 10.2 and 22).

use super::request::{Body, Draft};
use super::{Endpoint, Purpose, Refused, State, Timers, Waiting};
use sip_auth::digest::client::Challenge;
use sip_types::{HeaderName, Response, StatusCode, typed};
use std::time::{Duration, Instant};

/// What a registration asks for, in seconds.
const EXPIRES: u64 = 3600;

/// A challenge that was answered, to be answered again without being asked.
#[derive(Debug)]
pub(super) struct Credentials {
    challenge: Challenge,
    /// `Authorization` or `Proxy-Authorization`.
    header: &'static str,
    cnonce: String,
    count: u32,
    /// The server challenges other requests than REGISTER too.
    always: bool,
}

impl Credentials {
    /// The header line for this request, if it needs one.
    pub(super) fn header(&mut self, endpoint: &Endpoint, draft: &Draft) -> Option<String> {
        if draft.method != "REGISTER" && !self.always {
            return None;
        }
        self.count += 1;
        let who = (endpoint.user.as_str(), endpoint.run.password.as_str());
        let answer = self
            .challenge
            .answer(who, (draft.method, &draft.uri), &self.cnonce, self.count);
        Some(format!("{}: {answer}\r\n", self.header))
    }
}

impl Endpoint {
    pub(super) fn register(&self, state: &mut State, now: Instant) {
        let Some(connection) = &state.connection else {
            return;
        };
        let transport = if connection.is_tls() { "tls" } else { "tcp" };
        let (index, local) = (self.index, connection.local());
        let draft = Draft {
            method: "REGISTER",
            uri: format!("sip:{}", self.run.domain),
            from: format!("<{}>;tag={}", self.address, self.run.unique()),
            to: format!("<{}>", self.address),
            call_id: self.run.unique(),
            extra: format!(
                "Contact: <sip:{}@{local};transport={transport}>;+sip.instance=\
                 \"<urn:uuid:00000000-0000-4000-8000-{index:012x}>\"\r\n\
                 Expires: {EXPIRES}\r\nSupported: path, gruu\r\nUser-Agent: portico-load\r\n",
                self.user
            ),
            body: Body::Empty,
            answered_challenge: false,
        };
        self.send(state, draft, Purpose::Register, now);
    }

    pub(super) fn answer_challenge(
        &self,
        state: &mut State,
        waiting: Waiting,
        response: &Response,
        now: Instant,
    ) {
        let Waiting {
            mut draft, purpose, ..
        } = waiting;
        let (name, header) = match response.status() {
            StatusCode::UNAUTHORIZED => (HeaderName::WwwAuthenticate, "Authorization"),
            _ => (HeaderName::ProxyAuthenticate, "Proxy-Authorization"),
        };
        let challenge = response
            .headers()
            .get_all(&name)
            .find_map(|value| Challenge::parse(&value).ok());
        let Some(challenge) = challenge else {
            return self.refused(state, "no Digest challenge".into());
        };
        draft.answered_challenge = true;
        let always = draft.method != "REGISTER";
        let cnonce = self.run.unique();
        state.credentials = Some(Credentials {
            challenge,
            header,
            cnonce,
            count: 0,
            always,
        });
        self.send(state, draft, purpose, now);
    }

    /// A sign-in ends here, and whoever waits for it counts that; anything later is counted at once.
    fn refused(&self, state: &mut State, refused: Refused) {
        if state.signing_in.is_none() {
            return self.run.error(refused.what);
        }
        state.signed_in(Err(refused));
        state.leave();
    }

    pub(super) fn registered(
        &self,
        state: &mut State,
        timers: &mut Timers,
        response: &Response,
        now: Instant,
    ) {
        if !response.status().is_success() {
            let what = format!("REGISTER: {} {}", response.status().code(), response.reason());
            let retry_after = retry_after(response);
            return self.refused(state, Refused { what, retry_after });
        }
        let granted = granted(response).unwrap_or(Duration::from_secs(EXPIRES));
        timers.refresh = Some(now + granted * 4 / 5);
        state.signed_in(Ok(()));
    }
}

/// When a server that is busy wants to be asked again (RFC 3261 sections 20.33 and 21.5.4). Without the header a
/// 503 says nothing of the sort.
fn retry_after(response: &Response) -> Option<Duration> {
    if response.status() != StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    let value = response.headers().get(&HeaderName::RetryAfter)?;
    // A comment or parameters may follow the seconds.
    let seconds = value.split(['(', ';', ' ']).next()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// How long the registration lasts: the least that any binding says, or the whole answer.
fn granted(response: &Response) -> Option<Duration> {
    let bindings = response.headers().list::<typed::Contact>().unwrap_or_default();
    let least = bindings
        .iter()
        .filter_map(typed::Contact::expires)
        .filter(|seconds| *seconds > 0)
        .min();
    let seconds = least.map(u64::from).or_else(|| {
        response
            .headers()
            .get(&HeaderName::Expires)
            .and_then(|value| value.parse().ok())
    })?;
    Some(Duration::from_secs(seconds.max(30)))
}
