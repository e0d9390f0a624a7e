//! Devices that may be opened: `lxc.cgroup.devices.*` and `lxc.cgroup2.devices.*`.
//!
//! A container's list denies everything but what every container has; rules add to it. Both names of the keys mean the same list: what either allows is allowed.

use tweendeck_proto::v1::{DeviceRule, DeviceType};

use super::Fate;
use super::cgroup::kept;
use super::verdict::{Said, Verdict, Work, honoured, noted, refused};

/// Names in every container's /dev.
pub(super) const OF_EVERY_CONTAINER: [&str; 14] = [
    "null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm",
    "mqueue",
];
/// What every container may use, by number: null, zero, full, random, urandom, tty, ptmx, pseudo-terminals.
const OPEN: [(u32, Option<u32>); 8] =
    [(1, Some(3)), (1, Some(5)), (1, Some(7)), (1, Some(8)), (1, Some(9)), (5, Some(0)), (5, Some(2)), (136, None)];
/// The node's console; that of a container is a pseudo-terminal.
const CONSOLE: (u32, Option<u32>) = (5, Some(1));
/// Devices whose names have had one number ever since (Documentation/admin-guide/devices.txt).
const NAMED: [(&str, u32, u32); 9] = [
    ("/dev/vfio/vfio", 10, 196),
    ("/dev/net/tun", 10, 200),
    ("/dev/uinput", 10, 223),
    ("/dev/hpet", 10, 228),
    ("/dev/fuse", 10, 229),
    ("/dev/kvm", 10, 232),
    ("/dev/mapper/control", 10, 236),
    ("/dev/loop-control", 10, 237),
    ("/dev/ppp", 108, 0),
];
const MOST: usize = 64;
const MAJOR_MAX: u32 = 4095;
const MINOR_MAX: u32 = (1 << 20) - 1;

/// A rule about devices, `None` for every number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    kind: DeviceType,
    major: Option<u32>,
    minor: Option<u32>,
    access: String,
}

