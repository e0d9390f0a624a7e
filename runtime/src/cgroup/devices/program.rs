//! Rules as eBPF instructions (BPF_PROG_TYPE_CGROUP_DEVICE; Documentation/bpf/standardization/instruction-set.rst).
//!
//! The kernel asks the program at each open and mknod, and takes 1 for yes and 0 for EPERM. It gets a `struct bpf_cgroup_dev_ctx`: the ways of use (bits 16 to
//! 31) and the kind of device (bits 0 to 15), the major and the minor number.

use super::{Access, Kind, RULES_MAX, Rule};
use crate::sys::Instruction;

/// Most instructions: six at the beginning, at most eight a rule, two at the end.
const INSTRUCTIONS_MAX: usize = 8 + 8 * RULES_MAX;

/// `BPF_DEVCG_DEV_BLOCK` and `BPF_DEVCG_DEV_CHAR`.
const BLOCK: i32 = 1;
const CHAR: i32 = 2;

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
/// The ways of use that no rule has spoken of yet; never empty where a rule is looked at.
const PENDING: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

const LOAD_WORD: u8 = 0x61;
const MOVE_REGISTER: u8 = 0xbc;
const MOVE: u8 = 0xb4;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_IF_NOT_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

/// The program of a list; `None` if the list has more than [`RULES_MAX`] rules.
///
/// Rules are looked at from the last to the first, so that the last one that matches decides. What allows takes its ways of use from the pending ones, and
/// says yes when none is left; what denies says no when it has one that is pending. What no rule speaks of is denied.
pub(super) fn compile(rules: &[Rule]) -> Option<Vec<Instruction>> {
    if rules.len() > RULES_MAX {
        return None;
    }
    let mut program = beginning();
    for rule in rules.iter().rev() {
        append(&mut program, rule);
        // Nothing comes behind it, and the verifier refuses what cannot be reached.
        if rule.is_total() {
            return Some(program);
        }
    }
    program.extend(answer(false));
    debug_assert!(program.len() <= INSTRUCTIONS_MAX, "the bound that is documented");
    Some(program)
}

