/* One probe is one try to get out of a container, or to reach what is not the container's. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What a probe gives beside an error number: it got through, or the call succeeded and led nowhere. */
enum { THROUGH = 0, EMPTY = -1, CONTAINED = -2 };

/* Where a probe may be run. What would harm the machine if it got through is run in confined containers only. */
enum where { ANYWHERE, CONFINED_ONLY };

struct probe {
    const char *name;
    int (*run)(void);
    enum where where;
};

/* What is known of the host, from the environment. */
const char *host(const char *name);

/* What a system call's return value means for a probe. */
static inline int outcome(long returned)
{
    return returned < 0 ? errno : THROUGH;
}

/* Opens a file and closes it again; nothing is read or written. */
static inline int opens(const char *path, int flags)
{
    return outcome(open(path, flags | O_CLOEXEC));
}

/* Opens a file and reads a byte of it. */
static inline int reads(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return errno;
    char byte;
    ssize_t got = read(file, &byte, 1);
    return got < 0 ? errno : got == 0 ? EMPTY : THROUGH;
}

/* Whether the filter of system calls refused the call that failed with this error number, when the probe is run under a tracer. */
bool filtered(const struct probe *probe, int stopped);

extern const struct probe mounts[], machine[], objects[], namespaces[], processes[], files[], network[];