/// The keys `lxc.cgroup.devices.*` and `lxc.cgroup2.devices.*`.
pub(super) fn apply(work: &mut Work<'_>) {
    for prefix in ["lxc.cgroup.devices.", "lxc.cgroup2.devices."] {
        let mut allowed: Vec<(Said<'_>, Rule)> = Vec::new();
        for said in work.under(prefix) {
            let verdict = match said.key().strip_prefix(prefix) {
                Some("deny") => deny(work, said.value(), &mut allowed),
                Some("allow") => match allow(said.value()) {
                    Ok(Allowed::Anyway(fate)) => Ok(fate),
                    Ok(Allowed::More(rule)) => {
                        allowed.push((said, rule));
                        continue;
                    }
                    Err(why) => refused(why),
                },
                _ => refused("can only be read; rules are devices.allow and devices.deny"),
            };
            work.settle(said, verdict);
        }
        for (said, rule) in allowed {
            let verdict = add(work, said, rule);
            work.settle(said, verdict);
        }
    }
}

/// What a rule that allows something comes to.
enum Allowed {
    /// Nothing that is not so anyway.
    Anyway(Fate),
    /// An entry of the list, whose verdict is given when that is whole.
    More(Rule),
}

fn deny<'a>(work: &mut Work<'a>, value: &str, allowed: &mut Vec<(Said<'a>, Rule)>) -> Verdict {
    let Some(rule) = parse(value)? else {
        for (said, _) in allowed.drain(..) {
            work.settle(said, noted("taken back by a later devices.deny = a"));
        }
        return honoured("every container's list begins with it");
    };
    if let Some(position) = allowed.iter().position(|(_, earlier)| *earlier == rule) {
        let (said, _) = allowed.remove(position);
        work.settle(said, noted("taken back by a later devices.deny"));
        return honoured("the rule before it is taken back");
    }
    let open = OPEN.iter().any(|(major, minor)| {
        rule.overlaps(&Rule { kind: DeviceType::Char, major: Some(*major), minor: *minor, access: String::new() })
    });
    let much = open && rule.access != "m" || allowed.iter().any(|(_, earlier)| earlier.overlaps(&rule));
    if much {
        return refused("takes away a part of what is allowed, or of what every container has; allow less instead");
    }
    honoured("denied unless it is allowed")
}

fn allow(value: &str) -> Result<Allowed, String> {
    let Some(rule) = parse(value)? else {
        return Err("every device of the node takes security.privileged; allow those that are needed".to_owned());
    };
    let anyway = |text: &str| Ok(Allowed::Anyway(Fate::Honoured(text.to_owned())));
    if rule.access == "m" {
        return anyway("nodes of devices may be made, by whoever has CAP_MKNOD");
    }
    let Some(major) = rule.major else {
        return Err("all devices of a kind are as good as every one; allow those that are needed".to_owned());
    };
    if rule.kind == DeviceType::Char {
        if OPEN.iter().any(|(known, minor)| *known == major && (minor.is_none() || *minor == rule.minor)) {
            return anyway("every container has it");
        }
        if (major, rule.minor) == CONSOLE {
            let text = "/dev/console is the container's own terminal; the node's is not opened";
            return Ok(Allowed::Anyway(Fate::Noted(text.to_owned())));
        }
    }
    Ok(Allowed::More(rule))
}

/// One entry for a device: with all access that its rules give, or by its path where that is given too.
fn add(work: &mut Work<'_>, said: Said<'_>, rule: Rule) -> Verdict {
    let path = named(&rule);
    if let Some(given) = work.resources.devices.iter().find(|device| path.is_some_and(|path| device.path == path)) {
        return kept(work, said, &format!("resources.devices, {}", given.path));
    }
    let same = |device: &&mut DeviceRule| {
        device.path.is_empty() && (device.r#type(), device.major, device.minor) == (rule.kind, rule.major, rule.minor)
    };
    if let Some(device) = work.resources.devices.iter_mut().find(same) {
        device.access =
            "rwm".chars().filter(|one| device.access.contains(*one) || rule.access.contains(*one)).collect();
    } else if work.resources.devices.len() >= MOST {
        return refused(format!("is the device after the {MOST}th, which is the last that a container can have"));
    } else {
        let Rule { kind, major, minor, access } = rule;
        work.device(DeviceRule { r#type: kind.into(), major, minor, access, ..DeviceRule::default() });
    }
    kept(work, said, "resources.devices")
}

fn named(rule: &Rule) -> Option<&'static str> {
    let number = rule.major.zip(rule.minor).filter(|_| rule.kind == DeviceType::Char)?;
    NAMED.iter().find(|(_, major, minor)| (*major, *minor) == number).map(|(path, _, _)| *path)
}

impl Rule {
    fn overlaps(&self, other: &Self) -> bool {
        let meet = |one: Option<u32>, other: Option<u32>| one.is_none() || other.is_none() || one == other;
        self.kind == other.kind && meet(self.major, other.major) && meet(self.minor, other.minor)
    }
}

/// A rule; `None`: all devices.
fn parse(text: &str) -> Result<Option<Rule>, String> {
    let wrong =
        || format!("{text:?} must be a, or c or b with MAJOR:MINOR and letters out of rwm, as in \"c 10:200 rw\"");
    let words: Vec<&str> = text.split_whitespace().collect();
    let (kind, numbers, access) = match *words.as_slice() {
        ["a"] | ["a", "*:*", "rwm"] => return Ok(None),
        [kind, numbers] => (kind, numbers, "rwm"),
        [kind, numbers, access] => (kind, numbers, access),
        _ => return Err(wrong()),
    };
    let kind = match kind {
        "c" => DeviceType::Char,
        "b" => DeviceType::Block,
        _ => return Err(wrong()),
    };
    let letters = access.chars().all(|letter| "rwm".contains(letter)) && !access.is_empty();
    let (major, minor) = numbers.split_once(':').filter(|_| letters).ok_or_else(wrong)?;
    let number = |text: &str, max: u32| match text {
        "*" => Ok(None),
        text => text.parse().ok().filter(|number| *number <= max).map(Some).ok_or_else(wrong),
    };
    let access = "rwm".chars().filter(|letter| access.contains(*letter)).collect();
    Ok(Some(Rule { kind, major: number(major, MAJOR_MAX)?, minor: number(minor, MINOR_MAX)?, access }))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{fates, on, spec, start, told, unified, why};
    use super::*;

    const ALLOW: &str = "lxc.cgroup.devices.allow";
    const ALLOW2: &str = "lxc.cgroup2.devices.allow";
    const DENY: &str = "lxc.cgroup.devices.deny";

    fn devices(items: &[(&str, &str)]) -> Vec<DeviceRule> {
        spec(items).resources.unwrap_or_default().devices
    }

    fn numbered(kind: DeviceType, major: u32, minor: Option<u32>, access: &str) -> DeviceRule {
        DeviceRule { r#type: kind.into(), major: Some(major), minor, access: access.into(), ..DeviceRule::default() }
    }

    #[test]
    fn what_distributions_write_is_what_every_container_has() {
        let mut items = vec![(DENY, "a")];
        for rule in ["c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rw", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm", "c 1:9 r"]
        {
            items.push((ALLOW, rule));
        }
        assert!(fates(&items).iter().all(|fate| fate.starts_with("Honoured")));
        assert_eq!(spec(&items).resources, None);
        assert!(fates(&[(ALLOW, "c 5:1 rwm")])[0].starts_with("Noted"));
    }

    #[test]
    fn other_devices_are_added_once_for_both_names_of_the_key() {
        let items = [
            (DENY, "a"),
            (ALLOW, "c 10:229 rw"),
            (ALLOW, "b 8:* r"),
            ("lxc.cgroup2.devices.deny", "a"),
            (ALLOW2, "c 10:229 m"),
            (ALLOW2, "c 10:229 rwm"),
            (ALLOW2, "c 4:7"),
        ];
        let expected = [
            numbered(DeviceType::Char, 10, Some(229), "rwm"),
            numbered(DeviceType::Block, 8, None, "r"),
            numbered(DeviceType::Char, 4, Some(7), "rwm"),
        ];
        assert_eq!(devices(&items), expected);
        let found = fates(&items);
        assert!(found[1].starts_with("Honoured") && found[5].starts_with("Translated"), "{found:?}");
        let there = on(&unified(), &[(ALLOW, "c 10:229 rw")]).unwrap();
        assert!(told(&there.notes[0].fate).starts_with("Translated"));
    }

    #[test]
    fn a_device_that_is_bound_by_name_is_named_once() {
        let items = [(ALLOW, "c 10:200 rwm"), ("lxc.mount.entry", "/dev/net/tun dev/net/tun none bind,create=file")];
        let found = devices(&items);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].major), ("/dev/net/tun", None));
    }

    #[test]
    fn what_is_taken_back_is_not_there() {
        assert_eq!(devices(&[(ALLOW, "c 10:229 rw"), (DENY, "a")]), []);
        let items = [(ALLOW, "c 10:229 rw"), (ALLOW, "c 10:200 rw"), (DENY, "c 10:229 rw"), (DENY, "b 8:0 rwm")];
        assert_eq!(devices(&items), [numbered(DeviceType::Char, 10, Some(200), "rw")]);
        assert!(fates(&items)[0].contains("taken back"));
    }

    #[test]
    fn what_is_too_much_or_no_rule_is_refused() {
        assert!(why(&[(ALLOW, "a")]).contains("privileged"));
        assert!(why(&[(ALLOW, "a *:* rwm")]).contains("privileged"));
        assert!(why(&[(ALLOW, "c *:* rwm")]).contains("as good as"));
        assert!(why(&[(DENY, "c 1:3 rwm")]).contains("every container"));
        assert!(start(&[(ALLOW, "c 10:* rw"), (DENY, "c 10:229 rw")], &[]).is_err());
        assert!(why(&[("lxc.cgroup.devices.list", "a")]).contains("only be read"));
        for wrong in ["", "x", "c", "c 1", "c 1:3 x", "c 4096:0 r", "c 1:1048576 r", "d 1:3 r", "c 1:3 r w"] {
            why(&[(ALLOW, wrong)]);
        }
    }
}
