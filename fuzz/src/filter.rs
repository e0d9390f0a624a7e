//! What the kernel asks of a filter before it takes it: `bpf_check_classic` (net/core/filter.c) and `seccomp_check_filter` (kernel/seccomp.c).

use tweendeck_runtime::security::seccomp::{Instruction, MAX_INSTRUCTIONS, Program};

/// Bytes of `struct seccomp_data`.
const DATA: u32 = 64;

/// Fails where the kernel would answer `EINVAL`.
///
/// # Panics
/// Then.
pub fn assert_loadable(program: &Program) {
    let instructions: Vec<Instruction> = program.instructions().collect();
    assert!((1..=MAX_INSTRUCTIONS).contains(&instructions.len()), "{} instructions", instructions.len());
    for (position, instruction) in instructions.iter().enumerate() {
        let behind = u32::try_from(instructions.len() - position - 1).expect("at most 4096");
        let within = |distance: u32| assert!(distance < behind, "{position}: {instruction:?} leaves the program");
        match instruction.code {
            // A word of the data.
            0x20 => assert!(instruction.operand < DATA && instruction.operand.is_multiple_of(4), "{instruction:?}"),
            0x54 | 0x06 => {}
            0x05 => within(instruction.operand),
            0x15 | 0x25 | 0x35 => {
                within(u32::from(instruction.jump_true));
                within(u32::from(instruction.jump_false));
            }
            other => panic!("{position}: no instruction of a filter: {other:#x}"),
        }
    }
    assert_eq!(instructions.last().map(|last| last.code), Some(0x06), "the last one returns");
}
