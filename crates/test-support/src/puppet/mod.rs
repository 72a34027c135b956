//! A user agent without a will of its own: it sends what the test says, and tells what came.
//!
//! It knows two dialects, as the product does: a standard SIMPLE client in page mode, and a
//! Lync-family client with sessions, `epid`, requests without a Via branch, and NTLM signatures on
//! every message in both directions. A signature of the server that is absent or wrong fails the test
//! at once, as a real client would drop the connection.

mod digest;
mod draft;
mod ntlm;
mod session;

use anyhow::{Context, Result, bail, ensure};

pub use self::digest::Digest;
pub use self::draft::Draft;
pub use self::session::Session;
use crate::flow::Flow;
use crate::sandbox::{Account, DOMAIN};
use crate::wire::{Wire, param_of};

/// Which family of clients a puppet belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// A standard client: page mode, Digest, CRLF keep-alive.
    Simple,
    /// A Lync-family client: sessions, `epid`, `KeyboardActivity`.
    Lync,
}

/// How a puppet proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Digest with MD5 (RFC 7616).
    Md5,
    /// Digest with SHA-256 (RFC 8760); needs a client that is known to cope with two lines.
    Sha256,
    /// NTLM, then a signature on every message.
    Ntlm,
}

/// A user agent on one connection.
pub struct Puppet {
    /// The connection, for a test that wants to send bytes of its own.
    pub flow: Flow,
    /// What stands in `User-Agent`; the server chooses its challenge by it.
    pub user_agent: String,
    /// Seconds asked for in REGISTER; `None` leaves the header out.
    pub expires: Option<u32>,
    account: Account,
    dialect: Dialect,
    instance: String,
    epid: String,
    register_call: String,
    gruu: Option<String>,
    drawn: u32,
    cseq: u32,
    security: Option<ntlm::Association>,
    digest: Option<(Digest, u32)>,
}

