//! Commands that look.

use super::super::options::Line;
use super::super::values;
use super::super::{Command, Info, List, Top};
use super::{name, words};

/// A table a day is the least.
const LONGEST_DELAY: u32 = 86_400;

/// `lxc-info`.
pub(in super::super) fn info(line: &mut Line) -> Result<Command, String> {
    Ok(Command::Info(Info {
        name: name(line),
        items: line.each("config", values::filled)?,
        ips: line.flag("ips"),
        pid: line.flag("pid"),
        state: line.flag("state"),
        stats: line.flag("stats"),
        no_humanize: line.flag("no-humanize"),
    }))
}

/// `lxc-ls`.
pub(in super::super) fn ls(line: &mut Line) -> Result<Command, String> {
    let filter = line.text("filter")?;
    let regex = match (filter, words(line).pop()) {
        (Some(_), Some(word)) => {
            return Err(format!("{}: there is --filter already; give one of them", values::shown(&word)));
        }
        (filter, word) => filter.or(word),
    };
    let states = ["active", "running", "frozen", "stopped"];
    let states = states.into_iter().filter(|state| line.flag(state)).map(str::to_ascii_uppercase).collect();
    let columns = line.last("fancy-format").map(|given| values::columns(&given)).transpose()?;
    let asked = line.every("groups");
    let mut groups = values::groups(&asked);
    groups.retain(|group| !group.is_empty());
    if let (Some(given), true) = (asked.first(), groups.is_empty()) {
        return Err(format!("{}: no group is named", given.spelled));
    }
    Ok(Command::List(List {
        regex,
        line: line.flag("line"),
        fancy: line.flag("fancy"),
        columns: columns.unwrap_or_default(),
        states,
        defined: line.flag("defined"),
        groups,
    }))
}

/// `lxc-ps`.
pub(in super::super) fn ps(line: &mut Line) -> Result<Command, String> {
    if line.flag("lxc") && !line.name.is_empty() {
        return Err("--lxc: it is about all containers; leave it or the name out".to_owned());
    }
    Ok(Command::Ps { name: name(line), arguments: words(line) })
}

/// `lxc-top`.
pub(in super::super) fn top(line: &mut Line) -> Result<Command, String> {
    Ok(Command::Top(Top {
        delay: line.last("delay").map(|given| values::number(&given, 1, LONGEST_DELAY)).transpose()?,
        sort: line.last("sort").map(|given| values::letter(&given, "ncbmsk")).transpose()?,
        reverse: line.flag("reverse"),
        batch: line.flag("batch"),
    }))
}

/// `lxc-monitor`.
pub(in super::super) fn monitor(line: &mut Line) -> Result<Command, String> {
    Ok(Command::Monitor { name: name(line), quit: line.flag("quit") })
}
