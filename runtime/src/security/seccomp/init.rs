//! The filter of Tweendeck's own init, which waits, reaps, and signals, and never does anything else.

use super::arch::Arch;
use super::program::Instruction;

/// What init calls from its loop to its exit; what the C library and the Rust runtime call there on their own account.
const ALLOWED: [libc::c_long; 17] = [
    libc::SYS_rt_sigtimedwait,
    libc::SYS_wait4,
    libc::SYS_kill,
    libc::SYS_sendto,
    libc::SYS_write,
    libc::SYS_exit_group,
    libc::SYS_exit,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_sigaltstack,
    libc::SYS_futex,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_madvise,
];

/// Whatever else fails with EPERM: a PID 1 that is killed takes the container along.
pub(crate) fn filter() -> Vec<Instruction> {
    let step = |code, jump_true, jump_false, operand| Instruction { code, jump_true, jump_false, operand };
    let (load, equal, returns) = (0x20, 0x15, 0x06);
    let refuse = step(returns, 0, 0, 0x0005_0000 | libc::EPERM.cast_unsigned());
    let mut filter = vec![step(load, 0, 0, 4), step(equal, 1, 0, Arch::NATIVE.audit()), refuse, step(load, 0, 0, 0)];
    for number in ALLOWED {
        filter.extend([step(equal, 0, 1, number as u32), step(returns, 0, 0, 0x7FFF_0000)]);
    }
    filter.push(refuse);
    filter
}
