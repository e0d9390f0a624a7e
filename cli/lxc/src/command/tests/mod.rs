//! Command lines and what they become. A line here is as in a shell: blanks between words, single quotes around words with blanks.

mod always;
mod inside;
mod life;
mod look;
mod refused;
mod store;

use super::*;

/// The words of a line.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

fn read(line: &str) -> Result<Asked, Wrong> {
    let words = words(line);
    let (command, arguments) = words.split_first().expect("a command");
    parse(command, arguments)
}

fn invocation(line: &str) -> Invocation {
    match read(line) {
        Ok(Asked::Do(invocation)) => *invocation,
        other => panic!("{line}: {other:?}"),
    }
}

/// What a line becomes; nothing is said of what all commands have.
fn becomes(line: &str) -> Command {
    let invocation = invocation(line);
    assert_eq!(invocation.common, Common::default(), "{line}");
    invocation.command
}

fn refusal(line: &str) -> Wrong {
    read(line).err().unwrap_or_else(|| panic!("{line}: it was taken"))
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn some(word: &str) -> Option<String> {
    Some(word.to_owned())
}

fn foo() -> String {
    "foo".to_owned()
}
