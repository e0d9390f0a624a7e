//! Single settings, as `lxc-info -c KEY` and `lxc-config KEY` print them.

use super::form::Form;
use super::keys::{self, Key};
use super::{Config, amount, signal};

impl Config {
    /// The lines that LXC prints for a key; none if nothing is said of it and it has no usual value. `None` if LXC calls the key invalid.
    ///
    /// `lxc.net` gives the types of all networks; `lxc.cgroup`, `lxc.cgroup2`, `lxc.prlimit`, `lxc.proc` and `lxc.sysctl` give `KEY = VALUE` for all below. LXC
    /// knows no other names of several keys, not even `lxc.net.0`, nor the keys of a network that there is not.
    #[must_use]
    pub fn item_text(&self, key: &str) -> Option<Vec<String>> {
        if let Some((family, name)) = keys::family(key) {
            return self.family_text(family, &name);
        }
        let (key, name) = keys::find(key).filter(|(key, _)| key.name != "lxc.include")?;
        if let Some(index) = keys::network(&name) {
            self.items.iter().find(|item| keys::network(&item.key) == Some(index))?;
        }
        let values: Vec<&str> = self.all(&name).map(|item| item.value.as_str()).collect();
        if values.is_empty() {
            return Some(unset(key).map(str::to_owned).into_iter().collect());
        }
        Some(values_text(key, &values))
    }

    fn family_text(&self, family: &str, name: &str) -> Option<Vec<String>> {
        let start = format!("{name}.");
        let below = self.items.iter().filter(|item| item.key.starts_with(&start));
        match family {
            "lxc.net" => {
                let mut types: Vec<(u32, String)> = below
                    .filter(|item| item.key.ends_with(".type"))
                    .filter_map(|item| Some((keys::index_of(keys::network(&item.key)?)?, item.value.clone())))
                    .collect();
                types.sort_unstable();
                Some(types.into_iter().map(|(_, kind)| kind).collect())
            }
            "lxc.net.N" | "lxc.hook" => None,
            _ => {
                let counts = |key: &str| !key.starts_with("lxc.cgroup.dir") && key != "lxc.cgroup.relative";
                let counted = below.filter(|item| counts(&item.key));
                Some(counted.map(|item| format!("{} = {}", item.key, item.value)).collect())
            }
        }
    }
}

/// What LXC prints for values of a key.
fn values_text(key: &Key, values: &[&str]) -> Vec<String> {
    if key.form == Form::Mounts {
        return vec![mounts(values)];
    }
    if key.form == Form::Groups {
        return vec![values.join(",")];
    }
    if key.name == "lxc.group" || matches!(key.form, Form::Capabilities { .. } | Form::Namespaces) {
        return values.iter().flat_map(|value| value.split_ascii_whitespace()).map(str::to_owned).collect();
    }
    values.iter().map(|value| value_text(key.form, value)).collect()
}

fn value_text(form: Form, value: &str) -> String {
    if form == Form::Signal {
        return signal::parse(value).map_or_else(|| value.to_owned(), |number| number.to_string());
    }
    if form == Form::Size {
        return amount::bytes(value).map_or_else(|| AUTO_SIZE.into(), |bytes| bytes.to_string());
    }
    value.to_owned()
}

/// What LXC takes for `auto` where a console keeps something.
const AUTO_SIZE: &str = "131072";

/// The mounts of `lxc.mount.auto`: of a kind the last word counts.
fn mounts(values: &[&str]) -> String {
    let words = || values.iter().flat_map(|value| value.split_ascii_whitespace());
    let last = |kind: &str| words().rfind(|word| word.starts_with(kind));
    let full = |word: &str| match word {
        "proc" | "sys" => format!("{word}:mixed"),
        _ => word.to_owned(),
    };
    let kinds = ["proc", "sys", "cgroup", "shmounts"].into_iter().filter_map(last);
    kinds.map(full).collect::<Vec<_>>().join(" ")
}

/// What LXC prints for a key of which nothing is said.
fn unset(key: &Key) -> Option<&'static str> {
    match key.name {
        "lxc.autodev" | "lxc.rootfs.managed" => Some("1"),
        "lxc.monitor.signal.pdeath" => Some("9"),
        "lxc.log.level" => Some("NOTSET"),
        name if name.contains(".N.") || name.ends_with('X') => None,
        _ => matches!(key.form, Form::Switch | Form::Number(..) | Form::Signal | Form::Size).then_some("0"),
    }
}
