/* What is the whole machine's: its clock, power, kernel, ports, swap, log, names. Arguments are such that a call that got through would change
 * little; those that would change anything at all are only run confined. */
#include "probe.h"
#include <linux/reboot.h>
#include <sys/personality.h>
#include <sys/quota.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>

static int host_name(void)
{
    return outcome(sethostname("probe", 5));
}

static int time_of_day(void)
{
    struct timeval now;
    gettimeofday(&now, NULL);
    return outcome(settimeofday(&now, NULL));
}

static int clock_set(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return outcome(clock_settime(CLOCK_REALTIME, &now));
}

static int clock_adjust(void)
{
    struct timex none = {.modes = ADJ_STATUS};
    return outcome(adjtimex(&none));
}

static int restart(void)
{
    return outcome(syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_CAD_OFF, NULL));
}

static int swap_on(void)
{
    return outcome(syscall(SYS_swapon, "/inside", 0));
}

static int load_kernel(void)
{
    return outcome(syscall(SYS_kexec_load, 0, 0, NULL, 0));
}

static int load_module(void)
{
    return outcome(syscall(SYS_init_module, "", 0, ""));
}

static int load_module_file(void)
{
    return outcome(syscall(SYS_finit_module, open("/inside", O_RDONLY | O_CLOEXEC), "", 0));
}

static int accounting(void)
{
    return outcome(syscall(SYS_acct, NULL));
}

static int kernel_log(void)
{
    char text[64];
    return outcome(syscall(SYS_syslog, 3, text, sizeof text));
}

/* Writing back the quotas of every file system, which anybody may. */
static int quota(void)
{
    return outcome(syscall(SYS_quotactl, QCMD(Q_SYNC, USRQUOTA), NULL, 0, NULL));
}

static int nfs_server(void)
{
    return outcome(syscall(SYS_nfsservctl, 0, NULL, NULL));
}

static int hang_up(void)
{
    return outcome(syscall(SYS_vhangup));
}

static int fixed_addresses(void)
{
    return outcome(personality(ADDR_NO_RANDOMIZE));
}

#ifdef SYS_iopl
static int all_ports(void)
{
    return outcome(syscall(SYS_iopl, 3));
}

static int one_port(void)
{
    return outcome(syscall(SYS_ioperm, 0x80, 1, 1));
}

static int segments(void)
{
    char table[16];
    return outcome(syscall(SYS_modify_ldt, 0, table, sizeof table));
}
#endif

const struct probe machine[] = {
    {"sethostname", host_name, CONFINED_ONLY},
    {"settimeofday", time_of_day, CONFINED_ONLY},
    {"clock_settime", clock_set, CONFINED_ONLY},
    {"adjtimex", clock_adjust, CONFINED_ONLY},
    {"reboot", restart, CONFINED_ONLY},
    {"swapon", swap_on, CONFINED_ONLY},
    {"kexec_load", load_kernel, CONFINED_ONLY},
    {"init_module", load_module, CONFINED_ONLY},
    {"finit_module", load_module_file, CONFINED_ONLY},
    {"acct", accounting, CONFINED_ONLY},
    {"syslog", kernel_log, ANYWHERE},
    {"quotactl", quota, CONFINED_ONLY},
    {"nfsservctl", nfs_server, ANYWHERE},
    {"vhangup", hang_up, CONFINED_ONLY},
    {"personality", fixed_addresses, ANYWHERE},
#ifdef SYS_iopl
    {"iopl", all_ports, ANYWHERE},
    {"ioperm", one_port, ANYWHERE},
    {"modify_ldt", segments, ANYWHERE},
#endif
    {0},
};
