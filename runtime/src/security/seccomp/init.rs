//! The filters of Tweendeck's own processes that strangers may get at: init, which waits, reaps, and signals, and never does anything else; and who unpacks
//! archives, or copies files.

use super::arch::Arch;
use super::program::Instruction;

/// What init calls from its loop to its exit; what the C library and the Rust runtime call there on their own account.
const INIT: [libc::c_long; 17] = [
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

/// What writing a tree below a directory takes, and reading what is open; and the same of the C library and the Rust runtime, whose abort(3) is to be told.
/// Nothing that executes, makes processes, mounts, connects or signals others.
const UNPACK: [libc::c_long; 42] = [
    libc::SYS_read,
    libc::SYS_lseek,
    libc::SYS_write,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_close,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_symlinkat,
    libc::SYS_linkat,
    libc::SYS_unlinkat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fchmod,
    libc::SYS_utimensat,
    libc::SYS_fsetxattr,
    libc::SYS_ftruncate,
    libc::SYS_syncfs,
    libc::SYS_fcntl,
    libc::SYS_exit_group,
    libc::SYS_exit,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_sigaltstack,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_munmap,
    libc::SYS_madvise,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_writev,
    libc::SYS_prlimit64,
];

/// What reading and replacing files takes beside that: what the process that copies has, which keeps the other list's too.
const COPY: [libc::c_long; 7] = [
    libc::SYS_renameat2,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_flistxattr,
    libc::SYS_fgetxattr,
    libc::SYS_fstatfs,
    libc::SYS_shutdown,
];

/// Init's. Whatever else fails with EPERM: a PID 1 that is killed takes the container along.
pub(crate) fn filter() -> Vec<Instruction> {
    only(&INIT)
}

/// That of who unpacks an archive. Whatever else fails with EPERM, which is told with the entry.
pub(crate) fn unpack_filter() -> Vec<Instruction> {
    only(&UNPACK)
}

/// That of who copies files into a container or out of it. The same.
pub(crate) fn copy_filter() -> Vec<Instruction> {
    only(&[UNPACK.as_slice(), &COPY].concat())
}

fn only(allowed: &[libc::c_long]) -> Vec<Instruction> {
    let step = |code, jump_true, jump_false, operand| Instruction { code, jump_true, jump_false, operand };
    let (load, equal, returns) = (0x20, 0x15, 0x06);
    let refuse = step(returns, 0, 0, 0x0005_0000 | libc::EPERM.cast_unsigned());
    let mut filter = vec![step(load, 0, 0, 4), step(equal, 1, 0, Arch::NATIVE.audit()), refuse, step(load, 0, 0, 0)];
    for number in allowed {
        filter.extend([step(equal, 0, 1, *number as u32), step(returns, 0, 0, 0x7FFF_0000)]);
    }
    filter.push(refuse);
    filter
}
