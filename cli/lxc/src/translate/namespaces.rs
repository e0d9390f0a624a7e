//! Namespaces that are kept, made, or shared with another container, and clocks: `lxc.namespace.*`, `lxc.time.offset.*`.

use std::collections::BTreeMap;

use prost_types::Duration;
use tweendeck_proto::v1::namespace::Source;
use tweendeck_proto::v1::{ClockOffsets, Namespace, NamespaceMode, NamespaceOptions, NetworkMode};

use super::verdict::{Said, Verdict, Work, honoured, noted, refused};

/// Names as in `/proc/PID/ns`.
const KINDS: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
const SHARE: &str = "lxc.namespace.share.";
const KEEP: &str = "lxc.namespace.keep";
const CLONE: &str = "lxc.namespace.clone";

/// Who has asked for what of which namespace.
type Asked<'a> = BTreeMap<&'static str, (Said<'a>, Source)>;

/// All of them. Looks at what other keys have made of the specification.
pub(super) fn apply(work: &mut Work<'_>) {
    let mut asked = Asked::new();
    for said in work.under(SHARE) {
        let verdict = share(said, &mut asked);
        work.settle(said, verdict);
    }
    for said in work.all(KEEP) {
        let verdict = keep(said, &mut asked);
        work.settle(said, verdict);
    }
    clone(work, &mut asked);
    clocks(work, &mut asked);
    for (kind, (said, source)) in asked {
        if let Err(why) = fits(work, kind, &source) {
            work.settle(said, refused(why));
        }
        if kind == "pid" && source != mode(NamespaceMode::Private) {
            // They belong to whoever is PID 1 there.
            work.spec.wait_for_orphans = false;
        }
        if kind == "net" {
            work.spec.set_network(NetworkMode::Unspecified);
        }
        if let Some(slot) = slot(&mut work.namespaces, kind) {
            *slot = Some(Namespace { source: Some(source) });
        }
    }
}

fn known(name: &str) -> Result<&'static str, String> {
    let name = if name == "mount" { "mnt" } else { name };
    let found = KINDS.iter().find(|kind| **kind == name);
    found.copied().ok_or_else(|| format!("{name:?} is none of {}", KINDS.join(" ")))
}

fn slot<'b>(options: &'b mut NamespaceOptions, kind: &str) -> Option<&'b mut Option<Namespace>> {
    Some(match kind {
        "cgroup" => &mut options.cgroup,
        "ipc" => &mut options.ipc,
        "mnt" => &mut options.mount,
        "net" => &mut options.network,
        "pid" => &mut options.pid,
        "time" => &mut options.time,
        "user" => &mut options.user,
        "uts" => &mut options.uts,
        _ => return None,
    })
}

fn mode(mode: NamespaceMode) -> Source {
    Source::Mode(mode.into())
}

fn share<'a>(said: Said<'a>, asked: &mut Asked<'a>) -> Verdict {
    let kind = known(said.key().strip_prefix(SHARE).unwrap_or_default())?;
    let name = said.value();
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return refused(format!("{name:?} is a PID of the node's; name a container of this node"));
    }
    if name.contains('/') {
        return refused(format!("{name:?} is a path; name a container of this node"));
    }
    asked.insert(kind, (said, Source::Container(name.to_owned())));
    honoured(format!("namespaces.{kind} of {name}"))
}

fn add<'a>(asked: &mut Asked<'a>, said: Said<'a>, kind: &'static str, source: Source) -> Result<(), String> {
    if let Some((other, earlier)) = asked.get(kind) {
        if *earlier != source {
            return Err(format!("{kind}: contradicts {} ({}); leave one out", other.key(), other.place()));
        }
        return Ok(());
    }
    asked.insert(kind, (said, source));
    Ok(())
}

fn keep<'a>(said: Said<'a>, asked: &mut Asked<'a>) -> Verdict {
    for word in said.value().split_whitespace() {
        let kind = known(word)?;
        if kind == "mnt" {
            return refused("the node's mounts take security.privileged; leave mnt out");
        }
        add(asked, said, kind, mode(NamespaceMode::Host))?;
    }
    honoured("namespaces, HOST for each of them")
}

