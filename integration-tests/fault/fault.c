/* Stands between the agent and libc (LD_PRELOAD) and strikes at calls that make something durable or visible: SIGKILL before one, or a failure. C, because
 * libc's functions with varying arguments cannot be defined in Rust, and because nothing here may depend on what is struck.
 *
 * Only tweendeckd is struck. What it starts has neither the library nor the variables in its environment. */

#define _GNU_SOURCE
/* The functions are defined under the names that the linker sees. */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "control.h"

static struct control *control;
static char directory[SUBJECT];

__attribute__((constructor)) static void begin(void)
{
    char self[SUBJECT] = "";
    const char *path = getenv("TWEENDECK_FAULT"), *of = getenv("TWEENDECK_FAULT_DIRECTORY");
    if (path && of && readlink("/proc/self/exe", self, sizeof self - 1) > 0) {
        const char *name = strrchr(self, '/');
        int file = name && strcmp(name, "/tweendeckd") == 0 ? open(path, O_RDWR | O_CLOEXEC) : -1;
        if (file >= 0) {
            void *shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
            snprintf(directory, sizeof directory, "%s/", of);
            control = shared == MAP_FAILED ? NULL : shared;
            close(file);
        }
    }
    unsetenv("LD_PRELOAD");
    unsetenv("TWEENDECK_FAULT");
    unsetenv("TWEENDECK_FAULT_DIRECTORY");
}

/* Counts a call; whether it has to fail, with errno set. Does not come back if the process is to die. */
static bool struck(enum place place, enum kind kind, const char *call, const char *subject)
{
    if (!(control->places & place) || !(control->kinds & kind))
        return false;
    uint64_t number = __atomic_add_fetch(&control->counted, 1, __ATOMIC_SEQ_CST);
    bool hit = number >= control->first && number - control->first < control->times;
    if (control->action == COUNT || hit)
        snprintf(control->subject, sizeof control->subject, "%s %s", call, subject);
    if (!hit || control->action == COUNT)
        return false;
    __atomic_add_fetch(&control->struck, 1, __ATOMIC_SEQ_CST);
    if (control->action == KILL) {
        syscall(SYS_kill, getpid(), SIGKILL);
        for (;;)
            pause();
    }
    if (control->action == OTHER) {
        syscall(SYS_kill, control->other, SIGKILL);
        return false;
    }
    errno = control->error;
    return true;
}

static bool armed(void)
{
    return control && __atomic_load_n(&control->armed, __ATOMIC_SEQ_CST) != 0;
}

static bool at_path(enum kind kind, const char *call, const char *path)
{
    if (!armed() || !path)
        return false;
    int error = errno;
    bool hit = false;
    if (strncmp(path, "/sys/fs/cgroup", 14) == 0) {
        hit = struck(CGROUP, kind, call, path);
    } else if (strncmp(path, directory, strlen(directory)) == 0) {
        hit = struck(strstr(path, "/store.db") ? STORE : FILES, kind, call, path);
    }
    if (!hit)
        errno = error;
    return hit;
}

