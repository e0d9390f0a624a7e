//! The devices controller of v1: a default, and exceptions from it (Documentation/admin-guide/cgroup-v1/devices.rst).

use std::collections::BTreeMap;
use std::path::Path;

use super::{Access, Kind, Rule};
use crate::cgroup::{CgroupError, file};

/// Most exceptions that a list may become. The kernel walks them at each open.
const EXCEPTIONS_MAX: usize = 1024;

/// Kind, major, minor of an exception; `None` is every number.
type Devices = (Kind, Option<u32>, Option<u32>);

/// What the controller holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    /// What is in no exception is allowed.
    allow: bool,
    exceptions: BTreeMap<Devices, Access>,
}

/// Whether the controller can hold a list.
///
/// # Errors
/// [`CgroupError::DeviceHole`] naming the rule that takes away a part of what an earlier one gave.
pub(in crate::cgroup) fn check(rules: &[Rule]) -> Result<(), CgroupError> {
    State::of(rules).map(drop)
}

/// Makes the cgroup's list this one, and reads it back.
///
/// What is new is allowed before what is old is denied, so a device in both lists is never refused. Only the change from "everything" to a list cannot be made so:
/// the kernel begins a list empty. It happens to a new cgroup, which has no process yet. Exceptions from "everything" are not shown by the kernel, and not
/// read back.
pub(in crate::cgroup) fn apply(directory: &Path, rules: &[Rule]) -> Result<(), CgroupError> {
    let target = State::of(rules)?;
    let allow = |lines: Vec<String>| file::write_each(directory, "devices.allow", lines);
    let deny = |lines: Vec<String>| file::write_each(directory, "devices.deny", lines);
    let lines = |exceptions: Vec<(Devices, Access)>| {
        exceptions.into_iter().map(|(devices, access)| line(devices, access)).collect()
    };
    if target.allow {
        allow(vec!["a".to_owned()])?;
        deny(lines(difference(&target.exceptions, &BTreeMap::new())))?;
    } else {
        let mut current = read(directory)?;
        if current.allow {
            deny(vec!["a".to_owned()])?;
            current = State::default();
        }
        allow(lines(difference(&target.exceptions, &current.exceptions)))?;
        deny(lines(difference(&current.exceptions, &target.exceptions)))?;
    }
    let shown = State { exceptions: if target.allow { BTreeMap::new() } else { target.exceptions }, ..target };
    let found = read(directory)?;
    if found == shown {
        return Ok(());
    }
    let detail =
        format!("devices.list has {} exceptions, {} were asked for", found.exceptions.len(), shown.exceptions.len());
    Err(CgroupError::DevicesNotEnforced { path: directory.to_owned(), detail })
}

/// What is in `a` and not in `b`.
fn difference(a: &BTreeMap<Devices, Access>, b: &BTreeMap<Devices, Access>) -> Vec<(Devices, Access)> {
    let rest = |(devices, access): (&Devices, &Access)| {
        (*devices, access.without(b.get(devices).copied().unwrap_or_default()))
    };
    a.iter().map(rest).filter(|(_, access)| !access.is_empty()).collect()
}

fn line((kind, major, minor): Devices, access: Access) -> String {
    // As in a rule, less its verb.
    let rule = Rule { allow: true, kind, major, minor, access }.to_string();
    rule.trim_start_matches("allow ").to_owned()
}

fn read(directory: &Path) -> Result<State, CgroupError> {
    let content = file::read(directory, "devices.list")?;
    parse(&content).ok_or_else(|| file::malformed(directory.join("devices.list"), &content))
}

/// `devices.list`: `a *:* rwm` for everything (less exceptions, which are not shown), else a line an exception.
fn parse(content: &str) -> Option<State> {
    let mut state = State::default();
    for line in content.lines() {
        let mut words = line.split([' ', ':']);
        let kind = match words.next()? {
            "a" => return Some(State { allow: true, exceptions: BTreeMap::new() }),
            "b" => Kind::Block,
            "c" => Kind::Char,
            _ => return None,
        };
        let mut number = || match words.next()? {
            "*" => Some(None),
            number => number.parse().ok().map(Some),
        };
        let (major, minor) = (number()?, number()?);
        let access = Access::parse(words.next()?).ok()?;
        let slot = state.exceptions.entry((kind, major, minor)).or_default();
        *slot = slot.union(access);
    }
    Some(state)
}

impl State {
    /// The state that means what the rules mean.
    fn of(rules: &[Rule]) -> Result<Self, CgroupError> {
        let mut state = Self::default();
        for rule in rules {
            if rule.is_total() {
                state = Self { allow: rule.allow, exceptions: BTreeMap::new() };
                continue;
            }
            let kinds: &[Kind] = match rule.kind {
                Kind::Any => &[Kind::Block, Kind::Char],
                Kind::Block => &[Kind::Block],
                Kind::Char => &[Kind::Char],
            };
            for kind in kinds {
                state.take((*kind, rule.major, rule.minor), rule)?;
            }
        }
        state.close()?;
        Ok(state)
    }