/// What is not made is the node's, but for ids, which LXC makes or leaves by `lxc.idmap` alone, and clocks, which are the node's anyway.
fn clone<'a>(work: &mut Work<'a>, asked: &mut Asked<'a>) {
    let all = work.all(CLONE);
    let Some(last) = all.last().copied() else { return };
    let mut made = Vec::new();
    for said in all {
        let verdict = make(work, said, &mut made, asked);
        work.settle(said, verdict);
    }
    if !made.contains(&"mnt") {
        let why = "must have mnt in it: the node's mounts take security.privileged";
        return work.settle(last, refused(why));
    }
    for kind in KINDS {
        let shared = matches!(asked.get(kind), Some((_, Source::Container(_))));
        if !made.contains(&kind) && !shared && !matches!(kind, "user" | "time") {
            asked.insert(kind, (last, mode(NamespaceMode::Host)));
        }
    }
}

fn make<'a>(work: &Work<'a>, said: Said<'a>, made: &mut Vec<&'static str>, asked: &mut Asked<'a>) -> Verdict {
    if work.config.one(KEEP).is_some() {
        return refused(format!("excludes {KEEP}; leave one out"));
    }
    for word in said.value().split_whitespace() {
        let kind = known(word)?;
        made.push(kind);
        add(asked, said, kind, mode(NamespaceMode::Private))?;
    }
    honoured("namespaces, PRIVATE for each of them and HOST for the others")
}

/// What the rest of the specification leaves no room for.
fn fits(work: &mut Work<'_>, kind: &str, source: &Source) -> Result<(), String> {
    let private = *source == mode(NamespaceMode::Private);
    match kind {
        "net" => {
            let own = work.spec.network() == NetworkMode::None;
            let configured = work.config.items().iter().any(|item| item.key.starts_with("lxc.net."));
            let contradicts = configured && own != private && !matches!(source, Source::Container(_));
            if contradicts {
                return Err("net contradicts what lxc.net says; leave one out".to_owned());
            }
        }
        "uts" if !private && !work.spec.hostname.is_empty() => {
            if let Some(named) = work.only("lxc.uts.name") {
                let why = "the host name would be set for everyone who shares it; leave it out, or give the container a uts namespace of its own";
                work.settle(named, refused(why));
            }
        }
        "user" if work.namespaces.user.as_ref().is_some_and(|given| given.source.as_ref() != Some(source)) => {
            return Err("an overlay with an upper directory needs the node's user ids; leave user out".to_owned());
        }
        "mnt" if !private => {
            work.spec.terminal = None;
            let paths = work.resources.devices.iter().any(|device| !device.path.is_empty());
            if work.spec.rootfs.is_some() || !work.spec.mounts.is_empty() || paths {
                return Err("the container has the other's root and mounts; leave lxc.rootfs and lxc.mount.entry out"
                    .to_owned());
            }
        }
        _ => {}
    }
    Ok(())
}

fn clocks<'a>(work: &mut Work<'a>, asked: &mut Asked<'a>) {
    let mut offsets = ClockOffsets::default();
    for (key, boot) in [("lxc.time.offset.boot", true), ("lxc.time.offset.monotonic", false)] {
        let Some(said) = work.only(key) else { continue };
        let verdict = offset(said.value()).and_then(|offset| {
            add(asked, said, "time", mode(NamespaceMode::Private))?;
            if boot {
                offsets.boottime = Some(offset);
                return honoured("namespaces.clock_offsets.boottime");
            }
            offsets.monotonic = Some(offset);
            honoured("namespaces.clock_offsets.monotonic")
        });
        work.settle(said, verdict);
    }
    work.namespaces.clock_offsets = Some(offsets).filter(|offsets| *offsets != ClockOffsets::default());
    work.note(&["lxc.sched.core"], "no core scheduling: processes of others may run beside it on the same core");
    work.each("lxc.keyring.session", |_, value| match value {
        "1" => honoured("every container has a session keyring of its own"),
        _ => noted("every container has a session keyring of its own, whatever is said"),
    });
}

