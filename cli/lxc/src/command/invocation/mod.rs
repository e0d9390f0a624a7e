//! From what was read to what is asked, command by command; also what all commands have.

pub(super) mod inside;
pub(super) mod life;
pub(super) mod look;
pub(super) mod store;

use super::Common;
use super::options::Line;
use super::values;

/// Options of every command.
pub(super) fn common(line: &mut Line) -> Result<Common, String> {
    let paths = line.every("lxcpath");
    if let [_, again, ..] = paths.as_slice() {
        return Err(format!("{}: there is one store; give it once", again.spelled));
    }
    Ok(Common {
        lxcpath: paths.first().map(values::filled).transpose()?,
        quiet: line.flag("quiet"),
        logfile: line.text("logfile")?,
        logpriority: line.last("logpriority").map(|given| values::priority(&given)).transpose()?,
        rcfile: line.text("rcfile")?,
        host: line.text("host")?,
    })
}

/// The container's name.
fn name(line: &mut Line) -> String {
    std::mem::take(&mut line.name)
}

/// Words besides the name.
fn words(line: &mut Line) -> Vec<String> {
    std::mem::take(&mut line.words)
}

/// The next word besides the name.
fn word(line: &mut Line, what: &str) -> Result<String, String> {
    if line.words.is_empty() {
        return Err(format!("a word is missing: {what}"));
    }
    Ok(line.words.remove(0))
}

/// `--share-…`: kinds and whose.
fn share(line: &mut Line) -> Result<Vec<(String, String)>, String> {
    let mut shares = Vec::new();
    for (kind, option) in [("net", "share-net"), ("ipc", "share-ipc"), ("uts", "share-uts"), ("pid", "share-pid")] {
        if let Some(whose) = line.text(option)? {
            shares.push((kind.to_owned(), whose));
        }
    }
    Ok(shares)
}
