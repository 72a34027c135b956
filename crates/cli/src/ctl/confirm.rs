//! Asking before something is gone.

use std::io::{self, BufRead, IsTerminal};

use super::failure::Failure;

/// Asks a person; a script has to say --yes.
pub(super) fn confirm(question: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("nobody is there to ask: say --yes"));
    }
    eprint!("{question} [y/N] ");
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(Failure::failed)?;
    if line.trim().eq_ignore_ascii_case("y") {
        Ok(())
    } else {
        Err(Failure::Failed("not done".to_owned()))
    }
}