impl Puppet {
    /// A puppet on this connection, not signed in, with an endpoint identity of its own.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(flow: Flow, account: Account, dialect: Dialect) -> Result<Puppet> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let hex = hex::encode(random);
        let user_agent = match dialect {
            Dialect::Simple => "puppet/1.0",
            Dialect::Lync => "UCCAPI/15.0 puppet/1.0",
        };
        Ok(Puppet {
            flow,
            user_agent: user_agent.to_owned(),
            expires: (dialect == Dialect::Simple).then_some(600),
            account,
            dialect,
            instance: format!(
                "urn:uuid:{}-{}-4{}-8{}-{}",
                &hex[..8],
                &hex[8..12],
                &hex[13..16],
                &hex[17..20],
                &hex[20..]
            ),
            epid: hex[..12].to_owned(),
            register_call: hex[12..28].to_owned(),
            gruu: None,
            drawn: 0,
            cseq: 0,
            security: None,
            digest: None,
        })
    }

    /// The address of record, as `sip:user@domain`.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("sip:{}@{DOMAIN}", self.account.user)
    }

    /// The account this puppet signs in with.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The endpoint's own GRUU, once the server gave one.
    #[must_use]
    pub fn gruu(&self) -> Option<&str> {
        self.gruu.as_deref()
    }

    /// `urn:uuid:...` of this endpoint.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Takes the identity of another endpoint, as a client does that comes back after a crash.
    pub fn impersonate_endpoint(&mut self, other: &Puppet) {
        self.instance.clone_from(&other.instance);
        self.epid.clone_from(&other.epid);
    }

    /// A word never used before by this puppet: for tags, branches and Call-IDs.
    pub fn fresh(&mut self) -> String {
        self.drawn += 1;
        format!("{}{:04x}", &self.epid, self.drawn)
    }

    // === sign-in ===

    /// Signs in and returns the 200.
    ///
    /// # Errors
    /// Anything but a challenge of the expected scheme followed by 200.
    pub async fn sign_in(&mut self, scheme: Scheme) -> Result<Wire> {
        let answer = self.try_sign_in(scheme).await?;
        ensure!(answer.status() == Some(200), "sign-in was answered:\n{answer}");
        Ok(answer)
    }

    /// As [`Puppet::sign_in`], but the final answer may be anything.
    ///
    /// # Errors
    /// No answer, or no challenge of this scheme.
    pub async fn try_sign_in(&mut self, scheme: Scheme) -> Result<Wire> {
        let register = self.register();
        let first = self.call(register).await?;
        ensure!(
            first.status() == Some(401),
            "the first REGISTER was answered:\n{first}"
        );
        let answer = match scheme {
            Scheme::Ntlm => self.sign_in_with_ntlm(&first).await?,
            Scheme::Md5 => self.sign_in_with_digest(&first, "MD5").await?,
            Scheme::Sha256 => self.sign_in_with_digest(&first, "SHA-256").await?,
        };
        self.gruu = answer
            .all("Contact")
            .into_iter()
            .filter(|contact| contact.contains(&self.instance))
            .find_map(|contact| {
                contact
                    .split(";gruu=\"")
                    .nth(1)
                    .or(contact.split(";pub-gruu=\"").nth(1))
            })
            .and_then(|rest| rest.split('"').next())
            .map(str::to_owned);
        Ok(answer)
    }

    /// The challenge of this algorithm among those of a 401.
    ///
    /// # Errors
    /// There is none.
    pub fn challenge(answer: &Wire, algorithm: &str) -> Result<Digest> {
        answer
            .all("WWW-Authenticate")
            .into_iter()
            .filter_map(|line| Digest::parse(line).ok())
            .find(|digest| digest.algorithm.eq_ignore_ascii_case(algorithm))
            .with_context(|| format!("no {algorithm} challenge in:\n{answer}"))
    }

    async fn sign_in_with_digest(&mut self, first: &Wire, algorithm: &str) -> Result<Wire> {
        self.digest = Some((Self::challenge(first, algorithm)?, 0));
        let register = self.register();
        let register = self.authorized(register)?;
        self.call(register).await
    }

    async fn sign_in_with_ntlm(&mut self, first: &Wire) -> Result<Wire> {
        let ntlm = |answer: &Wire| {
            let lines = answer.all("WWW-Authenticate");
            let line = lines
                .iter()
                .find(|line| line.starts_with("NTLM "))
                .map(|line| (*line).to_owned());
            line.with_context(|| format!("no NTLM challenge in:\n{answer}"))
        };
        let hello = ntlm::hello(&ntlm(first)?)?;
        let register = self.register().header("Authorization", hello);
        let second = self.call(register).await?;
        let user = format!("{}@{DOMAIN}", self.account.user);
        let (association, data) = ntlm::Association::answer(&ntlm(&second)?, &user, &self.account.password)?;
        self.security = Some(association);
        let register = self.register();
        let signed = self.signed(register, Some(&data))?;
        let wanted = self.cseq;
        self.flow.send(signed.bytes()).await?;
        let answer = self
            .flow
            .expect("the answer to AUTHENTICATE", |m| {
                m.status().is_some() && m.cseq().is_ok_and(|c| c.0 == wanted)
            })
            .await?;
        if answer.status() == Some(200) {
            self.check(&answer)?;
        } else {
            self.security = None;
        }
        Ok(answer)
    }

    /// Adds the Digest answer to a request, with the next nonce count of the challenge last seen.
    ///
    /// # Errors
    /// There was no Digest challenge.
    pub fn authorized(&mut self, draft: Draft) -> Result<Draft> {
        let (digest, count) = self.digest.as_mut().context("no challenge seen yet")?;
        *count += 1;
        let (method, rest) = draft.start().split_once(' ').context("no request")?;
        let uri = rest.split(' ').next().unwrap_or_default();
        let value = digest.answer(&self.account.user, &self.account.password, method, uri, *count);
        Ok(draft.set("Authorization", value))
    }

    /// The Digest challenge in use, for a test that wants to forge an answer.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref().map(|(digest, _)| digest)
    }

    /// A REGISTER for this endpoint: the same Call-ID, the next CSeq.
    pub fn register(&mut self) -> Draft {
        let (uri, call, contact) = (self.uri(), self.register_call.clone(), self.register_contact());
        let mut draft = self
            .request("REGISTER", &format!("sip:{DOMAIN}"))
            .set("To", format!("<{uri}>"))
            .set("Call-ID", call)
            .header("Contact", contact);
        if let Some(expires) = self.expires {
            draft = draft.header("Expires", expires);
        }
        match self.dialect {
            Dialect::Simple => draft.header("Supported", "gruu, outbound, path").header(
                "Allow",
                "INVITE, ACK, BYE, CANCEL, OPTIONS, NOTIFY, SUBSCRIBE, INFO, MESSAGE",
            ),
            Dialect::Lync => draft
                .header(
                    "Supported",
                    "gruu-10, adhoclist, msrtc-event-categories, com.microsoft.msrtc.presence",
                )
                .header("Event", "registration")
                .header("Allow-Events", "presence")
                .header("ms-keep-alive", "UAC;hop-hop=yes"),
        }
    }

    fn register_contact(&self) -> String {
        let (local, instance) = (self.flow.local(), &self.instance);
        match self.dialect {
            Dialect::Simple => format!(
                "<sip:{}@{local};transport={}>;+sip.instance=\"<{instance}>\";reg-id=1",
                self.account.user,
                self.flow.transport().to_ascii_lowercase(),
            ),
            Dialect::Lync => format!(
                "<sip:{local};transport=tls;ms-opaque=d3470f2e1d>;methods=\"INVITE, MESSAGE, INFO, SUBSCRIBE, \
                 OPTIONS, BYE, CANCEL, NOTIFY, ACK, REFER, BENOTIFY\";proxy=replace;+sip.instance=\"<{instance}>\""
            ),
        }
    }

    // === requests and answers ===

    /// A request outside any dialog with all that RFC 3261 section 8.1.1 wants, to the user in `uri`.
    pub fn request(&mut self, method: &str, uri: &str) -> Draft {
        self.cseq += 1;
        let tag = self.fresh();
        let from = self.from(&tag);
        let call = self.fresh();
        let via = self.via(method == "INVITE" && self.dialect == Dialect::Lync);
        Draft::new(format!("{method} {uri} SIP/2.0"))
            .header("Via", via)
            .header("From", from)
            .header("To", format!("<{uri}>"))
            .header("Call-ID", call)
            .header("CSeq", format!("{} {method}", self.cseq))
            .header("Max-Forwards", 70)
            .header("User-Agent", self.user_agent.clone())
    }

    fn from(&self, tag: &str) -> String {
        let from = format!("<{}>;tag={tag}", self.uri());
        match self.dialect {
            Dialect::Simple => from,
            Dialect::Lync => format!("{from};epid={}", self.epid),
        }
    }

    /// A Via for the next request. Lync-family clients leave the branch out of some.
    fn via(&mut self, no_branch: bool) -> String {
        let local = self.flow.local();
        match self.dialect {
            Dialect::Lync if no_branch => format!("SIP/2.0/tls {local}"),
            Dialect::Lync => format!("SIP/2.0/tls {local};branch=z9hG4bK{}", self.fresh()),
            Dialect::Simple => {
                format!(
                    "SIP/2.0/{} {local};branch=z9hG4bK{};rport",
                    self.flow.transport(),
                    self.fresh()
                )
            }
        }
    }

    /// A text in page mode.
    pub fn text(&mut self, to: &str, text: &str) -> Draft {
        self.request("MESSAGE", to).body("text/plain", text)
    }

    /// Sends, signed if this connection signs.
    ///
    /// # Errors
    /// The connection is gone, or the draft lacks what a signature covers.
    pub async fn send(&mut self, draft: &Draft) -> Result<()> {
        let signed = self.signed(draft.clone(), None)?;
        self.flow.send(signed.bytes()).await
    }

    /// The bytes of a message with the signature it needs now, for a test that spoils or repeats them.
    ///
    /// # Errors
    /// The draft lacks what a signature covers.
    pub fn signed_bytes(&mut self, draft: &Draft) -> Result<Vec<u8>> {
        Ok(self.signed(draft.clone(), None)?.bytes())
    }

    /// Sends a request and waits for its final answer. An INVITE's failure is acknowledged.
    ///
    /// # Errors
    /// No final answer in time.
    pub async fn call(&mut self, draft: Draft) -> Result<Wire> {
        self.send(&draft).await?;
        self.answer_to(&draft).await
    }

    /// The final answer to a request that was sent before.
    ///
    /// # Errors
    /// No final answer in time.
    pub async fn answer_to(&mut self, draft: &Draft) -> Result<Wire> {
        let wanted = (
            draft.get("Call-ID").map(str::to_owned),
            draft.get("CSeq").map(str::to_owned),
        );
        let what = format!("the final answer to {}", draft.start());
        let is_ours = |m: &Wire| {
            m.status().is_some_and(|status| status >= 200)
                && m.header("Call-ID") == wanted.0.as_deref()
                && m.header("CSeq") == wanted.1.as_deref()
        };
        let answer = self.flow.expect(&what, is_ours).await?;
        self.check(&answer)?;
        if draft.start().starts_with("INVITE ") && answer.status() >= Some(300) {
            let ack = self.ack_of_failure(draft, &answer)?;
            self.send(&ack).await?;
        }
        Ok(answer)
    }

    /// RFC 3261 section 17.1.1.3: same branch and CSeq number, To of the answer.
    fn ack_of_failure(&self, invite: &Draft, answer: &Wire) -> Result<Draft> {
        let same = |name: &str| invite.get(name).with_context(|| format!("INVITE without {name}"));
        let number = same("CSeq")?.split(' ').next().unwrap_or_default();
        Ok(Draft::new(invite.start().replacen("INVITE", "ACK", 1))
            .header("Via", same("Via")?)
            .header("From", same("From")?)
            .header("To", answer.require("To")?)
            .header("Call-ID", same("Call-ID")?)
            .header("CSeq", format!("{number} ACK"))
            .header("Max-Forwards", 70))
    }

    /// The next message of the server, whatever it is; `None` when it has closed. A call that is given up loses nothing.
    ///
    /// # Errors
    /// Patience ran out, or the message was not signed as it must be.
    pub async fn next(&mut self) -> Result<Option<Wire>> {
        let message = self.flow.next().await?;
        match &message {
            // From the next hop, not from the one who signs.
            Some(trying) if trying.status() == Some(100) => {}
            Some(message) => self.check(message)?,
            None => {}
        }
        Ok(message)
    }

    /// Waits for a request of this method from the server.
    ///
    /// # Errors
    /// None came in time, or it was not signed as it must be.
    pub async fn expect(&mut self, method: &str) -> Result<Wire> {
        self.expect_where(method, |_| true).await
    }

    /// Waits for a request of this method that is also `wanted`.
    ///
    /// # Errors
    /// As [`Puppet::expect`].
    pub async fn expect_where(&mut self, method: &str, wanted: impl Fn(&Wire) -> bool) -> Result<Wire> {
        let what = format!("a {method} for {}", self.account.user);
        let request = self
            .flow
            .expect(&what, |m| m.method() == Some(method) && wanted(m))
            .await?;
        self.check(&request)?;
        Ok(request)
    }

    /// An answer to a request of the server, with what RFC 3261 section 8.2.6 copies.
    #[must_use]
    pub fn reply(&self, request: &Wire, status: u16) -> Draft {
        let mut draft = Draft::new(format!("SIP/2.0 {status} Whatever"));
        for via in request.all("Via") {
            draft = draft.header("Via", via);
        }
        for name in ["From", "Call-ID", "CSeq"] {
            draft = draft.header(name, request.header(name).unwrap_or_default());
        }
        let to = request.header("To").unwrap_or_default();
        let tagged = status > 100 && param_of(to, "tag").is_none();
        let tag = if tagged {
            format!(";tag={}", self.epid)
        } else {
            String::new()
        };
        draft.header("To", format!("{to}{tag}"))
    }

    /// Answers a request of the server with this status and nothing more.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn answer(&mut self, request: &Wire, status: u16) -> Result<()> {
        let reply = self.reply(request, status);
        self.send(&reply).await
    }

    /// Waits for a text, answers 200 and returns the request.
    ///
    /// # Errors
    /// No MESSAGE came in time, or another text.
    pub async fn receive(&mut self, text: &str) -> Result<Wire> {
        let request = self.expect("MESSAGE").await?;
        ensure!(
            request.text() == text,
            "expected the text {text:?}, got:\n{request}"
        );
        self.answer(&request, 200).await?;
        Ok(request)
    }

    /// Makes sure the server sent nothing that was not asked for: sends an OPTIONS, waits for its
    /// answer, and looks at what came in between.
    ///
    /// # Errors
    /// Something else came.
    pub async fn nothing_else(&mut self) -> Result<()> {
        let options = self.request("OPTIONS", &format!("sip:{DOMAIN}"));
        self.call(options).await?;
        let provisional = |m: &&Wire| m.status().is_some_and(|status| status < 200);
        let surplus = self
            .flow
            .unclaimed()
            .iter()
            .filter(|m| !provisional(m))
            .map(Wire::to_string);
        let surplus: Vec<String> = surplus.collect();
        if !surplus.is_empty() {
            bail!(
                "{} got what nobody waited for:\n{}",
                self.account.user,
                surplus.join("\n--\n")
            );
        }
        Ok(())
    }

    // === signatures ===

    fn signed(&mut self, draft: Draft, gssapi_data: Option<&str>) -> Result<Draft> {
        let Some(association) = &mut self.security else {
            return Ok(draft);
        };
        let status = draft
            .start()
            .strip_prefix("SIP/2.0 ")
            .and_then(|rest| rest.get(..3)?.parse().ok());
        let header = |name: &str| draft.get(name).map(str::to_owned);
        let value = association.sign(
            &ntlm::Signed {
                header: &header,
                status,
            },
            gssapi_data,
        )?;
        Ok(draft.set("Authorization", value))
    }

    fn check(&self, message: &Wire) -> Result<()> {
        let Some(association) = &self.security else {
            return Ok(());
        };
        let header = |name: &str| message.header(name).map(str::to_owned);
        association
            .check(&ntlm::Signed {
                header: &header,
                status: message.status(),
            })
            .with_context(|| format!("in:\n{message}"))
    }
}
