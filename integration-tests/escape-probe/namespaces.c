/* New namespaces, and those of others. */
#include "probe.h"
#include <linux/sched.h>
#include <signal.h>

int unshare(int);
int setns(int, int);

static int unshare_user(void)
{
    return outcome(unshare(CLONE_NEWUSER));
}

static int unshare_mounts(void)
{
    return outcome(unshare(CLONE_NEWNS));
}

static int unshare_network(void)
{
    return outcome(unshare(CLONE_NEWNET));
}

static int clone_user(void)
{
    long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (child == 0)
        _exit(0);
    return outcome(child);
}

static int clone3_user(void)
{
    struct clone_args arguments = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    long child = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child == 0)
        _exit(0);
    return outcome(child);
}

static int enter(const char *pid, const char *kind)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/ns/%s", pid, kind);
    int namespace = open(path, O_RDONLY | O_CLOEXEC);
    return namespace < 0 ? errno : outcome(setns(namespace, 0));
}

static int enter_own(void)
{
    return enter("self", "mnt");
}

static int enter_inits(void)
{
    return enter("1", "mnt");
}

static int enter_hosts(void)
{
    return enter(host("HOST_PID"), "mnt");
}

static int enter_by_pidfd(long pid)
{
    long process = syscall(SYS_pidfd_open, pid, 0);
    return process < 0 ? errno : outcome(setns((int)process, CLONE_NEWNS | CLONE_NEWUTS));
}

static int enter_init_by_pidfd(void)
{
    return enter_by_pidfd(1);
}

static int enter_host_by_pidfd(void)
{
    return enter_by_pidfd(atol(host("HOST_PID")));
}

const struct probe namespaces[] = {
    {"unshare-user", unshare_user, ANYWHERE},
    {"unshare-mount", unshare_mounts, ANYWHERE},
    {"unshare-network", unshare_network, ANYWHERE},
    {"clone-user", clone_user, ANYWHERE},
    {"clone3-user", clone3_user, ANYWHERE},
    {"setns-own", enter_own, ANYWHERE},
    {"setns-init", enter_inits, ANYWHERE},
    {"setns-host", enter_hosts, ANYWHERE},
    {"setns-init-pidfd", enter_init_by_pidfd, ANYWHERE},
    {"setns-host-pidfd", enter_host_by_pidfd, ANYWHERE},
    {0},
};
