//! LXC's configurations: files that include each other, and what a command line says on top of them.
#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use tweendeck_fuzz::texts;
use tweendeck_lxc::config::{Config, Source, keys, update};

/// Where all files are, as `0.conf` and so on. The first one is read.
const DIRECTORY: &str = "d";

/// The texts of an input, as files.
struct Files<'a>(Vec<&'a [u8]>);

impl Source for Files<'_> {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let number = path.strip_prefix("d/").and_then(|name| name.strip_suffix(".conf")?.parse::<usize>().ok());
        let file = number.and_then(|number| self.0.get(number));
        file.map(|text| text.to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        match directory {
            DIRECTORY => Ok((0..self.0.len()).rev().map(|number| format!("{number}.conf")).collect()),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let files = Files(texts(data).collect());
    match Config::read(&files, "d/0.conf") {
        Ok(config) => look(&config, &files),
        Err(problems) => assert!(!problems.is_empty(), "refused without a reason"),
    }
    if let [text] = files.0.as_slice() {
        compare(text, &files);
    }
});

/// What is read can be written and shown, and changed by the lines of the last file.
fn look(config: &Config, files: &Files<'_>) {
    let written = Config::parse(&config.text(), "written", files).expect("what was written can be read");
    assert_eq!(said(&written), said(config), "it has changed on its way");
    for item in config.items() {
        let (key, name) = keys::find(&item.key).expect("it has a key");
        assert_eq!(name, item.key);
        assert!(key.list || config.all(&item.key).count() == 1, "{name} is there more than once");
        assert!(config.item_text(&item.key).is_some_and(|lines| !lines.is_empty()), "{name} is not shown");
    }
    let mut changed = config.clone();
    for line in files.0.last().and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default().lines().take(32) {
        let before = changed.clone();
        if changed.define(line, files).is_err() {
            assert_eq!(changed, before, "what was refused counts");
        }
    }
    changed.fill_hwaddr(&mut || 5);
    let written = Config::parse(&changed.text(), "written", files).expect("what was changed can be read");
    assert_eq!(said(&written), said(&changed), "it has changed on its way");
}

/// A file says the same when its names are new.
fn compare(text: &[u8], files: &Files<'_>) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(updated) = update(text, "old") else { return };
    assert_eq!(update(&updated, "new").as_ref(), Ok(&updated), "twice is not once");
    if let (Ok(old), Ok(new)) = (Config::parse(text, "old", files), Config::parse(&updated, "new", files)) {
        assert_eq!(said(&new), said(&old), "new names say something else");
    }
}

fn said(config: &Config) -> Vec<(&str, &str)> {
    config.items().iter().map(|item| (item.key.as_str(), item.value.as_str())).collect()
}
