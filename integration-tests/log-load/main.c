/* A command that writes to its standard output, and measures how long each write takes. It is C because nothing else should be between the clock and write(2), and static
 * because it runs in roots that have nothing else.
 *   log-load BYTES_A_SECOND LINES [REPORT]   writes so many numbered lines of 100 bytes, 40 at a time; 0: as fast as they are taken
 * With REPORT it says on standard error once a second: the second since the epoch, and how many writes took so long, as `NANOSECONDS:COUNT` (a sixteenth of an octave each).
 * It says `ready` on standard error first. The exit code is 0, or 1 when a write fails. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 100, AT_ONCE = 40, BUCKETS = 1024, USAGE = 64 };

static unsigned long counts[BUCKETS];

static long now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static unsigned bucket(unsigned long nanos)
{
    if (nanos < 32)
        return (unsigned)nanos;
    unsigned octave = 63u - (unsigned)__builtin_clzl(nanos);
    return octave * 16 + (unsigned)((nanos >> (octave - 4)) & 15);
}

static unsigned long floor_of(unsigned bucket)
{
    return bucket < 32 ? bucket : (16ul + bucket % 16) << (bucket / 16 - 4);
}

static void report(long second)
{
    char text[16384];
    int length = snprintf(text, sizeof text, "%ld", second);
    for (unsigned at = 0; at < BUCKETS && length < 16000; at++)
        if (counts[at])
            length += snprintf(text + length, sizeof text - (size_t)length, " %lu:%lu", floor_of(at), counts[at]);
    dprintf(2, "%s\n", text);
    memset(counts, 0, sizeof counts);
}

static int all(const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(1, bytes, length);
        if (written < 0)
            return 0;
        bytes += written;
        length -= (size_t)written;
    }
    return 1;
}

int main(int count, char **words)
{
    if (count < 3)
        return USAGE;
    long rate = atol(words[1]), lines = atol(words[2]);
    int reports = count > 3;
    char block[LINE * AT_ONCE + 1];
    dprintf(2, "ready\n");
    long begun = now(CLOCK_MONOTONIC), second = now(CLOCK_REALTIME) / 1000000000;
    for (long done = 0; done < lines;) {
        long some = lines - done < AT_ONCE ? lines - done : AT_ONCE;
        for (long at = 0; at < some; at++)
            snprintf(block + at * LINE, LINE + 1, "%099ld\n", done + at);
        if (rate > 0) {
            long due = begun + (long)((double)done * LINE / (double)rate * 1e9), wait = due - now(CLOCK_MONOTONIC);
            if (wait > 0)
                nanosleep(&(struct timespec){ wait / 1000000000, wait % 1000000000 }, NULL);
        }
        long before = now(CLOCK_MONOTONIC);
        if (!all(block, (size_t)(some * LINE)))
            return 1;
        counts[bucket((unsigned long)(now(CLOCK_MONOTONIC) - before))]++;
        done += some;
        if (reports && now(CLOCK_REALTIME) / 1000000000 != second) {
            report(second);
            second = now(CLOCK_REALTIME) / 1000000000;
        }
    }
    return 0;
}
