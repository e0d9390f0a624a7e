/* Mounts, roots, and ways around both. */
#include "probe.h"
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int mount_tmpfs(void)
{
    return outcome(mount("none", "/tmp", "tmpfs", 0, NULL));
}

static int mount_proc(void)
{
    return outcome(mount("proc", "/tmp", "proc", 0, NULL));
}

/* A hierarchy of one's own has a release_agent, which the host runs as root. */
static int mount_cgroup_v1(void)
{
    return outcome(mount("cgroup", "/tmp", "cgroup", 0, "none,name=escape-probe,release_agent=/bin/true"));
}

static int remount_sys(void)
{
    return outcome(mount(NULL, "/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
}

static int unmount_mask(void)
{
    return outcome(umount2("/proc/keys", MNT_DETACH));
}

static int open_fs(void)
{
    return outcome(syscall(SYS_fsopen, "tmpfs", 0));
}

static int pick_fs(void)
{
    return outcome(syscall(SYS_fspick, AT_FDCWD, "/", 0));
}

static int clone_tree(void)
{
    return outcome(syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */));
}

static int move_tree(void)
{
    return outcome(syscall(SYS_move_mount, AT_FDCWD, "/dev/shm", AT_FDCWD, "/tmp", 0));
}

static int set_writable(void)
{
    unsigned long long attributes[4] = {0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0};
    return outcome(syscall(SYS_mount_setattr, AT_FDCWD, "/sys", 0, attributes, sizeof attributes));
}

static int exchange_root(void)
{
    return outcome(syscall(SYS_pivot_root, "/", "/"));
}

/* The old way out: a root below the working directory, which then is outside of it. */
static int climb_out(void)
{
    mkdir("/tmp/below", 0700);
    if (chdir("/") || chroot("/tmp/below"))
        return errno;
    for (int up = 0; up < 64; up++)
        if (chdir(".."))
            return errno;
    if (chroot("."))
        return errno;
    return access("/inside", F_OK) ? THROUGH : CONTAINED;
}

static int dot_dot(void)
{
    return reads("/../../../secret");
}

const struct probe mounts[] = {
    {"mount", mount_tmpfs, ANYWHERE},
    {"mount-proc", mount_proc, ANYWHERE},
    {"mount-cgroup-release-agent", mount_cgroup_v1, CONFINED_ONLY},
    {"remount-sys-writable", remount_sys, ANYWHERE},
    {"unmount-mask", unmount_mask, ANYWHERE},
    {"fsopen", open_fs, ANYWHERE},
    {"fspick", pick_fs, ANYWHERE},
    {"open_tree-clone", clone_tree, ANYWHERE},
    {"move_mount", move_tree, ANYWHERE},
    {"mount_setattr", set_writable, ANYWHERE},
    {"pivot_root", exchange_root, ANYWHERE},
    {"chroot-climb", climb_out, ANYWHERE},
    {"dot-dot-above-root", dot_dot, ANYWHERE},
    {0},
};
