//! What every container may do with devices, unless its list says otherwise.

use super::{Access, Kind, Rule};

/// Devices that a container may use in every way: major and minor number (Documentation/admin-guide/devices.txt).
///
/// Not `/dev/console` (5:1): it is the host's own; the one of a container with a terminal is a pseudo-terminal.
const DEVICES: [(u32, Option<u32>); 8] = [
    (1, Some(3)), // null
    (1, Some(5)), // zero
    (1, Some(7)), // full
    (1, Some(8)), // random
    (1, Some(9)), // urandom
    (5, Some(0)), // tty
    (5, Some(2)), // ptmx
    (136, None),  // pts; 137 to 143 are not used since the kernel counts pts with 20 bits
];

/// Denies everything, then allows what every container has.
///
/// Nodes of any device may be made, as other runtimes allow: on v2 the process that fills `/dev` is in the cgroup already. A node opens nothing that the
/// other rules refuse, and a container needs `CAP_MKNOD` to make one, which it does not have unless it was given it.
#[must_use]
pub fn default_rules() -> Vec<Rule> {
    let allow = |kind, major, minor, access| Rule { allow: true, kind, major, minor, access };
    let mut rules = vec![Rule { allow: false, kind: Kind::Any, major: None, minor: None, access: Access::ALL }];
    rules.extend([Kind::Char, Kind::Block].map(|kind| allow(kind, None, None, Access::MKNOD)));
    rules.extend(DEVICES.map(|(major, minor)| allow(Kind::Char, Some(major), minor, Access::ALL)));
    rules
}

/// What a list means: it begins with the default rules, and so does what follows its last rule that denies everything. The devices that the
/// specification promises to every container ("Default Devices") would otherwise not open in one whose list is just "deny all", which is what
/// engines write. A later rule of the list may take one away. Applied twice it gives the same.
#[must_use]
pub fn over_default(rules: &[Rule]) -> Vec<Rule> {
    let denies_all = |rule: &Rule| !rule.allow && rule.is_total();
    let after = rules.iter().rposition(denies_all).map_or(0, |position| position.saturating_add(1));
    let rest = rules.get(after..).unwrap_or_default();
    let mut all = default_rules();
    let rest = rest.strip_prefix(all.get(1..).unwrap_or_default()).unwrap_or(rest);
    all.extend_from_slice(rest);
    all
}

#[cfg(test)]
mod tests {
    use super::super::rule::naive::{self, Use, allowed};
    use super::*;

    fn verdict(rules: &[Rule], kind: Kind, major: u32, minor: u32, access: &str) -> bool {
        allowed(rules, Use { kind, major, minor, access: Access::parse(access).unwrap() })
    }

    #[test]
    fn the_default_is_the_devices_every_program_expects_and_no_other() {
        let rules = default_rules();
        for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, 0), (136, 77)] {
            assert!(verdict(&rules, Kind::Char, major, minor, "rwm"), "{major}:{minor}");
            assert!(!verdict(&rules, Kind::Block, major, minor, "r"), "{major}:{minor}");
        }
        for (major, minor) in [(1, 1), (1, 4), (4, 0), (5, 1), (10, 200), (10, 229), (10, 232)] {
            assert!(!verdict(&rules, Kind::Char, major, minor, "r"), "{major}:{minor}");
            assert!(verdict(&rules, Kind::Char, major, minor, "m"), "{major}:{minor}");
        }
        assert!(!verdict(&rules, Kind::Block, 8, 0, "r") && verdict(&rules, Kind::Block, 8, 0, "m"));
    }

    #[test]
    fn a_list_that_denies_everything_leaves_the_default_and_a_later_rule_takes_away() {
        let deny_all = default_rules().remove(0);
        assert_eq!(over_default(&[deny_all]), default_rules());
        assert_eq!(over_default(&[Rule { allow: true, ..deny_all }, deny_all]), default_rules());
        let no_tty = Rule {
            allow: false,
            kind: Kind::Char,
            major: Some(5),
            minor: Some(0),
            access: Access::parse("rw").unwrap(),
        };
        let rules = over_default(&[deny_all, no_tty]);
        assert!(!verdict(&rules, Kind::Char, 5, 0, "r") && verdict(&rules, Kind::Char, 1, 3, "rw"));
        let everything = over_default(&[deny_all, Rule { allow: true, ..deny_all }]);
        assert!(verdict(&everything, Kind::Block, 8, 0, "rwm"));
    }

    proptest::proptest! {
        #[test]
        fn twice_is_once(rules in naive::rules()) {
            let once = over_default(&rules);
            proptest::prop_assert_eq!(over_default(&once), once);
        }
    }
}
