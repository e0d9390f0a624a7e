/* Other processes: the container's init, and the host's. */
#include "probe.h"
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

static int of_host(const char *file, int (*look)(const char *))
{
    char path[96];
    snprintf(path, sizeof path, "/proc/%s/%s", host("HOST_PID"), file);
    return look(path);
}

static int trace_init(void)
{
    return outcome(ptrace(PTRACE_SEIZE, 1, NULL, NULL));
}

static int init_memory_call(void)
{
    char byte;
    struct iovec local = {&byte, 1}, remote = {(void *)0x400000, 1};
    return outcome(process_vm_readv(1, &local, 1, &remote, 1, 0));
}

static int init_memory_file(void)
{
    return opens("/proc/1/mem", O_RDWR);
}

static int init_environment(void)
{
    return reads("/proc/1/environ");
}

static int init_root(void)
{
    return opens("/proc/1/root/", O_RDONLY | O_DIRECTORY);
}

static int init_working_directory(void)
{
    return opens("/proc/1/cwd/", O_RDONLY | O_DIRECTORY);
}

static int init_program(void)
{
    return opens("/proc/1/exe", O_WRONLY);
}

static int init_descriptors(void)
{
    return opens("/proc/1/fd/0", O_RDONLY);
}

static int init_descriptor(void)
{
    long process = syscall(SYS_pidfd_open, 1, 0);
    return process < 0 ? errno : outcome(syscall(SYS_pidfd_getfd, process, 1, 0));
}

static int compare(void)
{
    return outcome(syscall(SYS_kcmp, 1, getpid(), 0, 0, 0));
}

static int host_signal(void)
{
    return outcome(kill((pid_t)atol(host("HOST_PID")), 0));
}

static int host_environment(void)
{
    return of_host("environ", reads);
}

static int directory(const char *path)
{
    return opens(path, O_RDONLY | O_DIRECTORY);
}

static int host_root(void)
{
    return of_host("root/", directory);
}

static int shielded_from_oom(void)
{
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    return file < 0 ? errno : outcome(write(file, "-1000", 5));
}

static int more_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_max == RLIM_INFINITY)
        return THROUGH;
    limit.rlim_max += 1;
    return outcome(setrlimit(RLIMIT_NOFILE, &limit));
}

static int better_priority(void)
{
    return outcome(setpriority(PRIO_PROCESS, 0, -10));
}

static int real_time(void)
{
    struct sched_param parameters = {.sched_priority = 1};
    return outcome(sched_setscheduler(0, SCHED_FIFO, &parameters));
}

/* Types into a terminal, here one of the probe's own. */
static int type_into_terminal(void)
{
    setsid();
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) || unlockpt(master))
        return errno;
    int terminal = open(ptsname(master), O_RDWR | O_CLOEXEC);
    return terminal < 0 ? errno : outcome(ioctl(terminal, TIOCSTI, "x"));
}

/* A program that is root's and has the set-user-ID bit, executed by somebody else. */
static int set_user_id(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        if (setgid(1000) || setuid(1000))
            _exit(2);
        execl("/set-user-id", "set-user-id", "effective-user", NULL);
        _exit(errno);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return errno;
    return WEXITSTATUS(status) == 0 ? THROUGH : WEXITSTATUS(status) == 1 ? CONTAINED : WEXITSTATUS(status);
}

/* Descriptors that nobody meant to give: anything but input and output, and any directory. */
static int leaked_descriptors(void)
{
    for (int each = 0; each < 4096; each++) {
        struct stat found;
        /* The one above the standard ones is the pipe to whoever runs the probe. */
        bool expected = each <= 2 || !!(fcntl(each, F_GETFD) & FD_CLOEXEC);
        if (!fstat(each, &found) && (!expected || S_ISDIR(found.st_mode)))
            return THROUGH;
    }
    return CONTAINED;
}

const struct probe processes[] = {
    {"ptrace-init", trace_init, CONFINED_ONLY},
    {"process_vm_readv-init", init_memory_call, ANYWHERE},
    {"proc-init-mem", init_memory_file, CONFINED_ONLY},
    {"proc-init-environ", init_environment, ANYWHERE},
    {"proc-init-root", init_root, ANYWHERE},
    {"proc-init-cwd", init_working_directory, ANYWHERE},
    {"proc-init-exe-write", init_program, CONFINED_ONLY},
    {"proc-init-fd", init_descriptors, ANYWHERE},
    {"pidfd_getfd-init", init_descriptor, ANYWHERE},
    {"kcmp-init", compare, ANYWHERE},
    {"signal-host", host_signal, ANYWHERE},
    {"proc-host-environ", host_environment, ANYWHERE},
    {"proc-host-root", host_root, ANYWHERE},
    {"oom_score_adj", shielded_from_oom, ANYWHERE},
    {"rlimit-raise", more_files, ANYWHERE},
    {"nice", better_priority, ANYWHERE},
    {"real-time", real_time, ANYWHERE},
    {"tiocsti", type_into_terminal, ANYWHERE},
    {"set-user-id", set_user_id, ANYWHERE},
    {"leaked-descriptors", leaked_descriptors, ANYWHERE},
    {0},
};
