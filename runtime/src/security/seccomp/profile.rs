//! From a profile to checked rules, sorted by system call.

use std::collections::BTreeMap;

use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator, LinuxSyscall,
};

use super::arch::Arch;
use super::error::ProfileError;
use super::{MAX_CONDITIONS, MAX_NAMES, MAX_RULES, syscalls};

/// Largest error number that the kernel returns as it is (linux/err.h, `MAX_ERRNO`).
const MAX_ERRNO: u32 = 4095;
/// What a filter returns (linux/seccomp.h, `SECCOMP_RET_*`).
const RETURN_ERRNO: u32 = 0x0005_0000;
pub(super) const RETURN_KILL_PROCESS: u32 = 0x8000_0000;
pub(super) const RETURN_ENOSYS: u32 = RETURN_ERRNO | libc::ENOSYS.cast_unsigned();

/// A profile that has been checked.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) flags: u32,
    /// What the filter returns where no rule matches.
    pub(super) default: u32,
    /// Whether calls that are newer than the newest known one get ENOSYS instead.
    pub(super) newer_is_enosys: bool,
    /// All alternatives; calls refer to them by their position.
    pub(super) alternatives: Vec<Alternative>,
    pub(super) architectures: Vec<(Arch, Calls)>,
}

/// Positions of alternatives, by number of a system call, in the order of the profile.
pub(super) type Calls = BTreeMap<u32, Vec<usize>>;

/// What a filter returns if all conditions hold.
#[derive(Clone, Debug)]
pub(super) struct Alternative {
    pub(super) conditions: Vec<Condition>,
    pub(super) returns: u32,
}

/// A comparison of one argument.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition {
    /// 0 to 5.
    pub(super) argument: u32,
    pub(super) test: Test,
}

/// An argument `x`, 64 bits, without sign.
#[derive(Clone, Copy, Debug)]
pub(super) enum Test {
    Equal(u64),
    NotEqual(u64),
    Less(u64),
    LessOrEqual(u64),
    Greater(u64),
    GreaterOrEqual(u64),
    /// `x & mask == value`.
    Masked {
        mask: u64,
        value: u64,
    },
}

/// Checks a profile for a machine.
pub(super) fn check(profile: &LinuxSeccomp, native: Arch) -> Result<Rules, Vec<ProfileError>> {
    let blocks = profile.syscalls().as_deref().unwrap_or_default();
    let names = blocks.iter().map(|block| block.names().len()).sum();
    let mut errors = Vec::new();
    if blocks.len() > MAX_RULES {
        return Err(vec![ProfileError::TooManyRules(blocks.len())]);
    }
    if names > MAX_NAMES {
        return Err(vec![ProfileError::TooManyNames(names)]);
    }
    let flags = flags(profile, &mut errors);
    if profile.listener_path().is_some() || profile.listener_metadata().is_some() {
        errors.push(ProfileError::Notify("linux.seccomp.listenerPath".into()));
    }
    let field = "linux.seccomp.defaultErrnoRet";
    let default = returned(profile.default_action(), profile.default_errno_ret(), "linux.seccomp.defaultAction", field)
        .unwrap_or_else(|error| {
            errors.push(error);
            0
        });
    let permissive =
        matches!(profile.default_action(), LinuxSeccompAction::ScmpActAllow | LinuxSeccompAction::ScmpActLog);
    let mut rules = Rules {
        flags,
        default,
        newer_is_enosys: !permissive && default != RETURN_ENOSYS,
        alternatives: Vec::new(),
        architectures: architectures(profile, native).into_iter().map(|arch| (arch, Calls::new())).collect(),
    };
    for (index, block) in blocks.iter().enumerate() {
        rules.add(block, &format!("linux.seccomp.syscalls[{index}]"), permissive, &mut errors);
    }
    let nothing = rules.architectures.iter().all(|(_, calls)| calls.is_empty());
    if nothing && (names > 0 || !permissive) && errors.is_empty() {
        errors.push(ProfileError::NothingKnown);
    }
    if errors.is_empty() { Ok(rules) } else { Err(errors) }
}

/// Those of this machine that the profile names, and the native one in any case. The others cannot be met here.
fn architectures(profile: &LinuxSeccomp, native: Arch) -> Vec<Arch> {
    let mut found = vec![native];
    for arch in profile.architectures().iter().flatten().filter_map(|name| Arch::named(*name, native)) {
        if !found.contains(&arch) {
            found.push(arch);
        }
    }
    found
}

fn flags(profile: &LinuxSeccomp, errors: &mut Vec<ProfileError>) -> u32 {
    let mut flags: libc::c_ulong = 0;
    for flag in profile.flags().iter().flatten() {
        flags |= match flag {
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => libc::SECCOMP_FILTER_FLAG_TSYNC,
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => libc::SECCOMP_FILTER_FLAG_LOG,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
                errors.push(ProfileError::Notify("linux.seccomp.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV".into()));
                0
            }
        };
    }
    // They are the lowest five bits.
    flags as u32
}