/// A number and its unit.
fn offset(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} must be a whole number and h, m, s, ms, us or ns");
    let unit = text.find(|character: char| character.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit);
    let nanos: i128 = match unit {
        "h" => 3_600_000_000_000,
        "m" => 60_000_000_000,
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" => 1_000,
        "ns" => 1,
        _ => return Err(wrong()),
    };
    let number: i64 = number.trim_end().parse().map_err(|_| wrong())?;
    let nanos = nanos.saturating_mul(number.into());
    let (seconds, nanos) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let (seconds, nanos) = i64::try_from(seconds).ok().zip(i32::try_from(nanos).ok()).ok_or_else(wrong)?;
    Ok(Duration { seconds, nanos })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{execute, fate, spec, start, why};
    use super::*;

    fn asked(items: &[(&str, &str)]) -> NamespaceOptions {
        spec(items).namespaces.unwrap_or_default()
    }

    fn of(wanted: NamespaceMode) -> Option<Namespace> {
        Some(Namespace { source: Some(mode(wanted)) })
    }

    #[test]
    fn what_is_kept_is_the_nodes() {
        let host = || of(NamespaceMode::Host);
        let expected = NamespaceOptions { network: host(), ipc: host(), ..NamespaceOptions::default() };
        assert_eq!(asked(&[(KEEP, "net ipc")]), expected);
        assert_eq!(spec(&[(KEEP, "net")]).network(), NetworkMode::Unspecified);
        assert_eq!(asked(&[(KEEP, "net"), ("lxc.net.0.type", "none")]).network, host());
        assert!(why(&[(KEEP, "net"), ("lxc.net.0.type", "empty")]).contains("lxc.net"));
        assert!(why(&[(KEEP, "mnt")]).contains("privileged"));
        assert!(why(&[(KEEP, "net bogus")]).contains("bogus"));
        assert_eq!(asked(&[(KEEP, "net"), (KEEP, "ipc")]), expected);
        assert!(why(&[(KEEP, "uts"), ("lxc.uts.name", "a")]).contains("host name"));
    }

    #[test]
    fn what_is_not_made_is_the_nodes() {
        let (own, host) = (|| of(NamespaceMode::Private), || of(NamespaceMode::Host));
        let found = asked(&[(CLONE, "mount pid net")]);
        assert_eq!((found.mount, found.pid, found.network), (own(), own(), own()));
        assert_eq!((found.ipc, found.uts, found.cgroup), (host(), host(), host()));
        assert_eq!((found.user, found.time), (None, None));
        assert_eq!(asked(&[(CLONE, "mount pid"), (CLONE, "net")]), asked(&[(CLONE, "mount pid net")]));
        assert!(why(&[(CLONE, "pid")]).contains("mnt"));
        assert!(why(&[(CLONE, "mnt pid"), (KEEP, "net")]).contains("excludes"));
        assert!(why(&[(CLONE, "mnt pid user"), ("lxc.rootfs.path", "overlay:/a:/b")]).contains("overlay"));
    }

    #[test]
    fn an_init_in_a_pid_namespace_of_others_waits_for_no_orphans() {
        for (item, waits) in [
            (("lxc.namespace.share.pid", "web"), false),
            ((KEEP, "pid"), false),
            ((CLONE, "mnt"), false),
            ((CLONE, "mnt pid"), true),
            ((KEEP, "net"), true),
        ] {
            assert_eq!(execute(&[item], &["true"]).unwrap().spec.wait_for_orphans, waits, "{item:?}");
        }
    }

    #[test]
    fn what_is_shared_is_another_containers() {
        let container = Some(Namespace { source: Some(Source::Container("web".into())) });
        assert_eq!(asked(&[("lxc.namespace.share.pid", "web")]).pid, container);
        let net = asked(&[("lxc.namespace.share.net", "web"), (CLONE, "mnt pid ipc uts")]);
        assert_eq!(net.network, container);
        assert_eq!(asked(&[("lxc.namespace.share.mnt", "web")]).mount, container);
        assert_eq!(spec(&[("lxc.namespace.share.mnt", "web")]).terminal, None);
        assert!(why(&[("lxc.namespace.share.mnt", "web"), ("lxc.rootfs.path", "/a")]).contains("root"));
        for (value, expected) in [("1", "PID"), ("42", "PID"), ("/opt/web", "path")] {
            assert!(why(&[("lxc.namespace.share.net", value)]).contains(expected), "{value}");
        }
        assert!(why(&[("lxc.namespace.share.net", "web"), (KEEP, "net")]).contains("contradicts"));
        why(&[("lxc.namespace.share.bogus", "web")]);
    }

    #[test]
    fn clocks_are_offset_in_a_namespace_of_their_own() {
        let found = asked(&[("lxc.time.offset.boot", "1h"), ("lxc.time.offset.monotonic", "-1500ms")]);
        let offsets = found.clock_offsets.unwrap();
        assert_eq!(offsets.boottime, Some(Duration { seconds: 3600, nanos: 0 }));
        assert_eq!(offsets.monotonic, Some(Duration { seconds: -1, nanos: -500_000_000 }));
        assert_eq!(found.time, of(NamespaceMode::Private));
        for wrong in ["1d", "1", "", "s", "1.5s", "x s"] {
            assert!(why(&[("lxc.time.offset.boot", wrong)]).contains("must be"), "{wrong}");
        }
        assert!(start(&[("lxc.time.offset.boot", "1s"), (KEEP, "time")], &[]).is_err());
        assert!(fate(&[("lxc.keyring.session", "0")]).starts_with("Noted"));
    }
}
