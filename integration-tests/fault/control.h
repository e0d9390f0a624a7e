/* The file that a test and the agent share: the test writes what is to be struck, the agent counts. tests/matrix/fault.rs has the same numbers. */
#ifndef CONTROL_H
#define CONTROL_H

#include <stdint.h>

#define SUBJECT 256

/* OTHER has SIGKILL sent to another process, and goes on. */
enum action { COUNT = 0, KILL = 1, FAIL = 2, OTHER = 3 };

/* What a call is about. */
enum place {
    STORE = 1,      /* store.db and its journal */
    FILES = 2,      /* other files of the state and run directories */
    CGROUP = 4,     /* files of the kernel's */
    SUPERVISOR = 8, /* messages to and from supervisors, and to the template */
    PROCESS = 16,   /* programs that are started, signals */
    CALLER = 32,    /* bytes to whoever called */
};

/* What it does. */
enum kind { WRITES = 1, SYNCS = 2, CHANGES = 4, READS = 8 };

struct control {
    uint32_t armed;    /* 0: nothing is counted. Written last. */
    uint32_t places;   /* places that count */
    uint32_t kinds;    /* kinds that count */
    uint32_t action;
    int32_t error;     /* what FAIL gives */
    int32_t other;     /* whom OTHER kills */
    uint64_t first;    /* the first call that is struck, from 1 */
    uint64_t times;    /* how many of them FAIL */
    uint64_t counted;
    uint64_t struck;
    int64_t shift;     /* seconds by which the wall clock is wrong; always, armed or not */
    char subject[SUBJECT]; /* the last call that was struck, or counted */
};

#endif
