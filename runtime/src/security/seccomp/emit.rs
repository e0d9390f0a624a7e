//! From rules to classic BPF.
//!
//! The program loads the architecture, then the number, and finds its range by halving: two instructions for each range of numbers with one verdict, and
//! about eight comparisons for a call. A verdict is an instruction that returns; one that depends on arguments is a list of alternatives, each of which
//! returns, or jumps to the next one. So no jump but those of the search is longer than a few instructions.

use super::arch::{Arch, X32_BIT};
use super::error::ProfileError;
use super::profile::{Alternative, Calls, Condition, RETURN_ENOSYS, RETURN_KILL_PROCESS, Rules, Test};
use super::program::{Instruction, MAX_INSTRUCTIONS};

/// Instructions (linux/bpf_common.h): load a word of `struct seccomp_data`, mask it, return, jump.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
/// Where `struct seccomp_data` (linux/seccomp.h) has the number, the architecture, the arguments.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

type Code = Vec<Instruction>;

fn plain(code: u16, operand: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, operand }
}

/// The whole program.
pub(super) fn program(rules: &Rules) -> Result<Code, ProfileError> {
    let mut code = vec![plain(LOAD, ARCHITECTURE_AT)];
    for (arch, _) in rules.architectures.iter().filter(|(arch, _)| *arch != Arch::X32) {
        let mut section = vec![plain(LOAD, NUMBER_AT)];
        section.extend(search(&ranges(rules, *arch), rules)?);
        code.push(Instruction { code: JUMP_EQUAL, jump_true: 1, jump_false: 0, operand: arch.audit() });
        code.push(plain(JUMP, length(&section)?));
        code.extend(section);
    }
    // System calls of an architecture that the profile does not name cannot be judged.
    code.push(plain(RETURN, RETURN_KILL_PROCESS));
    length(&code).map(|_| code)
}

fn length(code: &[Instruction]) -> Result<u32, ProfileError> {
    let length = Some(code.len()).filter(|length| *length <= MAX_INSTRUCTIONS);
    length.and_then(|length| u32::try_from(length).ok()).ok_or(ProfileError::TooLong)
}

/// What is returned for a call: by the alternatives in order, else the last word.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    alternatives: Vec<usize>,
    otherwise: u32,
}

impl Verdict {
    fn always(returns: u32) -> Self {
        Self { alternatives: Vec::new(), otherwise: returns }
    }
}

/// Numbers from here on, up to the next range.
#[derive(Debug)]
struct Range {
    start: u32,
    verdict: Verdict,
}

/// The whole space of numbers that the kernel reports with this architecture, as ranges in ascending order.
fn ranges(rules: &Rules, arch: Arch) -> Vec<Range> {
    let mut ranges = Vec::new();
    table(rules, arch, &mut ranges);
    if arch == Arch::X86_64 {
        match rules.architectures.iter().find(|(arch, _)| *arch == Arch::X32) {
            Some((x32, _)) => table(rules, *x32, &mut ranges),
            None => ranges.push(Range { start: X32_BIT, verdict: Verdict::always(RETURN_KILL_PROCESS) }),
        }
    }
    // A tracer's way to skip a call (seccomp(2)); never a call.
    ranges.push(Range { start: u32::MAX, verdict: Verdict::always(rules.default) });
    ranges.dedup_by(|next, earlier| next.verdict == earlier.verdict);
    ranges
}

/// The ranges of one table of system calls.
fn table(rules: &Rules, arch: Arch, ranges: &mut Vec<Range>) {
    let none = Calls::new();
    let calls = rules.architectures.iter().find(|(other, _)| *other == arch).map_or(&none, |(_, calls)| calls);
    let newest = calls.keys().rev().find(|number| **number < arch.end()).copied();
    let unknown = |number: u32| {
        let newer = newest.is_none_or(|newest| number > newest) && number < arch.end();
        Verdict::always(if rules.newer_is_enosys && newer { RETURN_ENOSYS } else { rules.default })
    };
    let mut push = |number: u32, verdict| ranges.push(Range { start: arch.base().saturating_add(number), verdict });
    let mut next = 0;
    for (number, positions) in calls {
        if *number > next {
            push(next, unknown(next));
            // The gap may reach from the common table into the architecture's own calls.
            if next < arch.end() && *number > arch.end() {
                push(arch.end(), unknown(arch.end()));
            }
        }
        push(*number, verdict(rules, positions));
        next = number.saturating_add(1);
    }
    push(next, unknown(next));
    if next < arch.end() && arch.end() < X32_BIT {
        push(arch.end(), unknown(arch.end()));
    }
}

/// Rules with conditions in the order of the profile, then the first one without.
fn verdict(rules: &Rules, positions: &[usize]) -> Verdict {
    let of = |position: &usize| rules.alternatives.get(*position);
    let unconditional = positions
        .iter()
        .filter_map(of)
        .find(|alternative| alternative.conditions.iter().all(always))
        .map(|it| it.returns);
    let conditional = |position: &&usize| of(position).is_some_and(|it| !it.conditions.iter().all(always));
    Verdict {
        alternatives: positions.iter().filter(conditional).copied().collect(),
        otherwise: unconditional.unwrap_or(rules.default),
    }
}

/// A mask of nothing compares nothing.
fn always(condition: &Condition) -> bool {
    matches!(condition.test, Test::Masked { mask: 0, .. })
}

