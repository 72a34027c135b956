//! An instant-message session: the INVITE with `m=message` and what follows in its dialog.

use anyhow::{Context, Result, ensure};

use super::{Dialect, Draft, Puppet};
use crate::wire::{Wire, param_of, uri_of};

/// One side of a dialog (RFC 3261 section 12) that carries texts.
#[derive(Debug, Clone)]
pub struct Session {
    /// Call-ID of the dialog.
    pub call_id: String,
    /// From of our requests, with our tag.
    pub local: String,
    /// To of our requests, with the other side's tag.
    pub remote: String,
    /// Where our requests go: the other side's Contact.
    pub target: String,
    /// Route values of our requests, in order.
    pub routes: Vec<String>,
    /// CSeq number of our last request.
    pub cseq: u32,
}

/// The offer and answer of an IM session, as Lync-family clients write it.
fn sdp(user: &str) -> String {
    format!(
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=message 5060 sip {user}\r\n\
         a=accept-types:text/plain text/html application/im-iscomposing+xml application/ms-imdn+xml\r\n"
    )
}

impl Session {
    /// The caller's side, from its INVITE and the 200.
    fn caller(invite: &Draft, ok: &Wire) -> Result<Session> {
        let mut routes: Vec<String> = routes(ok);
        routes.reverse();
        Ok(Session {
            call_id: ok.require("Call-ID")?.to_owned(),
            local: invite.get("From").context("INVITE without From")?.to_owned(),
            remote: ok.require("To")?.to_owned(),
            target: uri_of(ok.require("Contact")?).to_owned(),
            routes,
            cseq: ok.cseq()?.0,
        })
    }

    /// The callee's side, from the INVITE and its own 200.
    fn callee(invite: &Wire, ok: &Draft) -> Result<Session> {
        Ok(Session {
            call_id: invite.require("Call-ID")?.to_owned(),
            local: ok.get("To").context("200 without To")?.to_owned(),
            remote: invite.require("From")?.to_owned(),
            target: uri_of(invite.require("Contact")?).to_owned(),
            routes: routes(invite),
            cseq: 0,
        })
    }

    /// Whether a request of the server belongs to this dialog.
    #[must_use]
    pub fn owns(&self, request: &Wire) -> bool {
        let tag_of = |name: &str| request.header(name).and_then(|value| param_of(value, "tag"));
        request.header("Call-ID") == Some(self.call_id.as_str())
            && tag_of("To") == param_of(&self.local, "tag")
            && tag_of("From") == param_of(&self.remote, "tag")
    }
}

fn routes(message: &Wire) -> Vec<String> {
    let lines = message.all("Record-Route").into_iter();
    lines
        .flat_map(|line| line.split(','))
        .map(|route| route.trim().to_owned())
        .collect()
}

impl Puppet {
    /// An INVITE for an IM session. A Lync-family puppet puts `first` into `ms-text-format` too.
    pub fn invitation(&mut self, to: &str, first: Option<&str>) -> Draft {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        let contact = self.contact();
        let mut draft = self
            .request("INVITE", to)
            .header("Contact", format!("<{contact}>"));
        if let (Dialect::Lync, Some(first)) = (self.dialect, first) {
            draft = draft.header("Supported", "ms-sender").header(
                "ms-text-format",
                format!("text/plain; charset=UTF-8;ms-body={}", STANDARD.encode(first)),
            );
        }
        draft.body("application/sdp", sdp("null"))
    }

    /// The URI under which this endpoint is reached in a dialog: its GRUU, else its address.
    fn contact(&self) -> String {
        let local = self.flow.local();
        let user = &self.account.user;
        let transport = self.flow.transport().to_ascii_lowercase();
        self.gruu
            .clone()
            .unwrap_or_else(|| format!("sip:{user}@{local};transport={transport}"))
    }

    /// Opens a session: INVITE, 200, ACK.
    ///
    /// # Errors
    /// Any other answer than 200.
    pub async fn invite(&mut self, to: &str, first: Option<&str>) -> Result<Session> {
        let invite = self.invitation(to, first);
        self.send(&invite).await?;
        self.established(&invite).await
    }

    /// Waits for the 200 of an INVITE that was sent before and acknowledges it.
    ///
    /// # Errors
    /// Any other answer than 200.
    pub async fn established(&mut self, invite: &Draft) -> Result<Session> {
        let ok = self.answer_to(invite).await?;
        self.acknowledged(invite, &ok).await
    }

    /// Acknowledges this 200.
    ///
    /// # Errors
    /// It is another status, or has no message stream.
    pub async fn acknowledged(&mut self, invite: &Draft, ok: &Wire) -> Result<Session> {
        ensure!(ok.status() == Some(200), "the INVITE was answered:\n{ok}");
        ensure!(
            ok.text().contains("m=message"),
            "no message stream in the answer:\n{ok}"
        );
        let session = Session::caller(invite, ok)?;
        let ack = self.within(&session, "ACK", session.cseq);
        self.send(&ack).await?;
        Ok(session)
    }

