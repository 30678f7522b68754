//! How a run ends: [`Outcome`], [`Failure`], and the exit code of each.
//!
//! The codes are a promise to scripts. They stand in the help of the binary, too.

use std::io;
use std::process::ExitCode;

use millstream::Error;

/// What `--help` says of exit codes.
pub(crate) const CODES: &str = "\
Exit codes:
  0  done
  1  the directory is damaged; what could be read was shown
  2  the command line is wrong
  3  there is no such stream, group, partition or entry, or it is of a newer version
  4  somebody else has the stream open
  5  nobody said yes, or it was broken off, so it was not done
  6  anything else, such as a full disk";

/// How a run ended that did what it was to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// It was done as far as damage let it.
    Damaged,
}

/// Why a run could not do what it was to do.
#[derive(Debug)]
pub(crate) enum Failure {
    Stream(Error),
    /// What was given makes no sense, in words.
    Usage(String),
    /// Nobody said yes.
    Refused(String),
    /// Whoever read the output has gone: no failure of ours.
    Gone,
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Stream(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Gone } else { Self::Output(error) }
    }
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Gone => 0,
            Self::Usage(_) => 2,
            Self::Refused(_) => 5,
            Self::Output(_) => 6,
            Self::Stream(error) => match error {
                Error::Corrupt(_) => 1,
                Error::BrokenOff => 5,
                Error::InvalidOption { .. }
                | Error::InvalidName { .. }
                | Error::InvalidId { .. }
                | Error::TooSmall { .. } => 2,
                Error::NotFound { .. }
                | Error::NotAStream { .. }
                | Error::NewerFormat { .. }
                | Error::NoSuchPartition { .. }
                | Error::StartBeyondEnd { .. }
                | Error::GroupDeleted => 3,
                Error::Locked { .. } => 4,
                _ => 6,
            },
        }
    }

    /// What to tell the user; `None` if there is nobody to tell.
    pub(crate) fn words(&self) -> Option<String> {
        match self {
            Self::Gone => None,
            Self::Usage(words) | Self::Refused(words) => Some(words.clone()),
            Self::Output(error) => Some(format!("the output cannot be written: {error}")),
            Self::Stream(error @ Error::Locked { .. }) => Some(format!(
                "{error}: a stream has one owner at a time. Close it there and call again; \
                 the verbs that only look work meanwhile"
            )),
            Self::Stream(error @ Error::Corrupt(_)) => Some(format!(
                "{error}. Nothing was cut or deleted; `millstream verify` lists all damage"
            )),
            Self::Stream(error) => Some(error.to_string()),
        }
    }
}

/// The exit code of a run.
pub(crate) fn code(ended: &Result<Outcome, Failure>) -> ExitCode {
    ExitCode::from(match ended {
        Ok(Outcome::Done) => 0,
        Ok(Outcome::Damaged) => 1,
        Err(failure) => failure.code(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_help() {
        let locked = Error::Locked { path: Box::from(std::path::Path::new("x")) };
        let missing = Error::NotFound { what: "x".into() };
        let failures = [
            (2, Failure::Usage(String::new())),
            (3, missing.into()),
            (4, locked.into()),
            (5, Failure::Refused(String::new())),
            (6, io::Error::other("x").into()),
        ];
        for (code, failure) in failures {
            assert_eq!(failure.code(), code);
            assert!(CODES.contains(&format!("\n  {code}  ")), "{code}");
        }
    }

    #[test]
    fn a_reader_that_goes_is_no_failure() {
        let gone = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((gone.code(), gone.words()), (0, None));
    }
}
