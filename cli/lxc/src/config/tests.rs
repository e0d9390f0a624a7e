//! Whole configurations: what LXC 5.0.2 takes and what it refuses, as it was seen to.

mod bounds;
mod forms;
mod reading;
mod settings;
mod updating;
mod written;

use std::collections::BTreeMap;
use std::io;

use super::{Config, Problem, Source};

/// Files by their paths.
#[derive(Default)]
struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).into(), text.as_bytes().to_vec())).collect())
    }
}

impl Source for Files {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let start = format!("{}/", directory.trim_end_matches('/'));
        let names: Vec<String> =
            self.0.keys().filter_map(|path| path.strip_prefix(&start)).map(str::to_owned).collect();
        if names.is_empty() {
            let file = self.0.contains_key(directory.trim_end_matches('/'));
            return Err(if file { io::ErrorKind::NotADirectory } else { io::ErrorKind::NotFound }.into());
        }
        // The other way round: nothing may rely on their order.
        Ok(names.into_iter().rev().collect())
    }
}

fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    Config::parse(text, "c", &Files::default())
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
}

/// The only problem of a text.
fn bad(text: &str) -> Problem {
    let mut problems = parse(text).expect_err(text);
    assert_eq!(problems.len(), 1, "{text}: {problems:?}");
    problems.remove(0)
}

fn said(config: &Config) -> Vec<(&str, &str)> {
    config.items().iter().map(|item| (item.key.as_str(), item.value.as_str())).collect()
}

/// What is said of one key.
fn values<'a>(config: &'a Config, key: &'a str) -> Vec<&'a str> {
    config.all(key).map(|item| item.value.as_str()).collect()
}
