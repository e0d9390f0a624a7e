//! One setting more: what it replaces, adds to or clears.
//!
//! `KEY =` clears a key, of a list all of it; of `lxc.net`, `lxc.net.0`, `lxc.cgroup` and the like all that is below. Saying `lxc.net.0.type` again begins
//! network 0 anew.

use super::form::Form;
use super::keys::{self, Key};
use super::legacy::{BACKENDS, Name};
use super::{Config, Item, Place, Problem, line};

/// How many settings there may be.
pub const MAX_ITEMS: usize = 4096;

/// Keys that exclude each other.
const EXCLUSIVE: [(&str, &str); 2] = [("lxc.cap.drop", "lxc.cap.keep"), ("lxc.namespace.clone", "lxc.namespace.keep")];

impl Config {
    /// Takes a key, by any of its names, and what is behind its `=`.
    pub(super) fn set(&mut self, place: &Place, said: &str, raw: &str) -> Result<(), Problem> {
        // What could be a key is told as it is, all else so that it does a terminal no harm.
        let key = || if said.bytes().all(|byte| byte.is_ascii_graphic()) { said.to_owned() } else { shown(said) };
        self.take(place, said, raw).map_err(|why| Problem { place: place.clone(), key: key(), why })
    }

    fn take(&mut self, place: &Place, said: &str, raw: &str) -> Result<(), String> {
        if raw.contains(['\0', '\n']) || said.contains(['\0', '\n']) {
            return Err("a zero byte or the end of a line is in it: take it out".into());
        }
        let cleared = line::clears(raw);
        let (key, old_name) = match self.legacy.name(said, cleared) {
            Name::Present => (said.to_owned(), None),
            Name::Old(name) => (name, Some(said.to_owned())),
            Name::Backend => return self.take_backend(place, said, raw),
            Name::Gone(why) => {
                self.note(place, said, format!("it means nothing now, as {why}: the line can go"));
                return Ok(());
            }
            Name::Homeless => return Err("it is of no network: say lxc.network.type before it".into()),
        };
        if cleared {
            return self.clear(place, &key);
        }
        let (known, key) = keys::find(&key).ok_or_else(|| unknown(&key))?;
        let value = self.value(place, said, known.form, raw)?;
        self.put(known, Item { key, value, place: place.clone(), old_name })
    }

    /// A value as it counts, if it is of the form that is asked for.
    pub(super) fn value(&mut self, place: &Place, said: &str, form: Form, raw: &str) -> Result<String, String> {
        let value = if form.is_free() {
            let value = line::unquote(raw);
            if line::hash(value, 0).is_some() {
                self.note(
                    place,
                    said,
                    "# and what is behind it belong to the value: such a value has no comments".into(),
                );
            }
            value
        } else {
            let (value, comment) = line::uncomment(raw);
            if let Some(comment) = comment {
                self.note(
                    place,
                    said,
                    format!("{} is taken for a comment; LXC has none behind values", shown(comment)),
                );
            }
            let value = line::unquote(value);
            if value.is_empty() {
                return Err("only a comment is behind =: say a value, or nothing at all to clear it".into());
            }
            if line::hash(value, 0).is_some() {
                return Err("# begins a comment, and none may be inside of quotes: take it out".into());
            }
            value
        };
        match form.fits(value) {
            true => Ok(value.to_owned()),
            false => Err(format!("{} is not {form}", shown(value))),
        }
    }

    /// Adds an item that is in order by itself.
    fn put(&mut self, known: &Key, item: Item) -> Result<(), String> {
        for (one, other) in EXCLUSIVE {
            for (this, that) in [(one, other), (other, one)] {
                if item.key == this && self.one(that).is_some() {
                    return Err(format!("{that} excludes it: clear that first, or leave one of them out"));
                }
            }
        }
        if known.name == "lxc.net.N.type" && self.one(&item.key).is_some() {
            self.drop_network(&item.place, &item.key);
        }
        if item.key == "lxc.cap.keep" {
            let none = item.value == "none";
            self.items.retain(|other| other.key != item.key || !none && other.value != "none");
        }
        if !known.list {
            self.items.retain(|other| other.key != item.key);
        }
        if self.items.len() >= MAX_ITEMS {
            return Err(format!("there are more than {MAX_ITEMS} settings: leave some out"));
        }
        self.items.push(item);
        Ok(())
    }

    fn clear(&mut self, place: &Place, name: &str) -> Result<(), String> {
        if let Some((family, name)) = keys::family(name) {
            // What is said only once below these is about something else: lxc.cgroup.dir, lxc.hook.version.
            let lists = matches!(family, "lxc.cgroup" | "lxc.cgroup2" | "lxc.hook");
            let start = format!("{name}.");
            let is_list = |key: &str| keys::find(key).is_some_and(|(key, _)| key.list);
            self.items.retain(|item| !item.key.starts_with(&start) || lists && !is_list(&item.key));
            return Ok(());
        }
        let (known, name) = keys::find(name).ok_or_else(|| unknown(name))?;
        match known.name {
            "lxc.net.N.type" => self.drop_network(place, &name),
            _ => self.items.retain(|item| item.key != name),
        }
        Ok(())
    }

    /// All of the network with this type goes, as LXC has it.
    fn drop_network(&mut self, place: &Place, key: &str) {
        let Some(index) = keys::network(key) else { return };
        let of_it = |item: &Item| keys::network(&item.key) == Some(index);
        let lost = self.items.iter().filter(|item| of_it(item) && item.key != key).map(|item| item.key.as_str());
        let lost = lost.collect::<Vec<_>>().join(", ");
        self.items.retain(|item| !of_it(item));
        if !lost.is_empty() {
            self.note(place, key, format!("it begins the network anew: what was said of it before is gone, {lost}"));
        }
    }

    /// `lxc.rootfs.backend` is a prefix now. It counts for the path of the root wherever that is said: [`Config::settle`].
    fn take_backend(&mut self, place: &Place, said: &str, raw: &str) -> Result<(), String> {
        if line::clears(raw) {
            self.legacy.backend = None;
            return Ok(());
        }
        let value = self.value(place, said, Form::OneOf(&BACKENDS), raw)?;
        self.note(place, said, format!("{value}: is put before lxc.rootfs.path, unless that says its kind itself"));
        self.legacy.backend = Some(value);
        Ok(())
    }

    /// What can be said only when all has been read.
    pub(super) fn settle(&mut self) {
        for item in &mut self.items {
            if item.key == "lxc.rootfs.path"
                && let Some(path) = self.legacy.prefixed(&item.value)
            {
                item.value = path;
            }
        }
    }

    /// Something that somebody should know.
    pub(super) fn note(&mut self, place: &Place, key: &str, why: String) {
        self.notes.push(Problem { place: place.clone(), key: key.to_owned(), why });
    }
}

fn unknown(key: &str) -> String {
    match keys::family(key) {
        Some(_) => "it stands for all keys below it and can only be cleared: say one of those".into(),
        None => "there is no such key: see lxc.container.conf(5), and for its letters, whether all are Latin".into(),
    }
}

/// A piece of text for a message.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let start: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    match text.chars().nth(LONGEST) {
        Some(_) => format!("`{start}`…"),
        None => format!("`{start}`"),
    }
}
