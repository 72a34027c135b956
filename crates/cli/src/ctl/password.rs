//! Where a password comes from: never from the command line, where every user of the machine can read it.

use std::io::{self, BufRead};

use super::failure::Failure;

/// A password, and whether it was made here and has to be shown.
pub(super) struct Password {
    pub(super) text: String,
    pub(super) generated: bool,
}

/// The first line of standard input, or a generated password.
pub(super) fn obtain(from_stdin: bool) -> Result<Password, Failure> {
    if !from_stdin {
        let text = server::readable_password().map_err(Failure::failed)?;
        return Ok(Password {
            text,
            generated: true,
        });
    }
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(Failure::failed)?;
    let text = line.trim_end_matches(['\r', '\n']).to_owned();
    if text.is_empty() {
        return Err(Failure::usage("no password came on standard input"));
    }
    Ok(Password {
        text,
        generated: false,
    })
}
