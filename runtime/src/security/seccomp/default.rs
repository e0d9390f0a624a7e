//! The profile of containers that ask for none.
//!
//! An allow-list by what programs do. What is dangerous is refused with EPERM, as the kernel refuses it to somebody without the capability; everything that is not
//! named fails with ENOSYS, as on a kernel without it, so that programs fall back. A capability that a container was given brings the calls that it is for.
//! `docs/security.md` has the list and the reasons for people.

use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Arch, Capabilities, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompOperator, LinuxSyscall,
};

/// The profile of a container with these capabilities (its bounding set).
///
/// # Errors
/// When the OCI types refuse a value: a bug, since all of them are given here.
pub fn default_profile(capabilities: &Capabilities) -> Result<LinuxSeccomp, OciSpecError> {
    let mut rules: Vec<_> = ALWAYS.into_iter().map(allow).collect();
    rules.extend(by_argument(capabilities)?);
    for (names, enough) in GUARDED {
        let given = enough.iter().any(|capability| capabilities.contains(capability));
        rules.push(if given { allow(names) } else { refuse(names, libc::EPERM) });
    }
    rules.push(refuse(REFUSED, libc::EPERM));
    let mut profile = LinuxSeccomp::default();
    profile.set_default_action(LinuxSeccompAction::ScmpActErrno);
    profile.set_default_errno_ret(Some(libc::ENOSYS.cast_unsigned()));
    // Not x32, which Debian and most others do not even build, and which has had holes of its own.
    profile.set_architectures(Some(if cfg!(target_arch = "aarch64") {
        vec![Arch::ScmpArchAarch64, Arch::ScmpArchArm]
    } else {
        vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86]
    }));
    profile.set_syscalls(Some(rules));
    Ok(profile)
}

/// `CLONE_NEW*` (linux/sched.h) that clone(2) takes: mount, cgroup, UTS, IPC, user, PID and network namespaces.
const NEW_NAMESPACES: u64 = 0x7E02_0000;
/// The one that only unshare(2) takes, because for clone(2) it is part of the signal's number.
const NEW_TIME_NAMESPACE: u64 = 0x80;
/// Arguments that are a C int: what the upper half has is not looked at by the kernel, and may be anything.
const INT: u64 = 0xFFFF_FFFF;

/// Calls that are allowed for some arguments: conditions first, then what holds otherwise.
fn by_argument(capabilities: &Capabilities) -> Result<Vec<LinuxSyscall>, OciSpecError> {
    // Unix, IPv4, IPv6, netlink. Not: what reaches the hypervisor (vsock), the kernel's cryptography (AF_ALG), or loads the module of a protocol that
    // nobody has looked at for years.
    let mut families = vec![1, 2, 10, 16];
    if capabilities.contains(&Capability::NetRaw) {
        families.push(17);
    }
    let mut rules = vec![
        // Typing into the terminal of whoever started this (TIOCSTI, and the console's selection, TIOCLINUX), which has let many out of a sandbox.
        when(refuse("ioctl", libc::EPERM), 1, &[0x5412, 0x541C])?,
        allow("ioctl"),
        // Linux, 32-bit Linux, both with the old version scheme, and the question which one it is. Not: executable stacks, fixed addresses.
        when(allow("personality"), 0, &[0, 0x8, 0x2_0000, 0x2_0008, INT])?,
        refuse("personality", libc::EPERM),
        when(allow("socket"), 0, &families)?,
        refuse("socket", libc::EAFNOSUPPORT),
    ];
    if capabilities.contains(&Capability::SysAdmin) {
        rules.push(allow("clone clone3 unshare"));
        return Ok(rules);
    }
    // New namespaces, the user namespace above all, open much of the kernel to whoever is root in them. clone3 has its flags in memory, which a
    // filter does not see; it has no rule, so that it fails with ENOSYS and C libraries use clone.
    for (name, new) in [("clone", NEW_NAMESPACES), ("unshare", NEW_NAMESPACES | NEW_TIME_NAMESPACE)] {
        let mut none = allow(name);
        none.set_args(Some(vec![masked(0, new, 0)?]));
        rules.extend([none, refuse(name, libc::EPERM)]);
    }
    Ok(rules)
}

/// A rule for the calls of a list.
fn rule(names: &str, action: LinuxSeccompAction, errno: Option<i32>) -> LinuxSyscall {
    let mut rule = LinuxSyscall::default();
    rule.set_names(names.split_whitespace().map(str::to_owned).collect());
    rule.set_action(action);
    rule.set_errno_ret(errno.map(i32::cast_unsigned));
    rule
}