/* Names below an open directory are joined to its path. */
static bool at_file(enum kind kind, const char *call, int file, const char *below)
{
    /* What the agent says on its standard streams is not its work. */
    if (!armed() || (file >= 0 && file <= 2))
        return false;
    if (below && below[0] == '/')
        return at_path(kind, call, below);
    int error = errno, domain = 0, type = 0;
    socklen_t size = sizeof domain;
    char link[32], path[2 * SUBJECT] = "";
    bool hit = false;
    if (!below && getsockopt(file, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0) {
        size = sizeof type;
        if (domain == AF_UNIX && getsockopt(file, SOL_SOCKET, SO_TYPE, &type, &size) == 0)
            hit = type == SOCK_SEQPACKET ? struck(SUPERVISOR, kind, call, "a supervisor")
                                         : struck(CALLER, kind, call, "a caller");
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", file);
        ssize_t length = readlink(link, path, SUBJECT - 1);
        if (length > 0) {
            if (below)
                snprintf(path + length, SUBJECT, "/%s", below);
            hit = at_path(kind, call, path);
        }
    }
    if (!hit)
        errno = error;
    return hit;
}

static bool at_process(const char *call, const char *subject)
{
    int error = errno;
    if (armed() && struck(PROCESS, CHANGES, call, subject))
        return true;
    errno = error;
    return false;
}

/* The function of libc's that a definition below stands before. */
#define NEXT(name) ((__typeof__(&name))next(&name##_next, #name))
#define NEXT_OF(name) static void *name##_next

static void *next(void **found, const char *name)
{
    void *function = __atomic_load_n(found, __ATOMIC_RELAXED);
    if (!function) {
        function = dlsym(RTLD_NEXT, name);
        __atomic_store_n(found, function, __ATOMIC_RELAXED);
    }
    return function;
}

#define FILE_CALL(type, name, kind, parameters, arguments) \
    NEXT_OF(name);                                         \
    type name parameters                                   \
    {                                                      \
        if (at_file(kind, #name, file, NULL))              \
            return -1;                                     \
        return NEXT(name) arguments;                       \
    }

#define PATH_CALL(name, parameters, arguments)   \
    NEXT_OF(name);                               \
    int name parameters                          \
    {                                            \
        if (at_path(CHANGES, #name, path))       \
            return -1;                           \
        return NEXT(name) arguments;             \
    }

#define AT_CALL(name, parameters, arguments)          \
    NEXT_OF(name);                                    \
    int name parameters                               \
    {                                                 \
        if (at_file(CHANGES, #name, file, path))      \
            return -1;                                \
        return NEXT(name) arguments;                  \
    }

FILE_CALL(ssize_t, write, WRITES, (int file, const void *data, size_t size), (file, data, size))
FILE_CALL(ssize_t, writev, WRITES, (int file, const struct iovec *data, int count), (file, data, count))
FILE_CALL(ssize_t, pwrite, WRITES, (int file, const void *data, size_t size, off_t at), (file, data, size, at))
FILE_CALL(ssize_t, pwrite64, WRITES, (int file, const void *data, size_t size, off64_t at), (file, data, size, at))
FILE_CALL(ssize_t, send, WRITES, (int file, const void *data, size_t size, int flags), (file, data, size, flags))
FILE_CALL(ssize_t, sendmsg, WRITES, (int file, const struct msghdr *message, int flags), (file, message, flags))
FILE_CALL(ssize_t, pread, READS, (int file, void *data, size_t size, off_t at), (file, data, size, at))
FILE_CALL(ssize_t, pread64, READS, (int file, void *data, size_t size, off64_t at), (file, data, size, at))
FILE_CALL(int, fsync, SYNCS, (int file), (file))
FILE_CALL(int, fdatasync, SYNCS, (int file), (file))
FILE_CALL(int, syncfs, SYNCS, (int file), (file))
FILE_CALL(int, ftruncate, CHANGES, (int file, off_t size), (file, size))
FILE_CALL(int, ftruncate64, CHANGES, (int file, off64_t size), (file, size))

PATH_CALL(mkdir, (const char *path, mode_t mode), (path, mode))
PATH_CALL(rmdir, (const char *path), (path))
PATH_CALL(unlink, (const char *path), (path))
PATH_CALL(rename, (const char *path, const char *to), (path, to))
PATH_CALL(chmod, (const char *path, mode_t mode), (path, mode))

AT_CALL(mkdirat, (int file, const char *path, mode_t mode), (file, path, mode))
AT_CALL(unlinkat, (int file, const char *path, int flags), (file, path, flags))
AT_CALL(renameat, (int file, const char *path, int other, const char *to), (file, path, other, to))

/* A socket's address is not looked at: every socket that the agent connects or binds is one of a supervisor's, but for its own at its start. */
FILE_CALL(int, connect, CHANGES, (int file, const struct sockaddr *to, socklen_t size), (file, to, size))
FILE_CALL(int, bind, CHANGES, (int file, const struct sockaddr *to, socklen_t size), (file, to, size))

/* Of what is received: after it has been taken from the kernel, and before anything has come of it. Only a death can happen there. */
static ssize_t received(int file, const char *call, ssize_t length)
{
    int type = 0;
    socklen_t size = sizeof type;
    int error = errno;
    if (length > 0 && armed() && control->action != FAIL && getsockopt(file, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET)
        struck(SUPERVISOR, CHANGES, call, "a supervisor");
    errno = error;
    return length;
}

NEXT_OF(recv);
ssize_t recv(int file, void *data, size_t size, int flags)
{
    return received(file, "recv", NEXT(recv)(file, data, size, flags));
}

NEXT_OF(recvmsg);
ssize_t recvmsg(int file, struct msghdr *message, int flags)
{
    return received(file, "recvmsg", NEXT(recvmsg)(file, message, flags));
}

/* Opening changes something when it may make the file. */
#define OPEN(name)                                                                            \
    NEXT_OF(name);                                                                            \
    int name(const char *path, int flags, ...)                                                \
    {                                                                                         \
        va_list rest;                                                                         \
        va_start(rest, flags);                                                                \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;               \
        va_end(rest);                                                                         \
        if (flags & (O_CREAT | O_TRUNC) && at_path(CHANGES, #name, path))                     \
            return -1;                                                                        \
        return NEXT(name)(path, flags, mode);                                                 \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                          \
    NEXT_OF(name);                                                                            \
    int name(int file, const char *path, int flags, ...)                                      \
    {                                                                                         \
        va_list rest;                                                                         \
        va_start(rest, flags);                                                                \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;               \
        va_end(rest);                                                                         \
        if (flags & (O_CREAT | O_TRUNC) && at_file(CHANGES, #name, file, path))               \
            return -1;                                                                        \
        return NEXT(name)(file, path, flags, mode);                                           \
    }
OPENAT(openat)
OPENAT(openat64)

/* They give an error instead of setting it. */
#define SPAWN(name, first)                                                                                              \
    NEXT_OF(name);                                                                                                      \
    int name(first pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes, \
             char *const arguments[], char *const environment[])                                                        \
    {                                                                                                                   \
        if (at_process(#name, path))                                                                                    \
            return errno;                                                                                               \
        return NEXT(name)(pid, path, actions, attributes, arguments, environment);                                      \
    }
SPAWN(posix_spawn, pid_t *restrict)
SPAWN(posix_spawnp, pid_t *restrict)

NEXT_OF(kill);
int kill(pid_t pid, int signal)
{
    if (at_process("kill", ""))
        return -1;
    return NEXT(kill)(pid, signal);
}

/* Calls that libc has no function for: their arguments are words. */
NEXT_OF(syscall);
long syscall(long number, ...)
{
    va_list rest;
    va_start(rest, number);
    long a = va_arg(rest, long), b = va_arg(rest, long), c = va_arg(rest, long), d = va_arg(rest, long), e = va_arg(rest, long),
         f = va_arg(rest, long);
    va_end(rest);
    if (number == SYS_pidfd_send_signal && control && at_process("pidfd_send_signal", ""))
        return -1;
    if (number == SYS_renameat2 && at_file(CHANGES, "renameat2", (int)a, (const char *)b))
        return -1;
    return NEXT(syscall)(number, a, b, c, d, e, f);
}

NEXT_OF(clock_gettime);
int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = NEXT(clock_gettime)(clock, now);
    if (result == 0 && control && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += __atomic_load_n(&control->shift, __ATOMIC_RELAXED);
    return result;
}
