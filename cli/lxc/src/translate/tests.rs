//! What the tests of the families share.

mod keys;
mod whole;

use super::{Fate, Node, Purpose, Refused, Translated, translate};
use crate::config::Config;

type Items<'a> = [(&'a str, &'a str)];

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// By `lxc-start`, on a node of cgroup v1.
pub(super) fn start(items: &Items<'_>, command: &[&str]) -> Result<Translated, Refused> {
    translate(&Config::of(items), &Node::default(), &Purpose::Start(owned(command)))
}

/// By `lxc-execute`.
pub(super) fn execute(items: &Items<'_>, command: &[&str]) -> Result<Translated, Refused> {
    translate(&Config::of(items), &Node::default(), &Purpose::Execute(owned(command)))
}

/// On a node that is described.
pub(super) fn on(node: &Node, items: &Items<'_>) -> Result<Translated, Refused> {
    translate(&Config::of(items), node, &Purpose::Create)
}

/// A node of cgroup v2.
pub(super) fn unified() -> Node {
    Node { unified: true, ..Node::default() }
}

/// The specification of a configuration that is taken.
pub(super) fn spec(items: &Items<'_>) -> tweendeck_proto::v1::ContainerSpec {
    start(items, &[]).unwrap().spec
}

/// What became of each setting.
pub(super) fn fates(items: &Items<'_>) -> Vec<String> {
    start(items, &[]).unwrap().notes.iter().map(|note| told(&note.fate)).collect()
}

/// What became of the only setting, or the last.
pub(super) fn fate(items: &Items<'_>) -> String {
    fates(items).pop().unwrap()
}

/// Why the only problem is one.
pub(super) fn why(items: &Items<'_>) -> String {
    let mut problems = start(items, &[]).map(|taken| taken.notes).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0).why
}

/// Kind and text.
pub(super) fn told(fate: &Fate) -> String {
    match fate {
        Fate::Honoured(text) => format!("Honoured: {text}"),
        Fate::Translated(text) => format!("Translated: {text}"),
        Fate::Noted(text) => format!("Noted: {text}"),
    }
}
