//! A file with its old names made new, as `lxc-update-config` does it.

use super::legacy::{BACKENDS, Legacy, Name};
use super::line::{self, Line};
use super::set::shown;
use super::{Place, Problem};

/// The same file with present names. Comments, blanks, order and everything else stay as they are, but for lines of keys that mean nothing now, which go;
/// `lxc.rootfs.backend` becomes a prefix of the root's path.
///
/// # Errors
/// What cannot be said with present names; places are in `file`.
pub fn update(text: &str, file: &str) -> Result<String, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut wrong = |line: u32, key: &str, why: String| {
        problems.push(Problem { place: Place { file: file.into(), line }, key: key.to_owned(), why });
    };
    let mut legacy = Legacy::with_backend(backend(text, &mut wrong));
    let mut updated = String::with_capacity(text.len());
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let Line::Setting(said, raw) = line::read(line.trim_end_matches('\n')) else {
            updated.push_str(line);
            continue;
        };
        match legacy.name(said, line::clears(raw)) {
            Name::Present => updated.push_str(&renamed(line, said, said, raw, &legacy)),
            Name::Old(name) => updated.push_str(&renamed(line, said, &name, raw, &legacy)),
            Name::Backend | Name::Gone(_) => {}
            Name::Homeless => wrong(number, said, "it is of no network: say lxc.network.type before it".into()),
        }
    }
    if problems.is_empty() { Ok(updated) } else { Err(problems) }
}

/// A line with another key, and the root's kind before its path.
fn renamed(line: &str, said: &str, name: &str, raw: &str, legacy: &Legacy) -> String {
    let Some((before, behind)) = line.split_once(said) else { return line.to_owned() };
    if name != "lxc.rootfs.path" || line::clears(raw) {
        return format!("{before}{name}{behind}");
    }
    let path = line::unquote(raw);
    let Some(prefixed) = legacy.prefixed(path) else { return format!("{before}{name}{behind}") };
    let quote = if path.len() == raw.len() { "" } else { raw.get(..1).unwrap_or_default() };
    let (blanks, value) = behind.split_once('=').unwrap_or((behind, ""));
    let (start, end) = value.split_once(raw).unwrap_or((value, ""));
    format!("{before}{name}{blanks}={start}{quote}{prefixed}{quote}{end}")
}

/// The last `lxc.rootfs.backend` that is not cleared, and for which there is a path.
fn backend(text: &str, wrong: &mut impl FnMut(u32, &str, String)) -> Option<String> {
    let mut found = None;
    let mut path = false;
    for (number, line) in (1..).zip(text.lines()) {
        match line::read(line) {
            Line::Setting("lxc.rootfs.backend", raw) if line::clears(raw) => found = None,
            Line::Setting("lxc.rootfs.backend", raw) => {
                let value = line::unquote(line::uncomment(raw).0);
                if !BACKENDS.contains(&value) {
                    wrong(
                        number,
                        "lxc.rootfs.backend",
                        format!("{} is not one of {}", shown(value), BACKENDS.join(", ")),
                    );
                }
                found = Some((number, value.to_owned()));
            }
            Line::Setting("lxc.rootfs" | "lxc.rootfs.path", _) => path = true,
            Line::Nothing | Line::Other | Line::NoValue(_) | Line::Setting(..) => {}
        }
    }
    let (number, value) = found?;
    if !path {
        let why = "it is a prefix of lxc.rootfs.path now, and there is none in this file: say it there";
        wrong(number, "lxc.rootfs.backend", why.into());
    }
    Some(value)
}
