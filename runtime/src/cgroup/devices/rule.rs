//! One rule: who may do what with which devices.

use std::fmt;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use serde::{Deserialize, Serialize};

/// The highest major number (12 bits; include/linux/kdev_t.h of the kernel, `MINORBITS`).
pub const MAJOR_MAX: u32 = 0xFFF;
/// The highest minor number (20 bits).
pub const MINOR_MAX: u32 = 0xF_FFFF;
/// Most rules of one container, the default ones included.
pub const RULES_MAX: usize = 256;

/// Kinds of devices a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// Both (`a`).
    Any,
    /// Block devices (`b`).
    Block,
    /// Character devices (`c`).
    Char,
}

/// A set of ways to use a device: read, write, and make a node of it (mknod(2)). Never empty in a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Access(u8);

/// Allows or denies a way to use some devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Allows, or else denies.
    pub allow: bool,
    /// Kind of device.
    pub kind: Kind,
    /// Major number, at most [`MAJOR_MAX`]; `None` is every one.
    pub major: Option<u32>,
    /// Minor number, at most [`MINOR_MAX`]; `None` is every one.
    pub minor: Option<u32>,
    /// What it allows or denies.
    pub access: Access,
}

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Not one of the types that devices have.
    #[error("type must be a, b or c (or u, which is c)")]
    Type,
    /// `a` is all devices.
    #[error("type a stands for all devices: leave major and minor out, or choose b or c")]
    AnyWithNumbers,
    /// Too large or negative.
    #[error("major must be 0 to 4095, or -1 or absent for all")]
    Major,
    /// Too large or negative.
    #[error("minor must be 0 to 1048575, or -1 or absent for all")]
    Minor,
    /// Nothing, twice the same, or something else.
    #[error("access must be r, w and m, each at most once and at least one of them")]
    Access,
}

impl Access {
    /// Make a node (`m`); the kernel's `BPF_DEVCG_ACC_MKNOD`.
    pub const MKNOD: Self = Self(1);
    /// Read (`r`).
    pub const READ: Self = Self(2);
    /// Write (`w`).
    pub const WRITE: Self = Self(4);
    /// All of it (`rwm`).
    pub const ALL: Self = Self(7);

    /// Letters out of `rwm`, each at most once, at least one.
    ///
    /// # Errors
    /// [`RuleError::Access`].
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let mut access = Self::default();
        for letter in text.chars() {
            let one = match letter {
                'r' => Self::READ,
                'w' => Self::WRITE,
                'm' => Self::MKNOD,
                _ => return Err(RuleError::Access),
            };
            if access.intersects(one) {
                return Err(RuleError::Access);
            }
            access = access.union(one);
        }
        if access.is_empty() { Err(RuleError::Access) } else { Ok(access) }
    }

    /// The kernel's bits (`BPF_DEVCG_ACC_*` in linux/bpf.h).
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    #[cfg(test)]
    pub(super) fn of_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [(Self::READ, "r"), (Self::WRITE, "w"), (Self::MKNOD, "m")];
        letters.into_iter().filter(|(one, _)| self.intersects(*one)).try_for_each(|(_, letter)| f.write_str(letter))
    }
}

impl Rule {
    /// A rule of an OCI specification (config-linux, "Device allowed list"). What it leaves out stands for all, except for the access, which it must name.
    ///
    /// # Errors
    /// [`RuleError`], the first one.
    pub fn from_oci(oci: &LinuxDeviceCgroup) -> Result<Self, RuleError> {
        let kind = match oci.typ() {
            None | Some(LinuxDeviceType::A) => Kind::Any,
            Some(LinuxDeviceType::B) => Kind::Block,
            Some(LinuxDeviceType::C | LinuxDeviceType::U) => Kind::Char,
            Some(LinuxDeviceType::P) => return Err(RuleError::Type),
        };
        let rule = Self {
            allow: oci.allow(),
            kind,
            major: number(oci.major(), MAJOR_MAX).ok_or(RuleError::Major)?,
            minor: number(oci.minor(), MINOR_MAX).ok_or(RuleError::Minor)?,
            access: Access::parse(oci.access().as_deref().unwrap_or_default())?,
        };
        rule.check()?;
        Ok(rule)
    }

    /// This rule, as an OCI specification has it.
    #[must_use]
    pub fn to_oci(self) -> LinuxDeviceCgroup {
        let mut oci = LinuxDeviceCgroup::default();
        oci.set_allow(self.allow);
        oci.set_typ(Some(match self.kind {
            Kind::Any => LinuxDeviceType::A,
            Kind::Block => LinuxDeviceType::B,
            Kind::Char => LinuxDeviceType::C,
        }));
        oci.set_major(self.major.map(i64::from));
        oci.set_minor(self.minor.map(i64::from));
        oci.set_access(Some(self.access.to_string()));
        oci
    }

    /// Whether its values are ones the kernel has.
    ///
    /// # Errors
    /// [`RuleError`], the first one.
    pub fn check(&self) -> Result<(), RuleError> {
        if self.kind == Kind::Any && (self.major.is_some() || self.minor.is_some()) {
            return Err(RuleError::AnyWithNumbers);
        }
        if self.major.is_some_and(|major| major > MAJOR_MAX) {
            return Err(RuleError::Major);
        }
        if self.minor.is_some_and(|minor| minor > MINOR_MAX) {
            return Err(RuleError::Minor);
        }
        if self.access.is_empty() || self.access.bits() > Access::ALL.bits() {
            return Err(RuleError::Access);
        }
        Ok(())
    }

