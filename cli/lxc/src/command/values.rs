//! Values of options and words. A refusal names the option as it was written, the value, and what is allowed.

use std::time::Duration;

use super::options::Given;

/// States that LXC has.
pub(super) const STATES: [&str; 8] =
    ["STOPPED", "STARTING", "RUNNING", "STOPPING", "ABORTING", "FREEZING", "FROZEN", "THAWED"];
/// Columns of `lxc-ls -F`.
const COLUMNS: [&str; 11] =
    ["NAME", "STATE", "PID", "RAM", "SWAP", "AUTOSTART", "GROUPS", "INTERFACE", "IPV4", "IPV6", "UNPRIVILEGED"];
/// Privileges that `lxc-attach -e` keeps.
const PRIVILEGES: [&str; 3] = ["CAP", "CGROUP", "LSM"];
/// Namespaces of `lxc-attach -s`, by LXC's names and by the kernel's.
const NAMESPACES: [&str; 16] = [
    "MOUNT", "PID", "UTSNAME", "IPC", "USER", "NETWORK", "CGROUP", "TIME", "mnt", "pid", "uts", "ipc", "user", "net",
    "cgroup", "time",
];
/// Priorities of messages.
const PRIORITIES: [&str; 9] = ["TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "ERROR", "CRIT", "ALERT", "FATAL"];
/// As many seconds as LXC's number holds.
const MOST_SECONDS: u32 = 2_147_483_647;
/// The greatest id: the one above it means none.
const MOST_ID: u32 = u32::MAX - 1;

/// A text for messages: no control characters, not too long.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 64;
    let mut shown: String = text.chars().take(MOST).flat_map(escaped).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

fn escaped(letter: char) -> impl Iterator<Item = char> {
    let (plain, code) = if letter.is_control() { (None, Some(letter.escape_default())) } else { (Some(letter), None) };
    plain.into_iter().chain(code.into_iter().flatten())
}

/// A refusal of an option's value.
fn wrong(given: &Given, allowed: &str) -> String {
    let value = shown(given.value.as_deref().unwrap_or_default());
    format!("{} {}: {allowed}", given.spelled, if value.is_empty() { "\"\"".to_owned() } else { value })
}

/// A whole number in a range.
pub(super) fn number(given: &Given, least: u32, most: u32) -> Result<u32, String> {
    let text = given.value.as_deref().unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = Some(text).filter(|_| digits).and_then(|text| text.parse().ok());
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| wrong(given, &format!("it must be a whole number from {least} to {most}")))
}

/// Whole seconds.
pub(super) fn seconds(given: Option<Given>) -> Result<Option<Duration>, String> {
    let seconds = given.map(|given| number(&given, 0, MOST_SECONDS)).transpose()?;
    Ok(seconds.map(|seconds| Duration::from_secs(u64::from(seconds))))
}

/// A user's or a group's id.
pub(super) fn id(given: Option<Given>) -> Result<Option<u32>, String> {
    given.map(|given| number(&given, 0, MOST_ID)).transpose()
}

/// Words of a list with `|` between them; one at the end is not minded, as LXC does not.
fn joined(given: &Given, known: &[&str]) -> Result<Vec<String>, String> {
    let text = given.value.as_deref().unwrap_or_default();
    let words: Vec<&str> = text.split('|').filter(|word| !word.is_empty()).collect();
    if words.is_empty() || words.iter().any(|word| !known.contains(word)) {
        return Err(wrong(given, &format!("it must be some of {}, with | between them", known.join(" "))));
    }
    Ok(words.into_iter().map(str::to_owned).collect())
}

/// States to wait for.
pub(super) fn states(given: &Given) -> Result<Vec<String>, String> {
    joined(given, &STATES)
}

/// Privileges, as they are written: nothing is all.
pub(super) fn privileges(given: Given) -> Result<String, String> {
    if given.value.is_some() {
        joined(&given, &PRIVILEGES)?;
    }
    Ok(given.value.unwrap_or_default())
}

/// Namespaces, as they are written.
pub(super) fn namespaces(given: Given) -> Result<String, String> {
    joined(&given, &NAMESPACES)?;
    Ok(given.value.unwrap_or_default())
}