fn allow(names: &str) -> LinuxSyscall {
    rule(names, LinuxSeccompAction::ScmpActAllow, None)
}

fn refuse(names: &str, errno: i32) -> LinuxSyscall {
    rule(names, LinuxSeccompAction::ScmpActErrno, Some(errno))
}

/// The rule, but only when an argument that is an int has one of these values.
fn when(mut rule: LinuxSyscall, argument: usize, values: &[u64]) -> Result<LinuxSyscall, OciSpecError> {
    let equal = |value: &u64| masked(argument, INT, *value);
    rule.set_args(Some(values.iter().map(equal).collect::<Result<_, _>>()?));
    Ok(rule)
}

fn masked(argument: usize, mask: u64, value: u64) -> Result<LinuxSeccompArg, OciSpecError> {
    let op = LinuxSeccompOperator::ScmpCmpMaskedEq;
    LinuxSeccompArgBuilder::default().index(argument).op(op).value(mask).value_two(value).build()
}

/// What every program may do. Whether it may do it to this file or that process is for the kernel to say, by owner, mode and capability.
const ALWAYS: [&str; 13] = [
    FILES,
    DIRECTORIES,
    DESCRIPTORS,
    MEMORY,
    PROCESSES,
    IDENTITY,
    SIGNALS,
    TIME,
    EVENTS,
    SOCKETS,
    IPC,
    SCHEDULING,
    SELF_CONFINEMENT,
];

/// Opening, reading, writing; what is known of a file; its attributes.
const FILES: &str = "access chmod chown chown32 copy_file_range creat faccessat faccessat2 fadvise64 fadvise64_64 arm_fadvise64_64 fallocate fchmod fchmodat fchmodat2 \
    fchown fchown32 fchownat fdatasync fgetxattr file_getattr file_setattr flistxattr fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 \
    fsync ftruncate ftruncate64 futimesat getxattr getxattrat lchown lchown32 lgetxattr listxattr listxattrat llistxattr lremovexattr lsetxattr lstat \
    lstat64 name_to_handle_at newfstatat oldfstat oldlstat oldstat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead \
    readv removexattr removexattrat sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs statfs64 statx sync sync_file_range \
    sync_file_range2 syncfs tee truncate truncate64 utime utimensat utimensat_time64 utimes vmsplice write writev cachestat";

/// Names. Making device nodes is the capability's to refuse; FIFOs and sockets need nothing. Mounts can be looked at, not made.
const DIRECTORIES: &str = "chdir fchdir getcwd getdents getdents64 link linkat listmount mkdir mkdirat mknod mknodat readdir readlink readlinkat rename renameat renameat2 \
    rmdir statmount symlink symlinkat umask unlink unlinkat";

/// Descriptors, and seeking in them.
const DESCRIPTORS: &str =
    "_llseek close close_range dup dup2 dup3 fcntl fcntl64 flock lseek memfd_create memfd_secret pipe pipe2";

/// A process' own memory, NUMA placement included.
const MEMORY: &str = "brk cacheflush get_mempolicy madvise map_shadow_stack mbind membarrier mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync \
    munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_madvise process_mrelease remap_file_pages set_mempolicy \
    set_mempolicy_home_node";

/// Beginning, ending, waiting, limits. ptrace(2) reaches only processes of the container with no more rights than the caller, and since Linux 4.8 a tracer
/// cannot get past a filter. Those that the kernel itself calls from a traced program's memory are here too.
const PROCESSES: &str = "arch_prctl breakpoint execve execveat exit exit_group fork get_robust_list get_thread_area getpid getppid getrlimit getrusage gettid pidfd_open \
    prctl prlimit64 ptrace restart_syscall rseq set_robust_list set_thread_area set_tid_address set_tls setrlimit ugetrlimit uprobe uretprobe vfork \
    wait4 waitid waitpid";

/// Who a process is: users, groups, sessions, capabilities, the machine's names.
const IDENTITY: &str = "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp getresgid getresgid32 getresuid \
    getresuid32 getsid getuid getuid32 lsm_get_self_attr lsm_list_modules oldolduname olduname setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 \
    setgroups setgroups32 setpgid setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setsid setuid setuid32 sysinfo \
    uname";

/// Sending, catching, waiting for signals.
const SIGNALS: &str = "kill pause pidfd_send_signal rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait \
    rt_sigtimedwait_time64 rt_tgsigqueueinfo sgetmask sigaction sigaltstack signal signalfd signalfd4 sigpending sigprocmask sigreturn sigsuspend \
    ssetmask tgkill tkill";

