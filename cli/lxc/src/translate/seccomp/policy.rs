//! LXC's language of policies, versions 1 and 2 (lxc.container.conf(5), SECCOMP CONFIGURATION).

use std::collections::BTreeMap;

use super::numbers;

/// Largest error number (linux/err.h).
const ERRNO_MAX: u32 = 4095;
const EACCES: u32 = 13;
/// The flag of umount2(2) that throws away what is not written.
const MNT_FORCE: u64 = 1;
/// The section of rules that hold on every architecture.
const ALL: &str = "all";
/// Architectures that a section can be of, in small letters.
const ARCHITECTURES: [&str; 20] = [
    ALL,
    "x86",
    "i386",
    "x86_64",
    "amd64",
    "x32",
    "arm",
    "armeb",
    "arm64",
    "aarch64",
    "mips",
    "mips64",
    "mips64n32",
    "mipsel",
    "mipsel64",
    "mipsel64n32",
    "ppc",
    "ppc64",
    "ppc64le",
    "s390x",
];

/// What becomes of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Kill,
    Trap,
    Log,
    Allow,
    Errno(u32),
}

/// How an argument is compared: the specification's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator(pub(super) &'static str);

pub(super) const MASKED: Operator = Operator("SCMP_CMP_MASKED_EQ");

/// A comparison of one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) index: u32,
    pub(super) operator: Operator,
    pub(super) value: u64,
    /// With [`MASKED`].
    pub(super) mask: u64,
}

/// What becomes of one system call, if all conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) action: Action,
    pub(super) conditions: Vec<Condition>,
}

/// A policy.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    /// What becomes of a call without a rule.
    pub(super) default: Action,
    /// Rules by section; the key of a policy of version 1 is the machine it was read for.
    sections: BTreeMap<&'static str, Vec<Rule>>,
}

impl Policy {
    /// Whether all is allowed but what is named.
    pub(super) fn denies(&self) -> bool {
        matches!(self.default, Action::Allow | Action::Log)
    }

    /// Rules of every architecture.
    pub(super) fn of_all(&self) -> &[Rule] {
        self.of(&[ALL])
    }

    /// Rules of the first of these names of an architecture that has some.
    pub(super) fn of(&self, names: &[&'static str]) -> &[Rule] {
        names.iter().find_map(|name| self.sections.get(*name)).map_or(&[], Vec::as_slice)
    }
}

/// Reads a policy for a machine. Errors name the line.
pub(super) fn parse(text: &str, machine: &str) -> Result<Policy, String> {
    let plain = |line: &'_ str| line.split('#').next().unwrap_or_default().trim().to_owned();
    let mut lines = (1..).zip(text.lines().map(plain)).filter(|(_, line)| !line.is_empty());
    let version = lines.next().map(|(_, line)| line).unwrap_or_default();
    let head = lines.next().map(|(_, line)| line).unwrap_or_default();
    match version.as_str() {
        "1" => first(&head, lines, machine),
        "2" => second(&head, lines),
        _ => Err("must begin with its version, 1 or 2".to_owned()),
    }
}

fn first(head: &str, lines: impl Iterator<Item = (u32, String)>, machine: &str) -> Result<Policy, String> {
    if !matches!(head, "allowlist" | "whitelist") {
        return Err("version 1 has allow lists only: the second line must be allowlist".to_owned());
    }
    if machine != "x86_64" {
        return Err(format!("version 1 has numbers, which are not known for {machine}; write version 2, with names"));
    }
    let mut rules = Vec::new();
    for (number, line) in lines {
        let name = line.parse().ok().and_then(numbers::name);
        let name = name.ok_or_else(|| format!("line {number}: {line:?} is no number of a system call"))?;
        rules.push(Rule { name: name.to_owned(), action: Action::Allow, conditions: Vec::new() });
    }
    Ok(Policy { default: Action::Kill, sections: [("x86_64", rules)].into() })
}

fn second(head: &str, lines: impl Iterator<Item = (u32, String)>) -> Result<Policy, String> {
    let (list, rest) = head.split_once(char::is_whitespace).unwrap_or((head, ""));
    let (default, usual) = match list {
        "allowlist" | "whitelist" => (Action::Kill, Action::Allow),
        "denylist" | "blacklist" => (Action::Allow, Action::Kill),
        _ => return Err("the second line must be allowlist or denylist".to_owned()),
    };
    let default = action(rest).map_err(|why| format!("the second line: {why}"))?.unwrap_or(default);
    let mut section = ALL;
    let mut sections: BTreeMap<&'static str, Vec<Rule>> = BTreeMap::new();
    for (number, line) in lines {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let name = name.to_ascii_lowercase();
            let known = ARCHITECTURES.iter().find(|known| **known == name);
            section = known.ok_or_else(|| format!("line {number}: [{name}] is no architecture that is known"))?;
            continue;
        }
        let rule = rule(&line, usual).map_err(|why| format!("line {number}: {why}"))?;
        sections.entry(section).or_default().push(rule);
    }
    Ok(Policy { default, sections })
}