    /// Takes a session: waits for the INVITE, answers 200, waits for the ACK.
    ///
    /// # Errors
    /// No INVITE, or no ACK.
    pub async fn accept(&mut self) -> Result<Session> {
        let invite = self.expect("INVITE").await?;
        self.take(&invite).await
    }

    /// Waits for an INVITE and rings (180). Without a provisional answer the server must not send CANCEL
    /// (RFC 3261 section 9.1).
    ///
    /// # Errors
    /// No INVITE came.
    pub async fn ring(&mut self) -> Result<Wire> {
        let invite = self.expect("INVITE").await?;
        self.answer(&invite, 180).await?;
        Ok(invite)
    }

    /// Answers this INVITE with 200 and waits for the ACK.
    ///
    /// # Errors
    /// No ACK came.
    pub async fn take(&mut self, invite: &Wire) -> Result<Session> {
        self.take_with(invite, &[]).await
    }

    /// As [`Puppet::take`], with more header fields in the 200.
    ///
    /// # Errors
    /// No ACK came.
    pub async fn take_with(&mut self, invite: &Wire, fields: &[(&str, &str)]) -> Result<Session> {
        let mut ok = self.acceptance(invite);
        for (name, value) in fields {
            ok = ok.header(name, value);
        }
        self.send(&ok).await?;
        let session = Session::callee(invite, &ok)?;
        self.expect_where("ACK", |ack| session.owns(ack)).await?;
        Ok(session)
    }

    /// The 200 that takes this INVITE, for a test that does not wait for the ACK.
    pub fn acceptance(&mut self, invite: &Wire) -> Draft {
        let (contact, uri) = (self.contact(), self.uri());
        let mut ok = self.reply(invite, 200);
        for route in invite.all("Record-Route") {
            ok = ok.header("Record-Route", route);
        }
        ok.header("Contact", format!("<{contact}>"))
            .body("application/sdp", sdp(&uri))
    }

    /// Waits for this text however it comes: in page mode, or after an invitation, which is taken.
    /// Returns the session if there is a new one.
    ///
    /// # Errors
    /// The text does not come.
    pub async fn hear(&mut self, text: &str) -> Result<Option<Session>> {
        let what = format!("an INVITE or MESSAGE for {}", self.account.user);
        let first = self
            .flow
            .expect(&what, |m| matches!(m.method(), Some("INVITE" | "MESSAGE")))
            .await?;
        self.check(&first)?;
        if first.method() == Some("INVITE") {
            let session = self.take(&first).await?;
            self.receive(text).await?;
            return Ok(Some(session));
        }
        ensure!(first.text() == text, "expected the text {text:?}, got:\n{first}");
        self.answer(&first, 200).await?;
        Ok(None)
    }

    /// A request in this dialog with the next CSeq.
    pub fn in_session(&mut self, session: &mut Session, method: &str) -> Draft {
        session.cseq += 1;
        self.within(session, method, session.cseq)
    }

    fn within(&mut self, session: &Session, method: &str, cseq: u32) -> Draft {
        let via = self.via(true);
        let mut draft = Draft::new(format!("{method} {} SIP/2.0", session.target)).header("Via", via);
        for route in &session.routes {
            draft = draft.header("Route", route);
        }
        draft
            .header("From", &session.local)
            .header("To", &session.remote)
            .header("Call-ID", &session.call_id)
            .header("CSeq", format!("{cseq} {method}"))
            .header("Max-Forwards", 70)
            .header("User-Agent", &self.user_agent)
    }

    /// Sends a text in the session and returns the final answer.
    ///
    /// # Errors
    /// No answer.
    pub async fn say(&mut self, session: &mut Session, text: &str) -> Result<Wire> {
        let message = self
            .in_session(session, "MESSAGE")
            .body("text/plain; charset=UTF-8", text);
        self.call(message).await
    }

    /// Ends the session with BYE and returns the answer.
    ///
    /// # Errors
    /// No answer.
    pub async fn bye(&mut self, session: &mut Session) -> Result<Wire> {
        let bye = self.in_session(session, "BYE");
        self.call(bye).await
    }

    /// CANCEL of an INVITE in progress (RFC 3261 section 9.1): same Via, same CSeq number.
    ///
    /// # Errors
    /// The INVITE lacks a header field.
    pub fn cancellation(&self, invite: &Draft) -> Result<Draft> {
        let same = |name: &str| invite.get(name).with_context(|| format!("INVITE without {name}"));
        let number = same("CSeq")?.split(' ').next().unwrap_or_default();
        Ok(Draft::new(invite.start().replacen("INVITE", "CANCEL", 1))
            .header("Via", same("Via")?)
            .header("From", same("From")?)
            .header("To", same("To")?)
            .header("Call-ID", same("Call-ID")?)
            .header("CSeq", format!("{number} CANCEL"))
            .header("Max-Forwards", 70))
    }
}
