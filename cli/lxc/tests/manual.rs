//! The manual, docs/lxc.md, beside the tables that the program has.
#![allow(clippy::expect_used, reason = "a test that panics is a test that fails")]

use std::collections::BTreeSet;
use std::fs;

use tweendeck_lxc::command::commands;
use tweendeck_lxc::config::{keys, update};

fn manual() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lxc.md")).expect("the manual is there")
}

/// Names in the first column of the first table of a section. They stand between backquotes.
fn rows(section: &str) -> Vec<String> {
    let text = manual();
    let heading = format!("\n## {section}\n");
    let (_, own) = text.split_once(&heading).expect("there is such a section");
    let table = own.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    table.filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).flat_map(named).collect()
}

fn named(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Names, each of them once.
fn once(names: Vec<String>) -> BTreeSet<String> {
    let count = names.len();
    let set: BTreeSet<String> = names.into_iter().collect();
    assert_eq!(set.len(), count, "a name has two rows: {set:?}");
    set
}

#[test]
fn every_key_has_its_row_and_every_row_a_key() {
    let keys: BTreeSet<String> = keys::all().iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(once(rows("Configuration keys")), keys);
}

#[test]
fn every_command_has_its_row_and_every_row_a_command() {
    let called = commands().iter().map(|command| {
        let how = if command.linked { "lxc-" } else { "tween lxc " };
        format!("{how}{}", command.name)
    });
    assert_eq!(once(rows("Commands")), called.collect::<BTreeSet<_>>());
}

#[test]
fn old_names_became_what_the_manual_says() {
    let text = manual();
    let mut pairs = 0;
    for (before, behind) in text.match_indices("` → `").map(|(at, arrow)| (&text[..at], &text[at + arrow.len()..])) {
        let old = before.rsplit('`').next().unwrap_or_default();
        let new = behind.split('`').next().unwrap_or_default();
        assert_eq!(update(&format!("{old} = 1\n"), "a").expect("it is one"), format!("{new} = 1\n"));
        assert_ne!(old, new);
        pairs += 1;
    }
    assert!(pairs >= 20, "only {pairs} old names are told");
}