/// Clocks and timers. Those of adjtimex(2) read the clock; to change it is refused by the kernel without CAP_SYS_TIME.
const TIME: &str = "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 \
    getitimer gettimeofday nanosleep setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime \
    timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times";

/// Waiting for many things, watching files, asynchronous input and output (aio(7)), random numbers.
const EVENTS: &str = "_newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 fanotify_mark \
    getrandom inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 \
    io_setup io_submit poll ppoll ppoll_time64 pselect6 pselect6_time64 select";

/// All but making one, which depends on the family. The common call of 32-bit x86 makes one too, of any family, so it is not here.
const SOCKETS: &str = "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto \
    setsockopt shutdown socketpair";

/// System V and POSIX queues, semaphores, shared memory, which are in the container's IPC namespace; futexes.
const IPC: &str = "futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 \
    mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget";

/// Priorities and processors. Better ones than it has are refused by the kernel without CAP_SYS_NICE.
const SCHEDULING: &str = "getcpu getpriority ioprio_get ioprio_set nice sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam \
    sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler \
    sched_yield setpriority";

/// Giving up more.
const SELF_CONFINEMENT: &str = "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp";

/// What a capability brings, and is refused without any of those behind it. The kernel asks for them too; this keeps what is behind its check out of reach.
const GUARDED: &[(&str, &[Capability])] = &[
    // Mounts, old and new; namespaces; names of the machine; swap; quotas.
    (
        "fanotify_init fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree open_tree_attr pivot_root quotactl quotactl_fd \
        setdomainname sethostname setns swapoff swapon umount umount2",
        &[Capability::SysAdmin],
    ),
    // Any file by its number, past every directory (name_to_handle_at(2) only gives numbers).
    ("open_by_handle_at", &[Capability::DacReadSearch]),
    ("bpf", &[Capability::Bpf, Capability::SysAdmin]),
    ("perf_event_open", &[Capability::Perfmon, Capability::SysAdmin]),
    // Other processes' memory and descriptors without stopping them, and page faults that wait for a program.
    ("kcmp pidfd_getfd process_vm_readv process_vm_writev userfaultfd", &[Capability::SysPtrace]),
    ("migrate_pages move_pages", &[Capability::SysNice]),
    ("chroot", &[Capability::SysChroot]),
    ("clock_settime clock_settime64 settimeofday stime", &[Capability::SysTime]),
    ("syslog", &[Capability::Syslog]),
    ("vhangup", &[Capability::SysTtyConfig]),
    ("reboot", &[Capability::SysBoot]),
    ("delete_module finit_module init_module", &[Capability::SysModule]),
    ("ioperm iopl", &[Capability::SysRawio]),
    ("acct", &[Capability::SysPacct]),
];

/// Refused whatever the capabilities are; only an unconfined container has them. Keys are not the container's own, a new kernel is the machine's, and
/// segments of 16-bit programs have cost the kernel more than they are worth. io_uring is not even here, so that it fails with ENOSYS: what it does
/// in a program's place no filter sees.
const REFUSED: &str =
    "add_key kexec_file_load kexec_load keyctl lookup_dcookie modify_ldt nfsservctl request_key uselib vm86 vm86old";

#[cfg(test)]
mod tests {
    use super::super::{arch::Arch, compile_for, syscalls};
    use super::*;

    #[test]
    fn it_compiles_for_every_machine_and_is_short() {
        for native in [Arch::X86_64, Arch::Aarch64] {
            for capabilities in [Capabilities::new(), [Capability::SysAdmin, Capability::NetRaw].into_iter().collect()]
            {
                let program = compile_for(&default_profile(&capabilities).unwrap(), native).unwrap();
                assert!(program.len() < 800, "{native:?}: {} instructions", program.len());
            }
        }
    }

    #[test]
    fn every_name_is_one_that_some_architecture_has_and_is_in_one_group() {
        let groups = ALWAYS.into_iter().chain(GUARDED.iter().map(|(names, _)| *names)).chain([REFUSED]);
        let mut names: Vec<_> = groups.flat_map(str::split_whitespace).collect();
        for name in &names {
            let known = [Arch::X86_64, Arch::X86, Arch::Aarch64, Arch::Arm]
                .into_iter()
                .any(|arch| syscalls::number(name, arch).is_some());
            assert!(known || syscalls::multiplexed(name).is_some(), "{name}");
        }
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
