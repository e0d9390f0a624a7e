//! Networks: `lxc.net.*`. This version has the node's and one of the container's own with only a loopback device.

use std::collections::BTreeMap;

use tweendeck_proto::v1::NetworkMode;

use super::verdict::{Said, Verdict, Work, honoured, noted, refused};

/// The keys `lxc.net.N.*`. The namespaces' keys may give another's network in place of it.
pub(super) fn apply(work: &mut Work<'_>) {
    let mut by_number: BTreeMap<&str, Vec<Said<'_>>> = BTreeMap::new();
    for said in work.under("lxc.net.") {
        let number = said.key().split('.').nth(2).unwrap_or_default();
        by_number.entry(number).or_default().push(said);
    }
    let kinds: Vec<&str> = by_number.values().filter_map(|items| kind(items)).map(Said::value).collect();
    // Another container's network has its devices already, as LXC sees it.
    let shared = work.config.one("lxc.namespace.share.net").is_some();
    let own = kinds.iter().any(|kind| *kind != "none") || kinds.is_empty();
    for items in by_number.into_values() {
        for (said, verdict) in judge(&items, shared, own) {
            work.settle(said, verdict);
        }
    }
    if !shared {
        work.spec.set_network(if own { NetworkMode::None } else { NetworkMode::Host });
    }
}

fn kind<'a>(items: &[Said<'a>]) -> Option<Said<'a>> {
    items.iter().rev().find(|said| said.key().ends_with(".type")).copied()
}

/// Verdicts on what is said of one network. A refusal of its type covers all of it.
fn judge<'a>(items: &[Said<'a>], shared: bool, own: bool) -> Vec<(Said<'a>, Verdict)> {
    let all = |verdict: Verdict| items.iter().map(|said| (*said, verdict.clone())).collect::<Vec<_>>();
    if shared {
        return all(noted("the network is that of lxc.namespace.share.net"));
    }
    let Some(kind) = kind(items) else {
        let mut verdicts = all(noted("covered by the refusal of its network"));
        if let Some((_, first)) = verdicts.first_mut() {
            *first = refused("is of a network without a type; set its type, to none or empty");
        }
        return verdicts;
    };
    match kind.value() {
        "none" | "empty" => items.iter().map(|said| (*said, of_none(*said, kind, own))).collect(),
        other => {
            let why = format!(
                "{other}: this version has no networks but none (the node's) and empty (its own, with only a loopback device); set one of them, and leave the rest of this network out"
            );
            let mut verdicts = all(noted("covered by the refusal of its network"));
            verdicts.retain(|(said, _)| said.key() != kind.key());
            verdicts.push((kind, refused(why)));
            verdicts
        }
    }
}

/// What is said of a network that has no device.
fn of_none(said: Said<'_>, kind: Said<'_>, own: bool) -> Verdict {
    let name = said.key().splitn(4, '.').nth(3).unwrap_or_default();
    match (name, kind.value()) {
        ("type", "empty") => honoured("network NONE: its own, with only a loopback device"),
        ("type", _) if own => noted("another network asks for a namespace of its own, which then is what counts"),
        ("type", _) => honoured("network HOST"),
        ("flags", "empty") if said.value() == "up" => honoured("the loopback device is up"),
        ("script.up" | "script.down", _) => {
            refused("scripts of networks are not run; use lxc.hook.pre-start and lxc.hook.post-stop")
        }
        _ => noted("there is no device that it could be about"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{fates, spec, start};
    use super::*;

    const TYPE: &str = "lxc.net.0.type";

    #[test]
    fn networks_are_the_nodes_or_none() {
        assert_eq!(spec(&[]).network(), NetworkMode::None);
        assert_eq!(spec(&[(TYPE, "empty"), ("lxc.net.0.flags", "up")]).network(), NetworkMode::None);
        assert_eq!(spec(&[(TYPE, "none")]).network(), NetworkMode::Host);
        // As in LXC: one network of its own is enough.
        assert_eq!(spec(&[(TYPE, "none"), ("lxc.net.7.type", "empty")]).network(), NetworkMode::None);
        let found = fates(&[(TYPE, "empty"), ("lxc.net.0.flags", "up"), ("lxc.net.0.ipv4.address", "10.0.0.1/8")]);
        assert!(found[0].starts_with("Honoured") && found[1].contains("is up") && found[2].starts_with("Noted"));
    }

    #[test]
    fn one_refusal_covers_a_network_with_a_device() {
        for kind in ["veth", "macvlan", "phys", "vlan", "ipvlan"] {
            let problems = start(
                &[(TYPE, kind), ("lxc.net.0.link", "br0"), ("lxc.net.0.script.up", "/a"), ("lxc.net.1.type", kind)],
                &[],
            )
            .unwrap_err();
            let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
            assert_eq!(keys, [TYPE, "lxc.net.1.type"]);
            assert_eq!(problems[1].place.line, 4);
        }
    }

    #[test]
    fn scripts_and_networks_without_a_type_are_refused() {
        let problems = start(&[(TYPE, "empty"), ("lxc.net.0.script.up", "/a")], &[]).unwrap_err();
        assert!(problems[0].why.contains("lxc.hook"));
        let problems = start(&[("lxc.net.3.link", "br0"), ("lxc.net.3.flags", "up")], &[]).unwrap_err();
        assert_eq!((problems.len(), problems[0].key.as_str()), (1, "lxc.net.3.link"));
    }

    #[test]
    fn another_containers_network_is_taken_as_it_is() {
        let taken = start(&[(TYPE, "veth"), ("lxc.namespace.share.net", "other")], &[]).unwrap();
        assert_eq!(taken.spec.network(), NetworkMode::Unspecified);
    }
}
