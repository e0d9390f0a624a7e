//! Help and usage, made from the tables.

use std::fmt::Write as _;

use super::table::{ALL, COMMON, Container, Opt, Spec, Value};

/// Where an option's meaning begins.
const COLUMN: usize = 34;

/// A command's form.
pub(super) fn usage(spec: &Spec) -> String {
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
pub(super) fn help(spec: &Spec) -> String {
    let mut text = usage(spec);
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