    /// Whether it speaks of every use of every device: what stands before it has no effect.
    /// Everything allowed.
    #[must_use]
    pub fn everything() -> Self {
        Self { allow: true, kind: Kind::Any, major: None, minor: None, access: Access::ALL }
    }

    pub(super) fn is_total(&self) -> bool {
        self.kind == Kind::Any && self.major.is_none() && self.minor.is_none() && self.access == Access::ALL
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.allow { "allow" } else { "deny" };
        let kind = match self.kind {
            Kind::Any => "a",
            Kind::Block => "b",
            Kind::Char => "c",
        };
        let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
        write!(f, "{verb} {kind} {}:{} {}", number(self.major), number(self.minor), self.access)
    }
}

/// -1 and nothing are "all"; `None` is what no device has.
fn number(given: Option<i64>, max: u32) -> Option<Option<u32>> {
    match given {
        None | Some(-1) => Some(None),
        Some(number) => u32::try_from(number).ok().filter(|number| *number <= max).map(Some),
    }
}

/// The plain meaning of rules, for tests to compare with: for each way of use the last rule that speaks of it decides, and none means no.
#[cfg(test)]
pub(super) mod naive {
    use super::{Access, Kind, Rule};

    #[derive(Clone, Copy, Debug)]
    pub(in crate::cgroup::devices) struct Use {
        pub(in crate::cgroup::devices) kind: Kind,
        pub(in crate::cgroup::devices) major: u32,
        pub(in crate::cgroup::devices) minor: u32,
        pub(in crate::cgroup::devices) access: Access,
    }

    pub(in crate::cgroup::devices) fn allowed(rules: &[Rule], wanted: Use) -> bool {
        let speaks = |rule: &&Rule, one: Access| {
            (rule.kind == Kind::Any || rule.kind == wanted.kind)
                && rule.major.is_none_or(|major| major == wanted.major)
                && rule.minor.is_none_or(|minor| minor == wanted.minor)
                && rule.access.intersects(one)
        };
        let ways = [Access::READ, Access::WRITE, Access::MKNOD];
        let mut asked = ways.into_iter().filter(|one| wanted.access.intersects(*one));
        asked.all(|one| rules.iter().rev().find(|rule| speaks(rule, one)).is_some_and(|rule| rule.allow))
    }

    /// Rules and uses that often meet: few numbers, all kinds.
    pub(in crate::cgroup::devices) fn rules() -> impl proptest::strategy::Strategy<Value = Vec<Rule>> {
        use proptest::prelude::*;
        let kind = prop_oneof![Just(Kind::Any), Just(Kind::Block), Just(Kind::Char)];
        let number = || proptest::option::of(0_u32..3);
        let rule =
            (any::<bool>(), kind, number(), number(), 1_u8..8).prop_map(|(allow, kind, major, minor, access)| {
                let named = kind != Kind::Any;
                let (major, minor) = (major.filter(|_| named), minor.filter(|_| named));
                Rule { allow, kind, major, minor, access: Access::of_bits(access) }
            });
        proptest::collection::vec(rule, 0..12)
    }

    pub(in crate::cgroup::devices) fn uses() -> impl Iterator<Item = Use> {
        let kinds = [Kind::Block, Kind::Char];
        let with = |kind| (0..4).flat_map(move |major| (0..4).map(move |minor| (kind, major, minor)));
        kinds.into_iter().flat_map(with).flat_map(|(kind, major, minor)| {
            (1..8).map(move |bits| Use { kind, major, minor, access: Access::of_bits(bits) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Result<String, RuleError> {
        Rule::from_oci(&serde_json::from_str(json).unwrap()).map(|rule| rule.to_string())
    }

    #[test]
    fn what_a_rule_leaves_out_stands_for_all() {
        assert_eq!(parsed(r#"{"allow": false, "access": "rwm"}"#).unwrap(), "deny a *:* rwm");
        assert_eq!(
            parsed(r#"{"allow": true, "type": "c", "major": 1, "minor": -1, "access": "mr"}"#).unwrap(),
            "allow c 1:* rm"
        );
        assert_eq!(
            parsed(r#"{"allow": true, "type": "u", "major": 1, "minor": 3, "access": "w"}"#).unwrap(),
            "allow c 1:3 w"
        );
    }

    #[test]
    fn what_no_device_has_is_refused() {
        let rule = |rest: &str| parsed(&format!(r#"{{"allow": true, {rest}}}"#)).unwrap_err();
        assert_eq!(rule(r#""type": "c", "major": 1"#), RuleError::Access);
        for access in ["", "x", "rr", "rwmr", "RW", "r w"] {
            assert_eq!(rule(&format!(r#""access": "{access}""#)), RuleError::Access, "{access}");
        }
        assert_eq!(rule(r#""type": "p", "access": "r""#), RuleError::Type);
        assert_eq!(rule(r#""major": 1, "access": "r""#), RuleError::AnyWithNumbers);
        assert_eq!(rule(r#""type": "b", "major": 4096, "access": "r""#), RuleError::Major);
        assert_eq!(rule(r#""type": "b", "major": -2, "access": "r""#), RuleError::Major);
        assert_eq!(rule(r#""type": "b", "minor": 1048576, "access": "r""#), RuleError::Minor);
    }

    proptest::proptest! {
        #[test]
        fn a_rule_survives_oci(rules in naive::rules()) {
            for rule in rules {
                let json = serde_json::to_string(&rule.to_oci()).unwrap();
                proptest::prop_assert_eq!(Rule::from_oci(&serde_json::from_str(&json).unwrap()), Ok(rule));
            }
        }
    }
}