/// Finds the range of the number that is loaded.
fn search(ranges: &[Range], rules: &Rules) -> Result<Code, ProfileError> {
    let (left, right) = ranges.split_at(ranges.len() / 2);
    let Some(middle) = right.first() else {
        return Ok(Code::new());
    };
    if left.is_empty() {
        return leaf(&middle.verdict, rules);
    }
    let (start, left, right) = (middle.start, search(left, rules)?, search(right, rules)?);
    let mut code = Code::with_capacity(left.len().saturating_add(right.len()).saturating_add(2));
    match u8::try_from(left.len()) {
        Ok(skip) => {
            code.push(Instruction { code: JUMP_GREATER_OR_EQUAL, jump_true: skip, jump_false: 0, operand: start });
        }
        Err(_) => {
            code.push(Instruction { code: JUMP_GREATER_OR_EQUAL, jump_true: 0, jump_false: 1, operand: start });
            code.push(plain(JUMP, length(&left)?));
        }
    }
    code.extend(left);
    code.extend(right);
    length(&code).map(|_| code)
}

fn leaf(verdict: &Verdict, rules: &Rules) -> Result<Code, ProfileError> {
    let mut code = Code::new();
    for alternative in verdict.alternatives.iter().filter_map(|position| rules.alternatives.get(*position)) {
        code.extend(tested(alternative)?);
        length(&code)?;
    }
    code.push(plain(RETURN, verdict.otherwise));
    Ok(code)
}

/// Where a test goes on.
#[derive(Clone, Copy)]
enum To {
    /// The next instruction.
    Next,
    /// Behind this condition: it holds.
    Holds,
    /// Behind this alternative: it does not.
    Fails,
}

/// An instruction whose jumps have no distance yet.
struct Step {
    code: u16,
    operand: u32,
    when_true: To,
    when_false: To,
}

/// One alternative: its conditions, then its return; what follows is reached if one does not hold.
fn tested(alternative: &Alternative) -> Result<Code, ProfileError> {
    let conditions: Vec<Vec<Step>> = alternative.conditions.iter().map(steps).collect();
    let end = conditions.iter().map(Vec::len).sum::<usize>().saturating_add(1);
    let mut code = Code::with_capacity(end);
    for condition in conditions {
        let holds = code.len().saturating_add(condition.len());
        for step in condition {
            let next = code.len().saturating_add(1);
            let distance = |to| {
                let target = match to {
                    To::Next => next,
                    To::Holds => holds,
                    To::Fails => end,
                };
                u8::try_from(target.saturating_sub(next)).map_err(|_| ProfileError::TooLong)
            };
            let (jump_true, jump_false) = (distance(step.when_true)?, distance(step.when_false)?);
            code.push(Instruction { code: step.code, jump_true, jump_false, operand: step.operand });
        }
    }
    code.push(plain(RETURN, alternative.returns));
    Ok(code)
}

/// One condition. The machine is little endian, and compares 32 bits at a time.
fn steps(condition: &Condition) -> Vec<Step> {
    use To::{Fails, Holds, Next};
    let low_at = condition.argument.saturating_mul(8).saturating_add(ARGUMENTS_AT);
    let step = |code, operand, when_true, when_false| Step { code, operand, when_true, when_false };
    let low = || step(LOAD, low_at, Next, Next);
    let high = || step(LOAD, low_at.saturating_add(4), Next, Next);
    // Most significant half first: greater or less decides, equal leaves it to the other half.
    let ordered = |value: u64, greater: To, less: To, last: Step| {
        let top = (value >> 32) as u32;
        vec![high(), step(JUMP_GREATER, top, greater, Next), step(JUMP_EQUAL, top, Next, less), low(), last]
    };
    let halves = |value: u64| ((value >> 32) as u32, value as u32);
    match condition.test {
        Test::Equal(value) => {
            let (top, bottom) = halves(value);
            vec![high(), step(JUMP_EQUAL, top, Next, Fails), low(), step(JUMP_EQUAL, bottom, Next, Fails)]
        }
        Test::NotEqual(value) => {
            let (top, bottom) = halves(value);
            vec![high(), step(JUMP_EQUAL, top, Next, Holds), low(), step(JUMP_EQUAL, bottom, Fails, Next)]
        }
        Test::Greater(value) => ordered(value, Holds, Fails, step(JUMP_GREATER, value as u32, Next, Fails)),
        Test::GreaterOrEqual(value) => {
            ordered(value, Holds, Fails, step(JUMP_GREATER_OR_EQUAL, value as u32, Next, Fails))
        }
        Test::Less(value) => ordered(value, Fails, Holds, step(JUMP_GREATER_OR_EQUAL, value as u32, Fails, Next)),
        Test::LessOrEqual(value) => ordered(value, Fails, Holds, step(JUMP_GREATER, value as u32, Fails, Next)),
        Test::Masked { mask, value } => {
            let ((top, bottom), (mask_top, mask_bottom)) = (halves(value), halves(mask));
            let mut steps = Vec::new();
            for (load, mask, value) in [(high(), mask_top, top), (low(), mask_bottom, bottom)] {
                if mask == 0 {
                    continue;
                }
                steps.push(load);
                if mask != u32::MAX {
                    steps.push(step(AND, mask, Next, Next));
                }
                steps.push(step(JUMP_EQUAL, value, Next, Fails));
            }
            steps
        }
    }
}
