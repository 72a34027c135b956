//! Comma-separated values as RFC 4180 describes them.

/// One field, quoted where needed.
pub(super) fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// The records of a text, each with the line it begins in. Empty lines are left out.
///
/// # Errors
/// The line in which a quoted field begins that does not end.
pub(super) fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, usize> {
    let mut records = Vec::new();
    let mut reader = Reader {
        rest: text.strip_prefix('\u{feff}').unwrap_or(text),
        line: 1,
    };
    while !reader.rest.is_empty() {
        let line = reader.line;
        let mut record = vec![reader.field()?];
        while reader.take(',') {
            record.push(reader.field()?);
        }
        reader.end_of_line();
        if record.len() > 1 || record.first().is_some_and(|field| !field.is_empty()) {
            records.push((line, record));
        }
    }
    Ok(records)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    fn take(&mut self, expected: char) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn end_of_line(&mut self) {
        self.take('\r');
        if self.take('\n') {
            self.line += 1;
        }
    }

    fn field(&mut self) -> Result<String, usize> {
        let mut field = String::new();
        if self.take('"') {
            let begin = self.line;
            loop {
                let (part, rest) = self.rest.split_once('"').ok_or(begin)?;
                self.line += part.matches('\n').count();
                field.push_str(part);
                self.rest = rest;
                if !self.take('"') {
                    break;
                }
                field.push('"');
            }
        }
        let end = self.rest.find([',', '\r', '\n']).unwrap_or(self.rest.len());
        let (part, rest) = self.rest.split_at(end);
        field.push_str(part);
        self.rest = rest;
        Ok(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        for text in ["", "plain", "a,b", "say \"hi\"", "two\nlines", " blanks "] {
            let line = format!("{},x\r\n", field(text));
            assert_eq!(
                records(&line).unwrap(),
                [(1, vec![text.to_owned(), "x".to_owned()])],
                "{line}"
            );
        }
    }

    #[test]
    fn lines_are_counted_through_quoted_fields_and_empty_lines() {
        let lines: Vec<usize> = records("a,\"1\n2\"\n\nb,3")
            .unwrap()
            .into_iter()
            .map(|(line, _)| line)
            .collect();
        assert_eq!(lines, [1, 4]);
    }

    #[test]
    fn a_quote_that_does_not_end_is_told_by_its_line() {
        assert_eq!(records("a,b\nc,\"d\n"), Err(2));
    }
}
