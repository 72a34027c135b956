//! What can go wrong, and the exit code that says so.

use std::fmt;
use std::path::PathBuf;

use hyper::StatusCode;
use serde_json::json;
use server::control::api::Problem;

use super::Format;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command line cannot be meant.
    Usage(String),
    /// The server refused.
    Refused(StatusCode, Problem),
    /// No server listens in this data directory.
    Unreachable(PathBuf, std::io::Error),
    /// This user may not speak to the server.
    NotAllowed(PathBuf),
    /// What it is about is not there.
    NotFound(String),
    /// Something else is there already.
    Conflict(String),
    /// Something else.
    Failed(String),
}

impl Failure {
    pub(super) fn failed(error: impl fmt::Display) -> Self {
        Failure::Failed(error.to_string())
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Failure::Usage(message.into())
    }

    /// 0 is not among them.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Failure::Failed(_) => 1,
            Failure::Usage(_) => 2,
            Failure::NotFound(_) | Failure::Refused(StatusCode::NOT_FOUND, _) => 3,
            Failure::Conflict(_) | Failure::Refused(StatusCode::CONFLICT, _) => 4,
            Failure::Refused(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _)
            | Failure::NotAllowed(_) => 5,
            Failure::Refused(..) => 1,
            Failure::Unreachable(..) => 7,
        }
    }

    fn code(&self) -> &str {
        match self {
            Failure::Failed(_) => "failed",
            Failure::Usage(_) => "usage",
            Failure::NotFound(_) => "not_found",
            Failure::Conflict(_) => "conflict",
            Failure::Refused(_, problem) => &problem.code,
            Failure::Unreachable(..) => "unreachable",
            Failure::NotAllowed(_) => "unauthorised",
        }
    }

    /// Tells it on standard error.
    pub(super) fn tell(&self, format: Format) {
        match format {
            Format::Table => eprintln!("porticoctl: {self}"),
            Format::Json => eprintln!("{}", json!({ "code": self.code(), "message": self.to_string() })),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Failed(message)
            | Failure::Usage(message)
            | Failure::NotFound(message)
            | Failure::Conflict(message) => f.write_str(message),
            Failure::Refused(_, problem) => f.write_str(&problem.message),
            Failure::Unreachable(path, error) => write!(
                f,
                "no server answers at {} ({error}); is it running, and is this its --data-dir?",
                path.display()
            ),
            Failure::NotAllowed(path) => write!(
                f,
                "{} is not open to this user; run as the user the server runs as, or as root",
                path.display()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_the_exit_code_scripts_rely_on() {
        let problem = Problem {
            code: String::new(),
            message: String::new(),
        };
        let refused = |status| Failure::Refused(status, problem.clone()).exit_code();
        assert_eq!(refused(StatusCode::BAD_REQUEST), 1);
        assert_eq!(refused(StatusCode::NOT_FOUND), 3);
        assert_eq!(refused(StatusCode::CONFLICT), 4);
        assert_eq!(refused(StatusCode::FORBIDDEN), 5);
        assert_eq!(refused(StatusCode::SERVICE_UNAVAILABLE), 1);
        assert_eq!(Failure::usage("").exit_code(), 2);
        assert_eq!(Failure::NotFound(String::new()).exit_code(), 3);
        assert_eq!(Failure::Conflict(String::new()).exit_code(), 4);
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        assert_eq!(Failure::Unreachable(PathBuf::new(), missing).exit_code(), 7);
        assert_eq!(Failure::NotAllowed(PathBuf::new()).exit_code(), 5);
    }
}
