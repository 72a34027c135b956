//! One SIP message as it came over the wire, read with as little cleverness as possible.

use anyhow::{Context, Result, bail, ensure};

/// A received message: start line, header fields in their order, body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// The request line or status line.
    pub start: String,
    /// Header fields as (name, value), folding undone.
    pub headers: Vec<(String, String)>,
    /// The body, as long as `Content-Length` said.
    pub body: Vec<u8>,
}

impl Wire {
    /// Takes one message from the front of `buffer`, or `None` if it is not complete yet.
    /// CRLF pairs before it are dropped.
    ///
    /// # Errors
    /// Anything our server must never send: no or two `Content-Length`, a bare line feed, bytes
    /// that are not UTF-8 in the head.
    pub fn take(buffer: &mut Vec<u8>) -> Result<Option<Wire>> {
        while buffer.starts_with(b"\r\n") {
            buffer.drain(..2);
        }
        let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&buffer[..end]).context("the head is not UTF-8")?;
        ensure!(
            !head.replace("\r\n", "").contains(['\r', '\n']),
            "bare CR or LF in: {head}"
        );
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let mut lines = unfolded.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line
                .split_once(':')
                .with_context(|| format!("no colon in: {line}"))?;
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        let mut message = Wire {
            start,
            headers,
            body: Vec::new(),
        };
        let length: usize = match message.all("Content-Length").as_slice() {
            [one] => one.parse().with_context(|| format!("Content-Length: {one}"))?,
            others => bail!("{} Content-Length fields in:\n{head}", others.len()),
        };
        let total = end + 4 + length;
        if buffer.len() < total {
            return Ok(None);
        }
        message.body = buffer[end + 4..total].to_vec();
        buffer.drain(..total);
        Ok(Some(message))
    }

    /// The status code of a response; `None` for a request.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The method of a request; `None` for a response.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        if self.start.starts_with("SIP/") {
            None
        } else {
            self.start.split(' ').next()
        }
    }

    /// The Request-URI of a request.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        self.method()?;
        self.start.split(' ').nth(1)
    }

    /// The first field of this name, compared without case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// As [`Wire::header`], but its absence is an error that shows the message.
    ///
    /// # Errors
    /// The field is not there.
    pub fn require(&self, name: &str) -> Result<&str> {
        self.header(name)
            .with_context(|| format!("no {name} in:\n{self}"))
    }

    /// All fields of this name, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
            .collect()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The media type without its parameters, in lower case; empty if there is none.
    #[must_use]
    pub fn media_type(&self) -> String {
        let value = self.header("Content-Type").unwrap_or_default();
        value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    }

    /// The number and the method of `CSeq`.
    ///
    /// # Errors
    /// `CSeq` is absent or not a number and a method.
    pub fn cseq(&self) -> Result<(u32, &str)> {
        let value = self.require("CSeq")?;
        let (number, method) = value.split_once(' ').with_context(|| format!("CSeq: {value}"))?;
        Ok((number.parse()?, method.trim()))
    }
}

impl std::fmt::Display for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.start)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        write!(f, "\n{}", self.text())
    }
}

/// The URI of a From, To, Contact or Route value: between the brackets, else up to the first `;`.
#[must_use]
pub fn uri_of(value: &str) -> &str {
    match (value.find('<'), value.find('>')) {
        (Some(open), Some(close)) if open < close => &value[open + 1..close],
        _ => value.split(';').next().unwrap_or_default().trim(),
    }
}

/// A parameter of a header value, outside the angle brackets.
#[must_use]
pub fn param_of<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let after = value.find('>').map_or(value, |close| &value[close + 1..]);
    after.split(';').skip(1).find_map(|param| {
        let (n, v) = param.split_once('=').unwrap_or((param, ""));
        n.trim()
            .eq_ignore_ascii_case(name)
            .then(|| v.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_messages_in_one_read_come_out_one_by_one() {
        let mut buffer = b"\r\n\r\nSIP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhiBYE sip:a@b SIP/2.0\r\nCSeq: 7 BYE\r\ncontent-length: 0\r\n\r\nSIP/".to_vec();
        let first = Wire::take(&mut buffer).unwrap().unwrap();
        assert_eq!((first.status(), first.text().as_str()), (Some(200), "hi"));
        let second = Wire::take(&mut buffer).unwrap().unwrap();
        assert_eq!((second.method(), second.uri()), (Some("BYE"), Some("sip:a@b")));
        assert_eq!(second.cseq().unwrap(), (7, "BYE"));
        assert_eq!(Wire::take(&mut buffer).unwrap(), None);
        assert_eq!(buffer, b"SIP/");
    }

    #[test]
    fn a_message_without_content_length_is_an_error_of_the_server() {
        let mut buffer = b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n".to_vec();
        assert!(Wire::take(&mut buffer).is_err());
    }

    #[test]
    fn uri_and_tag_are_found_with_and_without_brackets() {
        assert_eq!(uri_of("\"A\" <sip:a@b;x=y>;tag=1"), "sip:a@b;x=y");
        assert_eq!(uri_of("sip:a@b;tag=1"), "sip:a@b");
        assert_eq!(param_of("<sip:a@b;tag=no>;tag=1;epid=e", "tag"), Some("1"));
        assert_eq!(param_of("sip:a@b;tag=2", "Tag"), Some("2"));
        assert_eq!(param_of("<sip:a@b>", "tag"), None);
    }
}
