//! Help and usage, made from the tables.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::table::{self, ALL, COMMON, Container, Opt, Spec, Value};

/// Where an option's meaning begins.
const COLUMN: usize = 34;

/// A command's name, and what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Without `lxc-`.
    pub name: &'static str,
    /// In one line.
    pub about: &'static str,
    /// It is one of LXC's; else it is called as `tween lxc NAME` only.
    pub linked: bool,
}

static LISTED: LazyLock<Vec<Listed>> = LazyLock::new(|| ALL.iter().copied().map(Spec::listed).collect());

/// All commands, in the order of their lists.
#[must_use]
pub fn commands() -> &'static [Listed] {
    &LISTED
}

/// A command's help, if there is such a command.
#[must_use]
pub fn help(command: &str) -> Option<String> {
    table::find(command).map(of)
}

/// A command's form in one line, if there is such a command.
#[must_use]
pub fn usage(command: &str) -> Option<String> {
    table::find(command).map(form_of)
}

/// A command's form.
pub(super) fn form_of(spec: &Spec) -> String {
    format!("Usage: {}{}\n", spec.program(), form(spec))
}

fn form(spec: &Spec) -> String {
    let name = match spec.container {
        Container::No => "",
        Container::May => " [[-n] NAME]",
        Container::Must => " [-n] NAME",
    };
    let blank = if spec.synopsis.is_empty() { "" } else { " " };
    format!("{name} [OPTION...]{blank}{}", spec.synopsis)
}

/// A command's help: form, purpose, options, exit codes.
pub(super) fn of(spec: &Spec) -> String {
    let mut text = form_of(spec);
    text += &format!("\n{}.\n", spec.about);
    if !spec.options.is_empty() {
        text += "\nOptions:\n";
        text.extend(spec.options.iter().map(option));
    }
    text += "\nOptions of every command:\n";
    text.extend(COMMON.iter().map(option));
    text += "\nLong names may be cut where only one fits; --n, --f and --s are -n, -f and -s.\n";
    text += "\nExit codes:\n";
    for (code, reason) in spec.exits {
        let _ = writeln!(text, "  {code:<7} {reason}");
    }
    text
}

/// One option's lines.
fn option(option: &Opt) -> String {
    let letters = option.letters.chars().map(|letter| format!("-{letter}"));
    let names = option.names().filter(|name| name.len() > 1).map(|name| format!("--{name}"));
    let all = letters.chain(names).collect::<Vec<_>>().join(", ");
    let left = match option.value {
        Value::No => format!("  {all}"),
        Value::May(what) => format!("  {all}[={what}]"),
        Value::Must(what) => format!("  {all}={what}"),
    };
    let left = if option.letters.is_empty() { left.replacen("  ", "      ", 1) } else { left };
    if left.chars().count() < COLUMN {
        format!("{left:<COLUMN$}{}\n", option.help)
    } else {
        format!("{left}\n{:COLUMN$}{}\n", "", option.help)
    }
}

/// All commands, one a line.
pub(super) fn list() -> String {
    let mut text = "Commands, as lxc-NAME or `tween lxc NAME`:\n".to_owned();
    for spec in ALL {
        let _ = writeln!(text, "  {:<14} {}", spec.name, spec.about);
    }
    text
}
