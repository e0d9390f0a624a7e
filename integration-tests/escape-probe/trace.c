/* Who refused a system call: the filter, or the kernel itself.
 *
 * An error number does not say. So the probe is run once more, with one more filter, which hands every call to a tracer. Of the verdicts of all
 * filters the strictest holds, and a refusal is stricter than the tracer (seccomp(2)): a call that the container's filter refuses never comes to it. */
#include "probe.h"
#include <linux/filter.h>
#include <linux/ptrace.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* sys/ptrace.h does not go with linux/ptrace.h. */
static long trace(int request, pid_t pid, unsigned long address, unsigned long data)
{
    return syscall(SYS_ptrace, request, pid, address, data);
}

static void traced(const struct probe *probe)
{
    struct sock_filter hand_over = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    struct sock_fprog program = {1, &hand_over};
    alarm(20);
    if (trace(PTRACE_TRACEME, 0, 0, 0))
        _exit(71);
    raise(SIGSTOP);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
        _exit(72);
    probe->run();
    _exit(0);
}

bool filtered(const struct probe *probe, int stopped)
{
    pid_t child = fork();
    if (child == 0)
        traced(probe);
    int status;
    bool came = true, refused = false;
    waitpid(child, &status, 0);
    /* PTRACE_SETOPTIONS: mark stops of system calls, stop for the filter too, leave nothing behind. */
    trace(0x4200, child, 0, 0x1 | 0x80 /* PTRACE_O_TRACESECCOMP */ | 0x100000 /* PTRACE_O_EXITKILL */);
    for (int deliver = 0;;) {
        trace(24 /* PTRACE_SYSCALL */, child, 0, (unsigned long)deliver);
        if (waitpid(child, &status, 0) != child || WIFSIGNALED(status))
            return refused;
        if (WIFEXITED(status)) {
            if (WEXITSTATUS(status))
                fprintf(stderr, "escape-probe: %s cannot be traced (%d)\n", probe->name, WEXITSTATUS(status));
            return refused;
        }
        struct ptrace_syscall_info info = {0};
        bool call = WSTOPSIG(status) == (SIGTRAP | 0x80) || status >> 8 == (SIGTRAP | 7 << 8 /* PTRACE_EVENT_SECCOMP */);
        deliver = call || status >> 16 ? 0 : WSTOPSIG(status);
        if (!call || trace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, (unsigned long)&info) < 0)
            continue;
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
            came = false;
        else if (info.op == PTRACE_SYSCALL_INFO_SECCOMP)
            came = true;
        else if (info.op == PTRACE_SYSCALL_INFO_EXIT && info.exit.is_error && info.exit.rval == -stopped)
            refused = !came;
    }
}
