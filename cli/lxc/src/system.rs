//! The system's configuration: `lxc.conf`(5), where containers are and how they are stored unless something else is said.
//!
//! Pure: the caller reads the file, which is `/etc/lxc/lxc.conf` ([`FILE`]) and may be missing.

use std::sync::Arc;

use crate::command::shown;
use crate::config::{Place, Problem};

/// Where the file is.
pub const FILE: &str = "/etc/lxc/lxc.conf";

/// A longer text is refused, in bytes; a system's is a few lines.
const MOST_BYTES: usize = 1024 * 1024;

/// All items, in the order of `lxc-config -l`, with what counts where nothing is said. The configuration that a container begins with is not LXC's own file unless the
/// system says so: that names a bridge of LXC's.
const ITEMS: [(&str, Option<&str>); 7] = [
    (DEFAULT_CONFIG, Some("/etc/tweendeck/lxc-default.conf")),
    (LXCPATH, Some("/var/lib/lxc")),
    ("lxc.bdev.lvm.vg", Some("lxc")),
    ("lxc.bdev.lvm.thin_pool", Some("lxc")),
    ("lxc.bdev.zfs.root", Some("lxc")),
    ("lxc.cgroup.use", None),
    ("lxc.cgroup.pattern", None),
];
const DEFAULT_CONFIG: &str = "lxc.default_config";
const LXCPATH: &str = "lxc.lxcpath";

/// What is said, and defaults for the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    said: Vec<(&'static str, String)>,
}

/// Reads a text of `KEY = VALUE` lines; `#` begins a line that says nothing. Quotes and a `#` behind a value are the value's own, as they are for LXC.
///
/// # Errors
/// With every line that cannot be taken: one that is no setting, of no item, of an item that was set before (LXC would take the first), or a
/// path that is none from the root.
pub fn parse(file: &str, text: &str) -> Result<System, Vec<Problem>> {
    let file: Arc<str> = Arc::from(file);
    let place = |line| Place { file: Arc::clone(&file), line };
    if text.len() > MOST_BYTES {
        let why = format!("it has more than {MOST_BYTES} bytes");
        return Err(vec![Problem { place: place(0), key: "the file".to_owned(), why }]);
    }
    let (mut system, mut problems) = (System::default(), Vec::new());
    for (line, number) in text.lines().zip(1_u32..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Err((key, why)) = system.take(line) {
            problems.push(Problem { place: place(number), key, why });
        }
    }
    if problems.is_empty() { Ok(system) } else { Err(problems) }
}

impl System {
    /// One line. What is wrong is told with the key.
    fn take(&mut self, line: &str) -> Result<(), (String, String)> {
        let (key, value) = line
            .split_once('=')
            .map(|(key, value)| (key.trim(), value.trim()))
            .ok_or_else(|| (shown(line), "it is no setting; write KEY = VALUE, or # before it".to_owned()))?;
        let refuse = |why: String| Err((shown(key), why));
        let Some((item, _)) = ITEMS.iter().find(|(item, _)| *item == key) else {
            let known: Vec<&str> = items().collect();
            return refuse(format!("there is no such item; take it out, or use one of {}", known.join(" ")));
        };
        if self.said.iter().any(|(said, _)| said == item) {
            return refuse("it is set already; leave one of the lines".to_owned());
        }
        let none = *item == DEFAULT_CONFIG && value.is_empty();
        if [DEFAULT_CONFIG, LXCPATH].contains(item) && !value.starts_with('/') && !none {
            return refuse(format!("\"{}\": it must be a path that begins with /", shown(value)));
        }
        self.said.push((item, value.to_owned()));
        Ok(())
    }

    /// The store of containers.
    #[must_use]
    pub fn lxcpath(&self) -> &str {
        self.value(LXCPATH).unwrap_or_default()
    }

    /// The configuration of a container that is made without one, if there is to be one.
    #[must_use]
    pub fn default_config(&self) -> Option<&str> {
        self.value(DEFAULT_CONFIG).filter(|path| !path.is_empty())
    }

