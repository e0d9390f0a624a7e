//! Seccomp filters: which system calls a process may make (seccomp(2)).
//!
//! `profile` checks a profile (`linux.seccomp` of the OCI specification) and sorts its rules by system call, `emit` makes a program of them, `default` is
//! the profile of containers that ask for none. All of that is pure; `load` is not. The agent compiles, so that nothing is compiled between the
//! start of a supervisor and its command.
//!
//! Where a profile leaves room, it is read as runc and libseccomp read it, with these differences, each of which refuses more:
//! - a condition compares 64 bits also on 32-bit architectures;
//! - a rule with conditions holds also when another one for the same system call has none, which then says what happens otherwise;
//! - a rule with conditions on `socket` and its like says nothing of `socketcall` (or `ipc`) of 32-bit x86, whose arguments a filter cannot see: if it
//!   allows, the default action holds there.

mod arch;
mod default;
mod emit;
mod error;
mod init;
mod profile;
mod program;
mod syscalls;

use std::io;

use oci_spec::runtime::LinuxSeccomp;

use crate::sys;
use arch::Arch;

pub use default::default_profile;
pub use error::ProfileError;
pub(crate) use init::{copy_filter, filter as init_filter, unpack_filter};
pub use program::{Instruction, MAX_INSTRUCTIONS, Program};

/// Most rules of a profile.
pub const MAX_RULES: usize = 4096;
/// Most names in all rules of a profile together.
pub const MAX_NAMES: usize = 16384;
/// Most conditions of one rule.
pub const MAX_CONDITIONS: usize = 64;

/// The program of a profile, for this machine.
///
/// Names that no architecture here knows are skipped, as by libseccomp. Where the default action refuses, system calls that are newer than
/// the newest one the profile names fail with ENOSYS, as with runc, so that C libraries fall back to older ones.
///
/// # Errors
/// Everything that is wrong with the profile.
pub fn compile(profile: &LinuxSeccomp) -> Result<Program, Vec<ProfileError>> {
    compile_for(profile, Arch::NATIVE)
}

/// A profile from JSON.
///
/// # Errors
/// When it is not one.
pub fn parse(json: &str) -> Result<LinuxSeccomp, serde_json::Error> {
    serde_json::from_str(json)
}

fn compile_for(profile: &LinuxSeccomp, native: Arch) -> Result<Program, Vec<ProfileError>> {
    let rules = profile::check(profile, native)?;
    let instructions = emit::program(&rules).map_err(|error| vec![error])?;
    Ok(Program::new(rules.flags, &instructions))
}

/// Loads a program for this process and everything that it becomes or makes. Cannot be undone.
pub(crate) fn load(flags: u32, instructions: impl IntoIterator<Item = Instruction>) -> io::Result<()> {
    let raw = |instruction: Instruction| libc::sock_filter {
        code: instruction.code,
        jt: instruction.jump_true,
        jf: instruction.jump_false,
        k: instruction.operand,
    };
    sys::load_filter(flags, &mut instructions.into_iter().map(raw).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests;
