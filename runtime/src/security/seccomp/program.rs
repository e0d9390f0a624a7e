//! A compiled filter: classic BPF, as seccomp(2) takes it.

use serde::{Deserialize, Serialize};

/// Most instructions of a filter (linux/bpf_common.h, `BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// One instruction (linux/filter.h, `struct sock_filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// Instructions to skip when a comparison holds.
    pub jump_true: u8,
    /// Instructions to skip when it does not.
    pub jump_false: u8,
    /// Its operand.
    pub operand: u32,
}

/// A filter that is ready to be loaded. In JSON, an instruction is one number: its fields from the most significant bits down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// `SECCOMP_FILTER_FLAG_*` (seccomp(2)).
    flags: u32,
    instructions: Vec<u64>,
}

impl Program {
    pub(crate) fn new(flags: u32, instructions: &[Instruction]) -> Self {
        let packed = |instruction: &Instruction| {
            u64::from(instruction.code) << 48
                | u64::from(instruction.jump_true) << 40
                | u64::from(instruction.jump_false) << 32
                | u64::from(instruction.operand)
        };
        Self { flags, instructions: instructions.iter().map(packed).collect() }
    }

    /// `SECCOMP_FILTER_FLAG_*`, to be given to seccomp(2).
    #[must_use]
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// How many instructions it has, 1 to [`MAX_INSTRUCTIONS`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.instructions.len()
    }

    /// Whether it has none; such a one cannot be loaded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instructions.is_empty()
    }

    /// The instructions, in order.
    pub fn instructions(&self) -> impl ExactSizeIterator<Item = Instruction> + '_ {
        self.instructions.iter().map(|packed| {
            let [a, b, jump_true, jump_false, operand @ ..] = packed.to_be_bytes();
            let (code, operand) = (u16::from_be_bytes([a, b]), u32::from_be_bytes(operand));
            Instruction { code, jump_true, jump_false, operand }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_survives_its_way_through_json() {
        let code = Instruction { code: 0x15, jump_true: 1, jump_false: 255, operand: u32::MAX };
        let program =
            Program::new(2, &[code, Instruction { code: 6, jump_true: 0, jump_false: 0, operand: 0x7FFF_0000 }]);
        let back: Program = serde_json::from_str(&serde_json::to_string(&program).unwrap()).unwrap();
        assert_eq!(back, program);
        assert_eq!((back.flags(), back.len(), back.instructions().next()), (2, 2, Some(code)));
    }
}
