//! Standard output, for programs that may be piped into `head`.

use std::io::{self, Write};
use std::process;

/// Writes a text. A reader that has gone ends the program quietly, as it would end `cat`.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if let Err(error) = written {
        if error.kind() == io::ErrorKind::BrokenPipe {
            process::exit(0);
        }
        eprintln!("cannot write to standard output: {error}");
        process::exit(1);
    }
}

/// Writes a text and ends the line.
pub(crate) fn line(text: &str) {
    print(&format!("{text}\n"));
}

/// Columns under each other, two blanks apart, without blanks at the end of a line.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|word| (*word).to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let rows = vec![
            vec!["alice@example.test".to_owned(), "Alice".to_owned()],
            vec!["bob@example.test".to_owned(), String::new()],
        ];
        assert_eq!(
            table(&["address", "name"], &rows),
            "address             name\nalice@example.test  Alice\nbob@example.test\n"
        );
    }
}