fn rule(line: &str, usual: Action) -> Result<Rule, String> {
    if line == "reject_force_umount" {
        let force = Condition { index: 1, operator: MASKED, value: MNT_FORCE, mask: MNT_FORCE };
        return Ok(Rule { name: "umount2".to_owned(), action: Action::Errno(EACCES), conditions: vec![force] });
    }
    let (head, comparisons) = line.split_at(line.find('[').unwrap_or(line.len()));
    let (name, rest) = head.trim().split_once(char::is_whitespace).unwrap_or((head.trim(), ""));
    let conditions = conditions(comparisons)?;
    Ok(Rule { name: name.to_owned(), action: action(rest)?.unwrap_or(usual), conditions })
}

/// An action, if there is one.
fn action(text: &str) -> Result<Option<Action>, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    Ok(Some(match *words.as_slice() {
        [] => return Ok(None),
        ["kill"] => Action::Kill,
        ["trap"] => Action::Trap,
        ["log"] => Action::Log,
        ["allow"] => Action::Allow,
        ["errno", number] => {
            let number = number.parse().ok().filter(|number| *number <= ERRNO_MAX);
            Action::Errno(number.ok_or_else(|| format!("{text:?} must have an error number, 0 to {ERRNO_MAX}"))?)
        }
        ["notify"] => {
            return Err("notify passes calls on to another program, which is not supported; choose errno N".to_owned());
        }
        _ => return Err(format!("{text:?} is none of kill, trap, log, allow, errno N")),
    }))
}

/// `[INDEX,VALUE,OPERATOR]` or `[INDEX,VALUE,SCMP_CMP_MASKED_EQ,MASK]`, as often as there are.
fn conditions(text: &str) -> Result<Vec<Condition>, String> {
    let mut all: Vec<Condition> = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let wrong = || format!("{text:?} must be [INDEX,VALUE,OPERATOR] or [INDEX,VALUE,SCMP_CMP_MASKED_EQ,MASK]");
        let (inside, after) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(wrong)?;
        let found = condition(inside).ok_or_else(wrong)?;
        if all.iter().any(|other| other.index == found.index) {
            return Err(format!("argument {} is compared twice, which no filter of LXC's can", found.index));
        }
        all.push(found);
        rest = after.trim_start_matches([',', ' ', '\t']);
    }
    Ok(all)
}

fn condition(text: &str) -> Option<Condition> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let (index, value, operator, mask) = match *parts.as_slice() {
        [index, value, operator] => (index, value, operator, None),
        [index, value, operator, mask] => (index, value, operator, Some(mask)),
        _ => return None,
    };
    let operator = Operator(match operator {
        "SCMP_CMP_NE" | "!=" => "SCMP_CMP_NE",
        "SCMP_CMP_LT" | "<" => "SCMP_CMP_LT",
        "SCMP_CMP_LE" | "<=" => "SCMP_CMP_LE",
        "SCMP_CMP_EQ" | "==" => "SCMP_CMP_EQ",
        "SCMP_CMP_GE" | ">=" => "SCMP_CMP_GE",
        "SCMP_CMP_GT" | ">" => "SCMP_CMP_GT",
        "SCMP_CMP_MASKED_EQ" | "&=" => MASKED.0,
        _ => return None,
    });
    let mask = if operator == MASKED { number(mask?)? } else { 0 };
    let index = index.parse().ok().filter(|index| *index < 6)?;
    Some(Condition { index, operator, value: number(value)?, mask })
}

/// Decimal or hexadecimal; what is negative is the same bits.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse::<u64>().ok().or_else(|| text.parse::<i64>().ok().map(i64::cast_unsigned)),
    }
}
