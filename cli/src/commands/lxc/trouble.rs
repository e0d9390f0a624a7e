//! What went wrong, as LXC's commands say it: the command, the container, a sentence.

use std::fs::File;
use std::io::Write as _;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use tweendeck_lxc::config::Problem;
use tweendeck_proto::v1::ErrorReason;

use crate::failure::Failure;
use crate::output::{moment, printable};
use crate::refusal;

/// Why a command could not do what was asked.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The agent, or the way to it.
    Agent(Failure),
    /// A sentence of ours, and the code to exit with.
    Said(String, u8),
    /// A configuration that cannot be honoured.
    Refused(Vec<Problem>),
}

impl Trouble {
    pub(crate) fn said(text: impl Into<String>) -> Self {
        Self::Said(text.into(), 1)
    }

    /// The same, with another code to exit with than 1.
    pub(crate) fn coded(code: u8, text: impl Into<String>) -> Self {
        Self::Said(text.into(), code)
    }

    /// The agent's reason, if it is the agent's.
    pub(crate) fn reason(&self) -> Option<ErrorReason> {
        match self {
            Self::Agent(failure) => failure.reason(),
            Self::Said(..) | Self::Refused(_) => None,
        }
    }

    /// It in one sentence.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Agent(failure) => refusal::sentence(failure),
            Self::Said(text, _) => text.clone(),
            Self::Refused(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        }
    }

    /// With which code the command ends.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Agent(_) | Self::Refused(_) => 1,
            Self::Said(_, code) => *code,
        }
    }

    /// Says it on standard error.
    pub(crate) fn report(&self, command: &str, name: &str) {
        match self {
            // Hints are about tween's own command line.
            Self::Agent(failure) => {
                let lines = refusal::lines(failure);
                lines.iter().filter(|line| !line.starts_with("hint: ")).for_each(|line| say(command, name, line));
            }
            Self::Said(text, _) => say(command, name, text),
            Self::Refused(problems) => problems.iter().for_each(|problem| say(command, name, &problem.to_string())),
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Agent(failure)
    }
}

impl From<Vec<Problem>> for Trouble {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Refused(problems)
    }
}

/// The file of `-o`, where all that is said goes too.
static LOG: OnceLock<File> = OnceLock::new();

/// Has everything go to a file, too.
pub(crate) fn log_to(path: &str) -> Result<(), Trouble> {
    let file = File::options().create(true).append(true).open(path);
    let file = file.map_err(|error| Trouble::said(format!("-o {path}: {error}")))?;
    // There is one command in a process's life.
    let _ = LOG.set(file);
    Ok(())
}

/// Says something on standard error. If nobody reads that, there is no one left to tell.
pub(crate) fn say(command: &str, name: &str, text: &str) {
    if let Some(mut log) = LOG.get() {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = prost_types::Timestamp { seconds: i64::try_from(since.as_secs()).unwrap_or_default(), nanos: 0 };
        let _ = writeln!(log, "{} {} {} {}", moment(Some(&time)), printable(command), printable(name), printable(text));
    }
    let about = if name.is_empty() { String::new() } else { format!("{}: ", printable(name)) };
    let _ = writeln!(std::io::stderr(), "{}: {about}{}", printable(command), printable(text));
}