    fn take(&mut self, devices: Devices, rule: &Rule) -> Result<(), CgroupError> {
        if rule.allow != self.allow {
            let slot = self.exceptions.entry(devices).or_default();
            *slot = slot.union(rule.access);
            return Ok(());
        }
        for (exception, access) in &mut self.exceptions {
            let Some(common) = meet(*exception, devices).filter(|_| access.intersects(rule.access)) else {
                continue;
            };
            if common != *exception {
                return Err(CgroupError::DeviceHole { rule: rule.to_string(), wider: line(*exception, *access) });
            }
            *access = access.without(rule.access);
        }
        self.exceptions.retain(|_, access| !access.is_empty());
        Ok(())
    }

    /// The kernel wants one exception to allow all of what an open asks for: each gets what wider ones have, and two that overlap get one for what they share.
    /// (Of exceptions that deny, any part of one is enough, so this changes nothing for them.)
    fn close(&mut self) -> Result<(), CgroupError> {
        if self.allow {
            return Ok(());
        }
        loop {
            let known: Vec<(Devices, Access)> =
                self.exceptions.iter().map(|(devices, access)| (*devices, *access)).collect();
            for (position, (one, access)) in known.iter().enumerate() {
                for (other, more) in known.iter().take(position) {
                    if let Some(common) = meet(*one, *other) {
                        let slot = self.exceptions.entry(common).or_default();
                        *slot = slot.union(access.union(*more));
                    }
                }
            }
            if self.exceptions.len() > EXCEPTIONS_MAX {
                return Err(CgroupError::TooManyDevices { count: self.exceptions.len(), max: EXCEPTIONS_MAX });
            }
            if known.iter().map(|(devices, access)| (devices, access)).eq(&self.exceptions) {
                return Ok(());
            }
        }
    }
}

/// The devices that are in both.
fn meet(a: Devices, b: Devices) -> Option<Devices> {
    let number = |a: Option<u32>, b: Option<u32>| match (a, b) {
        (Some(a), Some(b)) => (a == b).then_some(Some(a)),
        (number, None) | (None, number) => Some(number),
    };
    (a.0 == b.0).then_some((a.0, number(a.1, b.1)?, number(a.2, b.2)?))
}

#[cfg(test)]
mod tests {
    use super::super::rule::naive::{self, Use, allowed};
    use super::super::{default_rules, over_default};
    use super::*;

    /// As `security/device_cgroup.c` of the kernel decides.
    fn kernel(state: &State, wanted: Use) -> bool {
        let is_in = |(kind, major, minor): &Devices| {
            *kind == wanted.kind
                && major.is_none_or(|major| major == wanted.major)
                && minor.is_none_or(|minor| minor == wanted.minor)
        };
        let mut found = state.exceptions.iter().filter(|(devices, _)| is_in(devices));
        if state.allow {
            return !found.any(|(_, access)| access.intersects(wanted.access));
        }
        found.any(|(_, access)| wanted.access.without(*access).is_empty())
    }

    #[test]
    fn the_default_is_a_short_list() {
        let state = State::of(&default_rules()).unwrap();
        let lines: Vec<String> = state.exceptions.iter().map(|(devices, access)| line(*devices, *access)).collect();
        let expected = [
            "b *:* m",
            "c *:* m",
            "c 1:3 rwm",
            "c 1:5 rwm",
            "c 1:7 rwm",
            "c 1:8 rwm",
            "c 1:9 rwm",
            "c 5:0 rwm",
            "c 5:2 rwm",
            "c 136:* rwm",
        ];
        assert_eq!(lines, expected);
        assert_eq!(parse(&lines.join("\n")), Some(state));
    }

    #[test]
    fn a_hole_in_a_wider_rule_is_refused_by_name() {
        let rule = |allow, major, minor| Rule { allow, kind: Kind::Char, major, minor, access: Access::READ };
        let error = check(&[rule(true, Some(1), None), rule(false, Some(1), Some(3))]).unwrap_err();
        let expected = "the device rule \"deny c 1:3 r\" takes away a part of \"c 1:* r\", which cgroup v1 cannot do; \
                        name the devices to allow one by one";
        assert_eq!(error.to_string(), expected);
        assert!(check(&[rule(true, Some(1), Some(3)), rule(false, Some(1), None)]).is_ok());
    }

    #[test]
    fn what_the_kernel_does_not_write_is_malformed() {
        for bad in ["x 1:3 r", "c 1:3", "c one:3 r", "c 1:3 q", "c 1"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse(""), Some(State::default()));
        assert!(parse("a *:* rwm").unwrap().allow);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(500))]
        #[test]
        fn what_it_can_hold_means_what_the_rules_mean(rules in naive::rules(), default: bool) {
            let rules = if default { over_default(&rules) } else { rules };
            if let Ok(state) = State::of(&rules) {
                for wanted in naive::uses() {
                    proptest::prop_assert_eq!(kernel(&state, wanted), allowed(&rules, wanted), "{:?} {:?}", state, wanted);
                }
            }
        }

        #[test]
        fn rules_that_only_allow_can_always_be_held(rules in naive::rules()) {
            let allows: Vec<Rule> = rules.into_iter().map(|rule| Rule { allow: true, ..rule }).collect();
            proptest::prop_assert!(check(&over_default(&allows)).is_ok());
        }
    }
}