fn beginning() -> Vec<Instruction> {
    vec![
        Instruction::new(LOAD_WORD, KIND, CONTEXT, 0, 0),
        Instruction::new(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        Instruction::new(LOAD_WORD, MINOR, CONTEXT, 8, 0),
        Instruction::new(MOVE_REGISTER, PENDING, KIND, 0, 0),
        Instruction::new(AND, KIND, 0, 0, 0xFFFF),
        Instruction::new(SHIFT_RIGHT, PENDING, 0, 0, 16),
    ]
}

/// One rule: conditions, which jump behind it, then its effect.
fn append(program: &mut Vec<Instruction>, rule: &Rule) {
    let effect = effect(rule);
    let kind = match rule.kind {
        Kind::Any => None,
        Kind::Block => Some(BLOCK),
        Kind::Char => Some(CHAR),
    };
    // Numbers have 12 and 20 bits, so none is negative.
    let number = |number: Option<u32>| number.map(u32::cast_signed);
    let conditions = [(KIND, kind), (MAJOR, number(rule.major)), (MINOR, number(rule.minor))];
    let wanted: Vec<(u8, i32)> =
        conditions.into_iter().filter_map(|(register, value)| Some((register, value?))).collect();
    for (position, (register, value)) in wanted.iter().enumerate() {
        // Behind the conditions that follow, and the effect: at most seven.
        let distance = wanted.len() - position - 1 + effect.len();
        let distance = i16::try_from(distance).unwrap_or(i16::MAX);
        program.push(Instruction::new(JUMP_IF_NOT_EQUAL, *register, 0, distance, *value));
    }
    program.extend(effect);
}

fn effect(rule: &Rule) -> Vec<Instruction> {
    // Something is pending, so one that speaks of every use decides.
    if rule.access == Access::ALL {
        return answer(rule.allow).to_vec();
    }
    let bits = i32::from(rule.access.bits());
    let mut effect = if rule.allow {
        let others = i32::from(Access::ALL.without(rule.access).bits());
        vec![Instruction::new(AND, PENDING, 0, 0, others), Instruction::new(JUMP_IF_NOT_EQUAL, PENDING, 0, 2, 0)]
    } else {
        vec![
            Instruction::new(MOVE_REGISTER, RESULT, PENDING, 0, 0),
            Instruction::new(AND, RESULT, 0, 0, bits),
            Instruction::new(JUMP_IF_EQUAL, RESULT, 0, 2, 0),
        ]
    };
    effect.extend(answer(rule.allow));
    effect
}

fn answer(allow: bool) -> [Instruction; 2] {
    [Instruction::new(MOVE, RESULT, 0, 0, i32::from(allow)), Instruction::new(EXIT, 0, 0, 0, 0)]
}

#[cfg(test)]
mod tests {
    use super::super::rule::naive::{self, Use, allowed};
    use super::super::{default_rules, over_default};
    use super::*;

    /// The subset of eBPF that is used, as the instruction set's document has it. Checks what the verifier would: no jump back, nothing read before it is set.
    fn run(program: &[Instruction], wanted: Use) -> bool {
        let kind = if wanted.kind == Kind::Block { BLOCK } else { CHAR };
        let context = [u32::from(wanted.access.bits()) << 16 | kind.cast_unsigned(), wanted.major, wanted.minor];
        let mut registers: [Option<u64>; 11] = [None; 11];
        registers[usize::from(CONTEXT)] = Some(0);
        let mut next = 0;
        loop {
            let one = &program[next];
            let (to, from) = (usize::from(one.destination()), usize::from(one.source()));
            let immediate = one.immediate();
            let low = |value: Option<u64>| value.unwrap() & 0xFFFF_FFFF;
            next += 1;
            match one.code() {
                LOAD_WORD => registers[to] = Some(u64::from(context[usize::try_from(one.offset()).unwrap() / 4])),
                MOVE_REGISTER => registers[to] = Some(low(registers[from])),
                MOVE => registers[to] = Some(u64::from(immediate.cast_unsigned())),
                AND => registers[to] = Some(low(registers[to]) & u64::from(immediate.cast_unsigned())),
                SHIFT_RIGHT => registers[to] = Some(low(registers[to]) >> immediate),
                JUMP_IF_EQUAL | JUMP_IF_NOT_EQUAL => {
                    let equal = registers[to].unwrap() == i64::from(immediate).cast_unsigned();
                    if equal == (one.code() == JUMP_IF_EQUAL) {
                        next += usize::try_from(one.offset()).unwrap();
                    }
                }
                EXIT => return registers[usize::from(RESULT)].unwrap() == 1,
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn its_size_is_bounded() {
        let rule = |allow, access| Rule { allow, kind: Kind::Char, major: Some(1), minor: Some(3), access };
        let mut longest = [rule(true, Access::READ), rule(false, Access::WRITE)].repeat(RULES_MAX / 2);
        assert!(compile(&longest).unwrap().len() <= INSTRUCTIONS_MAX);
        longest.push(rule(true, Access::READ));
        assert_eq!(compile(&longest), None);
    }

    #[test]
    fn what_stands_before_a_rule_for_everything_is_left_out() {
        let mut rules = vec![default_rules().remove(1); 50];
        rules.extend(default_rules());
        assert_eq!(compile(&rules), compile(&default_rules()));
        assert_eq!(compile(&[]).unwrap().len(), 8);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(500))]
        #[test]
        fn its_verdict_is_the_rules(rules in naive::rules(), default: bool) {
            let rules = if default { over_default(&rules) } else { rules };
            let program = compile(&rules).unwrap();
            for wanted in naive::uses() {
                proptest::prop_assert_eq!(run(&program, wanted), allowed(&rules, wanted), "{:?}", wanted);
            }
        }
    }
}
