//! Which system calls are steps, and how each may fail.

use nix::errno::Errno;
use nix::libc;

/// Calls that change nothing which outlives the process: being killed before one of them is being killed before the next step.
const LOOKS: [libc::c_long; 50] = [
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_readv,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_lseek,
    libc::SYS_mmap,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_geteuid,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getdents64,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_arch_prctl,
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_uname,
    libc::SYS_wait4,
    libc::SYS_poll,
    libc::SYS_epoll_wait,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_access,
    libc::SYS_getuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getppid,
    libc::SYS_getsockname,
];

/// A table of calls: number, name, and an error that the kernel gives for a reason outside of the caller.
macro_rules! calls {
    ($($error:ident: $($call:ident)*;)*) => {
        paste! { $($($call, $error;)*)* }
    };
}
macro_rules! paste {
    ($($call:ident, $error:ident;)*) => { &[$((libc::$call, stringify!($call), Errno::$error)),*] };
}

const CALLS: &[(libc::c_long, &str, Errno)] = calls! {
    EMFILE: SYS_openat SYS_open SYS_openat2 SYS_socket SYS_socketpair SYS_pipe2 SYS_eventfd2 SYS_epoll_create1 SYS_inotify_init1 SYS_memfd_create
        SYS_dup SYS_pidfd_open SYS_fcntl SYS_accept4;
    ENOSPC: SYS_mkdir SYS_mkdirat SYS_write SYS_writev SYS_pwrite64 SYS_mknodat SYS_mknod SYS_symlinkat SYS_symlink SYS_unshare SYS_inotify_add_watch
        SYS_epoll_ctl SYS_mount SYS_ftruncate SYS_setxattr;
    EIO: SYS_fsync SYS_fdatasync SYS_rename SYS_renameat SYS_renameat2;
    EAGAIN: SYS_clone3 SYS_clone SYS_fork SYS_vfork;
    ENOMEM: SYS_execve SYS_open_tree SYS_move_mount SYS_fsopen SYS_fsconfig SYS_fsmount SYS_mount_setattr SYS_bpf SYS_sendmsg SYS_sendto SYS_recvmsg
        SYS_recvfrom SYS_seccomp SYS_setns SYS_keyctl;
    EBUSY: SYS_rmdir SYS_umount2 SYS_pivot_root SYS_unlink SYS_unlinkat SYS_ioctl;
    EPERM: SYS_prctl SYS_setsid SYS_kill SYS_pidfd_send_signal SYS_sethostname SYS_setdomainname SYS_capset SYS_setresuid SYS_setresgid SYS_setgroups
        SYS_chown SYS_fchown SYS_fchownat SYS_chmod SYS_fchmod SYS_fchmodat SYS_setpriority SYS_prlimit64 SYS_setrlimit SYS_umask SYS_rt_sigprocmask
        SYS_landlock_create_ruleset SYS_landlock_restrict_self SYS_dup2 SYS_dup3 SYS_chdir SYS_fchdir SYS_chroot SYS_bind SYS_utimensat SYS_exit SYS_exit_group;
};

/// Whether a call is a step.
pub(crate) fn is_step(call: libc::c_long) -> bool {
    !LOOKS.contains(&call)
}

/// The call's name.
pub(crate) fn name(call: libc::c_long) -> String {
    let known = CALLS.iter().find(|(number, ..)| *number == call);
    known.map_or_else(|| format!("system call {call}"), |(_, name, _)| name.trim_start_matches("SYS_").to_owned())
}

/// How it may fail; `None` if it cannot.
pub(crate) fn error(call: libc::c_long) -> Option<Errno> {
    if [libc::SYS_exit, libc::SYS_exit_group, libc::SYS_umask].contains(&call) {
        return None;
    }
    let known = CALLS.iter().find(|(number, ..)| *number == call);
    Some(known.map_or(Errno::EPERM, |(.., error)| *error))
}
