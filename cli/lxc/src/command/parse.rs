//! From a command's name and words to what is asked, or to why it cannot be taken.

use super::options::{self, Outcome};
use super::table::{self, Spec};
use super::{Asked, Invocation, Wrong, help, invocation, near, values};

/// More words are refused.
pub(super) const MOST_WORDS: usize = 65_536;
/// More bytes in all words are refused: as many as Linux gives a program.
pub(super) const MOST_BYTES: usize = 2 * 1024 * 1024;

/// Reads the words behind a command's name, which is `lxc-start` or `start`.
///
/// # Errors
/// With a line that says which word is wrong, why and what is allowed, and with the command's help.
pub fn parse(command: &str, arguments: &[String]) -> Result<Asked, Wrong> {
    let Some(spec) = table::find(command) else { return Err(unknown(command)) };
    asked(spec, arguments).map_err(|why| Wrong { message: format!("{}: {why}", spec.program()), help: help::of(spec) })
}

fn asked(spec: &'static Spec, arguments: &[String]) -> Result<Asked, String> {
    bounded(arguments)?;
    let mut line = match options::read(spec, arguments)? {
        Outcome::Line(line) => line,
        Outcome::Help => return Ok(Asked::Print(help::of(spec))),
        Outcome::Usage => return Ok(Asked::Print(help::form_of(spec))),
        Outcome::Version => return Ok(Asked::Print(format!("{}\n", env!("CARGO_PKG_VERSION")))),
    };
    let command = (spec.build)(&mut line)?;
    let common = invocation::common(&mut line)?;
    Ok(Asked::Do(Box::new(Invocation { common, command })))
}

fn bounded(arguments: &[String]) -> Result<(), String> {
    let bytes = arguments.iter().fold(0_usize, |sum, word| sum.saturating_add(word.len()));
    if arguments.len() > MOST_WORDS || bytes > MOST_BYTES {
        return Err(format!("the line is too long: {MOST_WORDS} words and {MOST_BYTES} bytes are allowed"));
    }
    match arguments.iter().find(|word| word.contains('\0')) {
        Some(word) => Err(format!("{}: a zero byte is in it", values::shown(word))),
        None => Ok(()),
    }
}

fn unknown(command: &str) -> Wrong {
    let name = command.strip_prefix("lxc-").unwrap_or(command);
    let shown = values::shown(command);
    let message = match table::GONE.iter().find(|(gone, _)| *gone == name) {
        Some((_, instead)) => format!("{shown}: there is no such command; {instead}"),
        None => match near::names(name, table::ALL.iter().map(|spec| spec.name)).as_slice() {
            [] => format!("{shown}: there is no such command"),
            near => format!("{shown}: there is no such command; did you mean {}?", near.join(", ")),
        },
    };
    Wrong { message, help: help::list() }
}
