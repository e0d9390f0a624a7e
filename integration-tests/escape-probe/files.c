/* Files of the kernel's, and devices. What would change something is opened for writing and not written. */
#include "probe.h"
#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define OPENS(name, path, flags)                                                                                                                     \
    static int name(void)                                                                                                                            \
    {                                                                                                                                                \
        return opens(path, flags);                                                                                                                   \
    }
#define READS(name, path)                                                                                                                            \
    static int name(void)                                                                                                                            \
    {                                                                                                                                                \
        return reads(path);                                                                                                                          \
    }

OPENS(sysrq, "/proc/sysrq-trigger", O_WRONLY)
OPENS(core_pattern, "/proc/sys/kernel/core_pattern", O_WRONLY)
OPENS(modprobe, "/proc/sys/kernel/modprobe", O_WRONLY)
OPENS(hotplug, "/proc/sys/kernel/hotplug", O_WRONLY)
OPENS(interrupts, "/proc/irq/default_smp_affinity", O_WRONLY)
OPENS(uevent_helper, "/sys/kernel/uevent_helper", O_WRONLY)
OPENS(huge_pages, "/sys/kernel/mm/transparent_hugepage/enabled", O_WRONLY)
OPENS(uevent, "/sys/devices/virtual/mem/null/uevent", O_WRONLY)
OPENS(dev_mem, "/dev/mem", O_RDONLY)
OPENS(dev_kmsg, "/dev/kmsg", O_RDONLY)
OPENS(given_disk, "/disk", O_RDONLY)
OPENS(given_log, "/log", O_WRONLY)
READS(kcore, "/proc/kcore")
READS(keys, "/proc/keys")
READS(timers, "/proc/timer_list")

/* Makes a node and opens it. */
static int node(mode_t kind, unsigned long device, int flags)
{
    const char *path = "/dev/node";
    unlink(path);
    if (mknod(path, kind | 0600, device))
        return errno;
    int opened = opens(path, flags);
    unlink(path);
    return opened;
}

static int disk_node(void)
{
    unsigned major = 0, minor = 0;
    sscanf(host("HOST_DISK"), "%u:%u", &major, &minor);
    return node(S_IFBLK, makedev(major, minor), O_RDONLY);
}

/* The kernel's log, which takes no capability to write. */
static int log_node(void)
{
    return node(S_IFCHR, makedev(1, 11), O_WRONLY);
}

static int make_cgroup(const char *path)
{
    return mkdir(path, 0700) ? errno : (rmdir(path), THROUGH);
}

static int open_for_writing(const char *path)
{
    return opens(path, O_WRONLY);
}

/* Does something to a name in the container's cgroup: the only one of v2, or that of any v1 hierarchy. */
static int in_cgroup(const char *name, int (*try)(const char *))
{
    char path[512];
    int last = ENOENT;
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s", name);
    if (!access("/sys/fs/cgroup/cgroup.procs", F_OK))
        return try(path);
    DIR *hierarchies = opendir("/sys/fs/cgroup");
    for (struct dirent *each; last != THROUGH && hierarchies && (each = readdir(hierarchies));) {
        snprintf(path, sizeof path, "/sys/fs/cgroup/%.200s/%s", each->d_name, name);
        if (each->d_name[0] != '.')
            last = try(path);
    }
    return last;
}

static int cgroup_processes(void)
{
    return in_cgroup("cgroup.procs", open_for_writing);
}

/* Only the root of a v1 hierarchy has one. */
static int release_agent(void)
{
    return in_cgroup("release_agent", open_for_writing);
}

static int cgroup_directory(void)
{
    return in_cgroup("escape-probe", make_cgroup);
}

const struct probe files[] = {
    {"sysrq-trigger", sysrq, ANYWHERE},
    {"kcore", kcore, ANYWHERE},
    {"proc-keys", keys, ANYWHERE},
    {"timer_list", timers, ANYWHERE},
    {"core_pattern", core_pattern, ANYWHERE},
    {"modprobe-path", modprobe, ANYWHERE},
    {"hotplug", hotplug, ANYWHERE},
    {"irq-affinity", interrupts, ANYWHERE},
    {"uevent_helper", uevent_helper, ANYWHERE},
    {"sys-write", huge_pages, ANYWHERE},
    {"sys-uevent", uevent, ANYWHERE},
    {"cgroup-procs", cgroup_processes, ANYWHERE},
    {"cgroup-mkdir", cgroup_directory, ANYWHERE},
    {"release_agent", release_agent, ANYWHERE},
    {"dev-mem", dev_mem, ANYWHERE},
    {"dev-kmsg", dev_kmsg, ANYWHERE},
    {"mknod-disk", disk_node, ANYWHERE},
    {"mknod-kmsg", log_node, ANYWHERE},
    {"disk-node-in-root", given_disk, ANYWHERE},
    {"kmsg-node-in-root", given_log, ANYWHERE},
    {0},
};