    fn value(&self, key: &str) -> Option<&str> {
        let said = self.said.iter().find(|(item, _)| *item == key).map(|(_, value)| value.as_str());
        said.or_else(|| ITEMS.iter().find(|(item, _)| *item == key).and_then(|(_, default)| *default))
    }

    /// What `lxc-config ITEM` prints; `None` when there is no such item.
    #[must_use]
    pub fn show(&self, item: &str) -> Option<String> {
        items().find(|known| *known == item)?;
        Some(self.value(item).map_or_else(|| format!("{item} is not set."), str::to_owned))
    }
}

/// What `lxc-config -l` prints, an item a line.
pub fn items() -> impl Iterator<Item = &'static str> {
    ITEMS.iter().map(|(item, _)| *item)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusals(text: &str) -> Vec<String> {
        parse("lxc.conf", text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn without_a_word_defaults_count() {
        let system = parse("lxc.conf", "\n# lxc.lxcpath = /x\n").unwrap();
        assert_eq!(system, System::default());
        assert_eq!(
            (system.lxcpath(), system.default_config()),
            ("/var/lib/lxc", Some("/etc/tweendeck/lxc-default.conf"))
        );
        let shown: Vec<String> = items().filter_map(|item| system.show(item)).collect();
        let expected = [
            "/etc/tweendeck/lxc-default.conf",
            "/var/lib/lxc",
            "lxc",
            "lxc",
            "lxc",
            "lxc.cgroup.use is not set.",
            "lxc.cgroup.pattern is not set.",
        ];
        assert_eq!(shown, expected);
        assert_eq!(system.show("lxc.bogus"), None);
    }

    #[test]
    fn what_is_said_counts_as_it_is_written() {
        let text = " lxc.lxcpath =  /a b/c/ \r\nlxc.bdev.zfs.root=\"q\" # why\nlxc.default_config=\nlxc.cgroup.pattern = a=b/%n";
        let system = parse("lxc.conf", text).unwrap();
        assert_eq!((system.lxcpath(), system.default_config()), ("/a b/c/", None));
        assert_eq!(system.show("lxc.bdev.zfs.root").as_deref(), Some("\"q\" # why"));
        assert_eq!(system.show("lxc.default_config").as_deref(), Some(""));
        assert_eq!(system.show("lxc.cgroup.pattern").as_deref(), Some("a=b/%n"));
    }

    #[test]
    fn every_line_that_cannot_be_taken_is_told_at_once() {
        let text = "nonsense\nlxc.bogus = 1\nlxc.lxcpath = x\nlxc.bdev.lvm.vg = a\nlxc.bdev.lvm.vg = a\nlxc.lxcpath =";
        let said = refusals(text);
        let expected = [
            "lxc.conf:1: nonsense: it is no setting",
            "lxc.conf:2: lxc.bogus: there is no such item",
            "lxc.conf:3: lxc.lxcpath: \"x\": it must be a path",
            "lxc.conf:5: lxc.bdev.lvm.vg: it is set already",
            "lxc.conf:6: lxc.lxcpath: \"\": it must be a path",
        ];
        assert_eq!(said.len(), expected.len(), "{said:?}");
        for (said, expected) in said.iter().zip(expected) {
            assert!(said.starts_with(expected), "{said}");
        }
        assert!(refusals(&"#".repeat(MOST_BYTES + 1))[0].starts_with("lxc.conf: the file: it has more than"));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_told(lines in prop::collection::vec("(lxc\\.(lxcpath|cgroup\\.use|x)|\\PC{0,4}) ?=? ?/?\\PC{0,8}", 0..6)) {
            match parse("lxc.conf", &lines.join("\n")) {
                Ok(system) => prop_assert!(system.lxcpath().starts_with('/')),
                Err(problems) => prop_assert!(!problems.is_empty() && problems.len() <= lines.len()),
            }
        }
    }
}
