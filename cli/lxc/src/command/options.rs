//! Reads a command line by a command's table.
//!
//! What getopt_long(3) takes is taken: letters alone and together (`-dF`), values beside and behind (`-nfoo`, `-n foo`), long names with `=` or a blank, whole or as a prefix
//! that one option alone has; `--` ends the options. `--n`, `--f` and `--s` are `-n`, `-f` and `-s`, whatever else begins with these letters. An option that is there twice
//! counts as it is there last, unless it is one that may be repeated; `-P` may not, because LXC would take the first.
//!
//! Two things differ, both for the sake of what runs in the container. Where a command of its own follows, the first word that is no option ends the options: getopt would take
//! `-n x` out of `lxc-execute -n foo echo -n x`. And there, what is behind `--` is never the container's name.

use super::near;
use super::table::{Container, Opt, Spec, Value, Words};
use super::values::{self, shown};

/// One option as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// The option's long name.
    option: &'static str,
    /// How it was written.
    pub(super) spelled: String,
    /// Its value.
    pub(super) value: Option<String>,
}

/// What a command line says.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Options that were not asked for yet, in order.
    given: Vec<Given>,
    /// The container's name; empty without one.
    pub(super) name: String,
    /// Whether the name was a word, not the value of `-n`.
    pub(super) positional: bool,
    /// Words besides the name.
    pub(super) words: Vec<String>,
}

/// What comes of reading.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A line that says something.
    Line(Line),
    /// `--help`.
    Help,
    /// `--usage`.
    Usage,
    /// `--version`.
    Version,
}

impl Line {
    /// Whether an option was given.
    pub(super) fn flag(&mut self, option: &str) -> bool {
        self.last(option).is_some()
    }

    /// Whether an option was given; it stays to be asked for.
    pub(super) fn given(&self, option: &str) -> bool {
        self.given.iter().any(|given| given.option == option)
    }

    /// An option, as it was given last.
    pub(super) fn last(&mut self, option: &str) -> Option<Given> {
        self.every(option).pop()
    }

    /// The value of an option, as it was given last. An empty one is refused.
    pub(super) fn text(&mut self, option: &str) -> Result<Option<String>, String> {
        self.last(option).map(|given| values::filled(&given)).transpose()
    }

    /// An option, as often as it was given.
    pub(super) fn every(&mut self, option: &str) -> Vec<Given> {
        let (asked, rest) = std::mem::take(&mut self.given).into_iter().partition(|given| given.option == option);
        self.given = rest;
        asked
    }

    /// The values of an option, as often as it was given, each read by `read`.
    pub(super) fn each<T>(
        &mut self,
        option: &str,
        read: impl Fn(&Given) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        self.every(option).iter().map(read).collect()
    }

    /// Whether the last one of two is the second: they are each other's opposite.
    pub(super) fn second(&mut self, first: &str, second: &str) -> bool {
        let last = self.given.iter().rev().find(|given| given.option == first || given.option == second);
        let second_counts = last.is_some_and(|given| given.option == second);
        self.given.retain(|given| given.option != first && given.option != second);
        second_counts
    }
}

/// Reads the words behind a command's name.
pub(super) fn read(spec: &'static Spec, arguments: &[String]) -> Result<Outcome, String> {
    let mut reader = Reader { spec, line: Line::default(), end: None };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            reader.behind_dashes(words.by_ref());
        } else if let Some(long) = word.strip_prefix("--") {
            reader.long(long, &mut words)?;
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            reader.short(letters, &mut words)?;
        } else if reader.word(word) {
            reader.line.words.extend(words.by_ref().cloned());
        }
        if let Some(end) = reader.end {
            return Ok(end);
        }
    }
    reader.finish().map(Outcome::Line)
}

struct Reader {
    spec: &'static Spec,
    line: Line,
    end: Option<Outcome>,
}

impl Reader {
    /// A word that is no option. True when it ends the options.
    fn word(&mut self, word: &str) -> bool {
        if self.takes_name() {
            word.clone_into(&mut self.line.name);
            self.line.positional = true;
            return false;
        }
        self.line.words.push(word.to_owned());
        self.spec.words == Words::Rest
    }

    /// Whether the next word is the container's name. `-n` may still come where words and options mix, so there the name is picked in the end.
    fn takes_name(&self) -> bool {
        self.spec.words == Words::Rest && self.spec.container != Container::No && !self.named()
    }

    fn named(&self) -> bool {
        self.line.positional || self.line.given("name")
    }

