//! What is mounted besides the root: `lxc.mount.entry`, one line of an fstab(5) each.

mod entry;
mod place;

use std::collections::BTreeMap;

use tweendeck_proto::v1::mount::Source;
use tweendeck_proto::v1::{BindMount, DeviceRule, Mount, MountPropagation, TmpfsMount};

use super::devices::OF_EVERY_CONTAINER;
use super::paths::{absolute, bytes, leads_up, plain};
use super::verdict::{Said, Verdict, Work, honoured, noted, refused};
use entry::Entry;

/// Most mounts of a container.
const MOST: usize = 64;
/// Names in the node's /dev that are no devices.
const NO_DEVICES: [&str; 6] = ["log", "shm", "hugepages", "mqueue", "initctl", "pts"];

/// The keys `lxc.mount.entry` and `lxc.mount.fstab`.
pub(super) fn apply(work: &mut Work<'_>) {
    let mut taken: BTreeMap<String, Entry> = BTreeMap::new();
    for said in work.all("lxc.mount.entry") {
        let verdict = line(work, said, &mut taken);
        work.settle(said, verdict);
    }
    work.each("lxc.mount.fstab", |_, _| {
        refused("files of mounts are not read; put each of its lines into the configuration, as lxc.mount.entry")
    });
}

/// An entry with `optional` that cannot be made is left out, as LXC does; one that would lead out of the root never is.
fn line(work: &mut Work<'_>, said: Said<'_>, taken: &mut BTreeMap<String, Entry>) -> Verdict {
    let entry = Entry::parse(said.value())?;
    if leads_up(&entry.target) {
        return refused(format!("{:?} would lead out of the container's root: leave out the \"..\"", entry.target));
    }
    let verdict = place::target(work, &entry.target).and_then(|target| mount(work, &entry, &target, taken));
    match verdict {
        Err(why) if entry.has("optional") => noted(format!("left out, because it is optional: {why}")),
        other => other,
    }
}

fn mount(work: &mut Work<'_>, entry: &Entry, target: &str, taken: &mut BTreeMap<String, Entry>) -> Verdict {
    if let Some(text) = place::already_there(entry, target) {
        return noted(text);
    }
    if let Some(earlier) = taken.get(target) {
        let same = earlier.source == entry.source && earlier.kind == entry.kind && earlier.options == entry.options;
        let text = format!("{target} is mounted on twice, and only one of the two would be seen; leave one out");
        return if same { noted("is there twice") } else { refused(text) };
    }
    let verdict = if entry.is_bind() {
        bind(work, entry, target)?
    } else if entry.kind == "tmpfs" {
        let source = tmpfs(entry)?;
        add(work, target, Source::Tmpfs(source))?
    } else {
        return refused(format!(
            "a file system of type {} cannot be mounted for a container; mount it on the node, and bind it",
            entry.kind
        ));
    };
    taken.insert(target.to_owned(), entry.clone());
    Ok(verdict)
}

fn add(work: &mut Work<'_>, target: &str, source: Source) -> Verdict {
    place::free(target)?;
    if work.spec.mounts.len() >= MOST {
        return refused(format!("is the mount after the {MOST}th, which is the last that a container can have"));
    }
    let kind = if matches!(source, Source::Tmpfs(_)) { "tmpfs" } else { "bind" };
    work.spec.mounts.push(Mount { target: target.to_owned(), source: Some(source) });
    honoured(format!("mounts, {kind} on {target}"))
}

fn bind(work: &mut Work<'_>, entry: &Entry, target: &str) -> Verdict {
    let source = source(work, entry)?;
    let below = source.strip_prefix("/dev/").zip(target.strip_prefix("/dev/"));
    if let Some((name, inside)) = below.filter(|(name, _)| !name.split('/').any(|part| NO_DEVICES.contains(&part))) {
        return device(work, entry, (&source, name), (target, inside));
    }
    let mut bind = BindMount { source: source.clone(), ..BindMount::default() };
    for option in &entry.options {
        match option.as_str() {
            "bind" | "rw" | "defaults" | "nodev" | "nosuid" | "create=dir" | "create=file" | "optional"
            | "relative" | "private" | "rprivate" | "relatime" => {}
            "rbind" => bind.recursive = true,
            "ro" => bind.readonly = true,
            "noexec" => bind.noexec = true,
            "slave" | "rslave" => bind.propagation = MountPropagation::Slave.into(),
            "shared" | "rshared" => {
                return refused(format!("{option}: what a container mounts never reaches the node; write rslave"));
            }
            other => return refused(entry::unknown(other)),
        }
    }
    let verdict = add(work, target, Source::Bind(bind))?;
    if entry.has("optional") {
        work.extras.optional.push(source);
    }
    Ok(verdict)
}

/// A source that is relative to the root may be led out of it by a link in it, unless the root is the node's anyway.
fn source(work: &Work<'_>, entry: &Entry) -> Result<String, String> {
    let relative = entry.has("relative");
    if leads_up(&entry.source) {
        return Err(format!("{:?} must not have \"..\" in it", entry.source));
    }
    if relative && work.spec.rootfs.is_some() {
        return Err(format!(
            "{:?} is a path in the container's own root, where a link could lead it out; give the path on the node, without relative",
            entry.source
        ));
    }
    let source = if relative { format!("/{}", entry.source) } else { entry.source.clone() };
    absolute(&source)?;
    Ok(plain(&source))
}

/// Device nodes in what is bound open nothing; a device is given by its name.
fn device(work: &mut Work<'_>, entry: &Entry, (path, name): (&str, &str), (inside, named): (&str, &str)) -> Verdict {
    let first = named.split('/').next().unwrap_or_default();
    if OF_EVERY_CONTAINER.contains(&first) {
        let text = format!("{inside} is what every container has of its own; leave the line out");
        return if first == name { honoured(format!("every container has {inside}")) } else { refused(text) };
    }
    if first == "console" {
        return refused("/dev/console is the container's own terminal; leave the line out");
    }
    if entry.has("create=dir") {
        return refused(format!(
            "devices in a directory that is bound open nothing; give each one below {path} a line with create=file"
        ));
    }
    let readonly = entry.has("ro");
    if let Some(other) = entry.options.iter().find(|option| !entry::says_nothing(option) && *option != "ro") {
        return refused(entry::unknown(other));
    }
    let container_path = if path == inside { String::new() } else { inside.to_owned() };
    let access = if readonly { "r" } else { "rwm" };
    let rule = DeviceRule { path: path.to_owned(), container_path, access: access.to_owned(), ..DeviceRule::default() };
    work.device(rule);
    if entry.has("optional") {
        work.extras.optional.push(path.to_owned());
    }
    honoured(format!("resources.devices, {path}"))
}

fn tmpfs(entry: &Entry) -> Result<TmpfsMount, String> {
    let mut mount = TmpfsMount::default();
    for option in &entry.options {
        match option.split_once('=') {
            Some(("size", size)) => {
                let size = bytes(size).filter(|size| (4096..=1 << 40).contains(size));
                mount.size_bytes = Some(size.ok_or_else(|| format!("{option} must be 4K to 1024G"))?);
            }
            Some(("mode", mode)) => {
                let mode = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777);
                mount.mode = Some(mode.ok_or_else(|| format!("{option} must be permission bits, in octal digits"))?);
            }
            _ if option == "noexec" => mount.noexec = true,
            _ if entry::says_nothing(option) => {}
            _ => return Err(entry::unknown(option)),
        }
    }
    Ok(mount)
}

#[cfg(test)]
mod tests;
