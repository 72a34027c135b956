//! A message being written by the test, right or wrong.

/// A request or response as text. Nothing is checked: a test may write what no client would.
#[derive(Debug, Clone)]
pub struct Draft {
    start: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Draft {
    /// A message that has only this start line.
    #[must_use]
    pub fn new(start: impl Into<String>) -> Draft {
        Draft {
            start: start.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Adds a header field at the end.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl ToString) -> Draft {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Gives the first field of this name another value, or adds the field.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl ToString) -> Draft {
        match self
            .headers
            .iter_mut()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
        {
            Some((_, old)) => *old = value.to_string(),
            None => self.headers.push((name.to_owned(), value.to_string())),
        }
        self
    }

    /// Takes all fields of this name out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Draft {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    /// Sets the body and its `Content-Type`.
    #[must_use]
    pub fn body(self, content_type: &str, body: impl AsRef<[u8]>) -> Draft {
        let mut this = self.set("Content-Type", content_type);
        this.body = body.as_ref().to_vec();
        this
    }

    /// The start line.
    #[must_use]
    pub fn start(&self) -> &str {
        &self.start
    }

    /// The first field of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// The bytes to send. A `Content-Length` is added unless the test wrote one.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.get("Content-Length").is_none() {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