    fn behind_dashes<'a>(&mut self, words: impl Iterator<Item = &'a String>) {
        self.line.words.extend(words.cloned());
    }

    /// `--name`, `--name=value`, `--name value`, `--na`.
    fn long<'a>(&mut self, written: &str, words: &mut impl Iterator<Item = &'a String>) -> Result<(), String> {
        let (name, beside) = match written.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (written, None),
        };
        let spelled = format!("--{name}");
        let Some(option) = long_option(self.spec, name)? else { return self.unknown(&spelled) };
        let value = match (option.value, beside) {
            (Value::No, Some(_)) if !option.refused => return Err(format!("{}: it takes no value", shown(&spelled))),
            (Value::Must(what), None) => Some(next(&spelled, what, words)?),
            (Value::No | Value::May(_) | Value::Must(_), beside) => beside,
        };
        self.take(option, spelled, value)
    }

    /// `-d`, `-dF`, `-nfoo`, `-n foo`, `-dnfoo`.
    fn short<'a>(&mut self, letters: &str, words: &mut impl Iterator<Item = &'a String>) -> Result<(), String> {
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let spelled = format!("-{letter}");
            let Some(option) = self.spec.all_options().find(|option| option.letters.contains(letter)) else {
                self.unknown(&spelled)?;
                continue;
            };
            let beside = Some(rest.as_str()).filter(|rest| !rest.is_empty()).map(str::to_owned);
            let value = match (option.value, beside) {
                (Value::No, _) => None,
                (Value::Must(what), None) => Some(next(&spelled, what, words)?),
                (Value::May(_) | Value::Must(_), beside) => {
                    rest = "".chars();
                    beside
                }
            };
            self.take(option, spelled, value)?;
            if self.end.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn take(&mut self, option: &'static Opt, spelled: String, value: Option<String>) -> Result<(), String> {
        if option.refused {
            return Err(format!("{spelled}: {}", option.help));
        }
        match option.name {
            "help" => self.end = Some(Outcome::Help),
            "usage" => self.end = Some(Outcome::Usage),
            "version" => self.end = Some(Outcome::Version),
            name => self.line.given.push(Given { option: name, spelled, value }),
        }
        Ok(())
    }

    fn unknown(&self, spelled: &str) -> Result<(), String> {
        if self.spec.words == Words::Anything {
            return Ok(());
        }
        let names = self.spec.all_options().flat_map(Opt::names).filter(|name| name.len() > 1);
        let near = near::names(spelled.trim_start_matches('-'), names);
        let near = near.iter().map(|name| format!("--{name}")).collect::<Vec<_>>().join(", ");
        let hint = if near.is_empty() { String::new() } else { format!("; did you mean {near}?") };
        Err(format!("{}: there is no such option{hint}", shown(spelled)))
    }

    /// The whole line: its name, and no word too many.
    fn finish(mut self) -> Result<Line, String> {
        if let Some(given) = self.line.last("name") {
            if self.line.positional {
                return Err(format!("{}: the container has a name already, {}", given.spelled, shown(&self.line.name)));
            }
            self.line.name = given.value.unwrap_or_default();
        } else if !self.line.positional && self.name_may_be_picked() && !self.line.words.is_empty() {
            self.line.name = self.line.words.remove(0);
            self.line.positional = true;
        }
        if self.spec.container == Container::Must && self.line.name.is_empty() {
            return Err("No container name specified".to_owned());
        }
        if let Words::UpTo(most) = self.spec.words
            && let Some(word) = self.line.words.get(most)
        {
            return Err(format!("{}: one word too many; words with blanks need quotes", shown(word)));
        }
        Ok(self.line)
    }

    fn name_may_be_picked(&self) -> bool {
        self.spec.container != Container::No && matches!(self.spec.words, Words::UpTo(_))
    }
}

/// The next word, as an option's value, whatever it looks like.
fn next<'a>(spelled: &str, what: &str, words: &mut impl Iterator<Item = &'a String>) -> Result<String, String> {
    words.next().cloned().ok_or_else(|| format!("{}: a value is missing: {what}", shown(spelled)))
}

/// The option of a long name: whole, one of the guide's, or a prefix that only one option has.
fn long_option(spec: &'static Spec, name: &str) -> Result<Option<&'static Opt>, String> {
    if let Some(whole) = spec.all_options().find(|option| option.names().any(|known| known == name)) {
        return Ok(Some(whole));
    }
    if matches!(name, "n" | "f" | "s")
        && let Some(guides) = spec.options.iter().find(|option| option.letters.contains(name))
    {
        return Ok(Some(guides));
    }
    let begins = |option: &&Opt| !name.is_empty() && option.names().any(|known| known.starts_with(name));
    let mut fitting = spec.all_options().filter(begins);
    match (fitting.next(), fitting.next()) {
        (Some(first), Some(second)) if spec.words != Words::Anything => {
            let all = [first, second].into_iter().chain(fitting).map(|option| format!("--{}", option.name));
            Err(format!("--{name}: it may be {}", all.collect::<Vec<_>>().join(", ")))
        }
        (only, None) => Ok(only),
        (Some(_), Some(_)) | (None, Some(_)) => Ok(None),
    }
}