/// The priority of messages, upper case.
pub(super) fn priority(given: &Given) -> Result<String, String> {
    let level = given.value.as_deref().unwrap_or_default().to_ascii_uppercase();
    if PRIORITIES.contains(&level.as_str()) {
        return Ok(level);
    }
    Err(wrong(given, &format!("it must be one of {}", PRIORITIES.join(" "))))
}

/// Columns, upper case.
pub(super) fn columns(given: &Given) -> Result<Vec<String>, String> {
    let upper = given.value.as_deref().unwrap_or_default().to_ascii_uppercase();
    let columns: Vec<&str> = upper.split(',').map(str::trim).collect();
    if columns.iter().any(|column| !COLUMNS.contains(column)) {
        return Err(wrong(given, &format!("it must be some of {}, with commas between them", COLUMNS.join(" "))));
    }
    Ok(columns.into_iter().map(str::to_owned).collect())
}

/// Groups of all places where they are given. An empty one is there, because `onboot,` is those of onboot and those of none.
pub(super) fn groups(given: &[Given]) -> Vec<String> {
    let all = given.iter().filter_map(|given| given.value.as_deref());
    all.flat_map(|groups| groups.split(',')).map(|group| group.trim().to_owned()).collect()
}

/// `NAME=VALUE`.
pub(super) fn variable(given: &Given) -> Result<(String, String), String> {
    match given.value.as_deref().unwrap_or_default().split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err(wrong(given, "it must be NAME=VALUE")),
    }
}

/// A name that is not empty and no `NAME=VALUE`.
pub(super) fn variable_name(given: &Given) -> Result<String, String> {
    let name = given.value.as_deref().unwrap_or_default();
    if name.is_empty() || name.contains('=') {
        return Err(wrong(given, "it must be a variable's name, without a value"));
    }
    Ok(name.to_owned())
}

/// `lxc.KEY=VALUE`, as it is written. LXC drops what is none without a word.
pub(super) fn define(given: &Given) -> Result<String, String> {
    let text = given.value.as_deref().unwrap_or_default();
    match text.split_once('=') {
        Some((key, _)) if key.trim().starts_with("lxc.") => Ok(text.to_owned()),
        Some(_) | None => Err(wrong(given, "it must be KEY=VALUE, with a key that begins with lxc.")),
    }
}

/// One letter of some, such as a column to sort by.
pub(super) fn letter(given: &Given, allowed: &str) -> Result<char, String> {
    let mut letters = given.value.as_deref().unwrap_or_default().chars();
    let (first, more) = (letters.next(), letters.next());
    first
        .filter(|letter| more.is_none() && allowed.contains(*letter))
        .ok_or_else(|| wrong(given, &format!("it must be one letter of {allowed}")))
}

/// The letter behind Ctrl: `a`, `^a`, `A`, `^A`.
pub(super) fn control(given: &Given) -> Result<char, String> {
    let text = given.value.as_deref().unwrap_or_default();
    let mut letters = text.strip_prefix('^').unwrap_or(text).chars();
    let (first, more) = (letters.next(), letters.next());
    first
        .filter(|letter| more.is_none() && letter.is_ascii_alphabetic())
        .map(|letter| letter.to_ascii_lowercase())
        .ok_or_else(|| wrong(given, "it must be a letter, or ^ and a letter: the one that is pressed with Ctrl"))
}

/// A mount of an ephemeral copy, as it is written.
pub(super) fn mount(given: &Given) -> Result<String, String> {
    let text = given.value.as_deref().unwrap_or_default();
    let paths = text.split_once('=').filter(|(kind, _)| matches!(*kind, "bind" | "overlay")).map(|(_, paths)| paths);
    if paths.is_none_or(|paths| paths.is_empty() || paths.starts_with(':')) {
        return Err(wrong(given, "it must be bind=PATH, overlay=PATH, or either with :PATH INSIDE behind"));
    }
    Ok(text.to_owned())
}

/// A file, path or name that is not empty.
pub(super) fn filled(given: &Given) -> Result<String, String> {
    given.value.clone().filter(|value| !value.is_empty()).ok_or_else(|| wrong(given, "it must not be empty"))
}