/// What a filter returns for an action; `action_at` and `errno_at` are the fields.
fn returned(
    action: LinuxSeccompAction,
    errno: Option<u32>,
    action_at: &str,
    errno_at: &str,
) -> Result<u32, ProfileError> {
    let (base, takes_errno) = match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => (0, false),
        LinuxSeccompAction::ScmpActKillProcess => (RETURN_KILL_PROCESS, false),
        LinuxSeccompAction::ScmpActTrap => (0x0003_0000, false),
        LinuxSeccompAction::ScmpActErrno => (RETURN_ERRNO, true),
        LinuxSeccompAction::ScmpActNotify => {
            return Err(ProfileError::Notify(format!("{action_at}: SCMP_ACT_NOTIFY")));
        }
        LinuxSeccompAction::ScmpActTrace => (0x7FF0_0000, true),
        LinuxSeccompAction::ScmpActLog => (0x7FFC_0000, false),
        LinuxSeccompAction::ScmpActAllow => (0x7FFF_0000, false),
    };
    match errno {
        None if takes_errno => Ok(base | libc::EPERM.cast_unsigned()),
        None => Ok(base),
        Some(_) if !takes_errno => Err(ProfileError::ErrnoUnused(errno_at.to_owned())),
        Some(value) if value > MAX_ERRNO => Err(ProfileError::Errno { at: errno_at.to_owned(), value }),
        Some(value) => Ok(base | value),
    }
}

impl Rules {
    fn add(&mut self, block: &LinuxSyscall, at: &str, permissive: bool, errors: &mut Vec<ProfileError>) {
        if block.names().is_empty() {
            errors.push(ProfileError::NoNames(at.to_owned()));
        }
        let field = (format!("{at}.action"), format!("{at}.errnoRet"));
        let returns = returned(block.action(), block.errno_ret(), &field.0, &field.1);
        let alternatives = conditions(block, at, errors);
        let returns = match returns {
            Ok(returns) => returns,
            Err(error) => return errors.push(error),
        };
        let first = self.alternatives.len();
        self.alternatives.extend(alternatives.into_iter().map(|conditions| Alternative { conditions, returns }));
        let added = first..self.alternatives.len();
        let unconditional = block.args().as_ref().is_none_or(Vec::is_empty);
        let refuses = !matches!(block.action(), LinuxSeccompAction::ScmpActAllow | LinuxSeccompAction::ScmpActLog);
        for name in block.names() {
            for (arch, calls) in &mut self.architectures {
                if let Some(number) = syscalls::number(name, *arch) {
                    let positions = calls.entry(number).or_default();
                    // A name may be given twice in one rule.
                    if positions.last() != added.end.checked_sub(1).as_ref() {
                        positions.extend(added.clone());
                    }
                }
                if *arch == Arch::X86
                    && (unconditional || (permissive && refuses))
                    && let Some((common, selector)) = syscalls::multiplexed(name)
                    && let Some(number) = syscalls::number(common, *arch)
                {
                    let test = Test::Equal(u64::from(selector));
                    let conditions = vec![Condition { argument: 0, test }];
                    calls.entry(number).or_default().push(self.alternatives.len());
                    self.alternatives.push(Alternative { conditions, returns });
                }
            }
        }
    }
}

/// The alternatives of one rule, each a set of conditions that must all hold. Like runc and crun: when an argument is compared more than once, every
/// condition is an alternative of its own, because libseccomp knows nothing else and profiles are written that way.
fn conditions(block: &LinuxSyscall, at: &str, errors: &mut Vec<ProfileError>) -> Vec<Vec<Condition>> {
    let args = block.args().as_deref().unwrap_or_default();
    if args.len() > MAX_CONDITIONS {
        errors.push(ProfileError::TooManyConditions { at: at.to_owned(), count: args.len() });
        return Vec::new();
    }
    let mut all = Vec::new();
    for (index, arg) in args.iter().enumerate() {
        match condition(arg, &format!("{at}.args[{index}]")) {
            Ok(condition) => all.push(condition),
            Err(error) => errors.push(error),
        }
    }
    let mut arguments: Vec<u32> = all.iter().map(|condition| condition.argument).collect();
    arguments.sort_unstable();
    let repeated = arguments.windows(2).any(|pair| pair.first() == pair.last());
    if repeated { all.into_iter().map(|condition| vec![condition]).collect() } else { vec![all] }
}

fn condition(arg: &LinuxSeccompArg, at: &str) -> Result<Condition, ProfileError> {
    let argument = u32::try_from(arg.index()).ok().filter(|index| *index < 6);
    let argument = argument.ok_or_else(|| ProfileError::Index { at: at.to_owned(), index: arg.index() })?;
    let (value, second) = (arg.value(), arg.value_two().unwrap_or(0));
    if second != 0 && arg.op() != LinuxSeccompOperator::ScmpCmpMaskedEq {
        return Err(ProfileError::ValueTwo(at.to_owned()));
    }
    let test = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => Test::NotEqual(value),
        LinuxSeccompOperator::ScmpCmpLt => Test::Less(value),
        LinuxSeccompOperator::ScmpCmpLe => Test::LessOrEqual(value),
        LinuxSeccompOperator::ScmpCmpEq => Test::Equal(value),
        LinuxSeccompOperator::ScmpCmpGe => Test::GreaterOrEqual(value),
        LinuxSeccompOperator::ScmpCmpGt => Test::Greater(value),
        LinuxSeccompOperator::ScmpCmpMaskedEq if second & !value != 0 => {
            return Err(ProfileError::NeverEqual(at.to_owned()));
        }
        LinuxSeccompOperator::ScmpCmpMaskedEq => Test::Masked { mask: value, value: second },
    };
    Ok(Condition { argument, test })
}
