/* Runs every probe, each in a process of its own, and prints a line for each: PROBE name outcome filter|kernel|-
 * The argument says where this is: `confined`, or `open`, where probes that could do harm are left out. Others of the list's names as further
 * arguments run these only. */
#include "probe.h"
#include <signal.h>
#include <sys/wait.h>

static const struct probe *const lists[] = {mounts, machine, objects, namespaces, processes, files, network};

const char *host(const char *name)
{
    const char *value = getenv(name);
    if (!value) {
        fprintf(stderr, "escape-probe: %s is not set\n", name);
        _exit(70);
    }
    return value;
}

/* The outcome of a probe in a process of its own, or minus 100 and the signal that ended it. */
static int run(const struct probe *probe)
{
    int result[2], outcome = 0, status;
    if (pipe2(result, O_CLOEXEC))
        abort();
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        outcome = probe->run();
        _exit(write(result[1], &outcome, sizeof outcome) != sizeof outcome);
    }
    close(result[1]);
    if (child < 0 || waitpid(child, &status, 0) != child)
        abort();
    bool told = read(result[0], &outcome, sizeof outcome) == sizeof outcome;
    close(result[0]);
    return told ? outcome : WIFSIGNALED(status) ? -100 - WTERMSIG(status) : -100;
}

static const char *word(int outcome)
{
    static char text[32];
    if (outcome == THROUGH)
        return "THROUGH";
    if (outcome == EMPTY)
        return "empty";
    if (outcome == CONTAINED)
        return "contained";
    const char *name = outcome > 0 ? strerrorname_np(outcome) : NULL;
    if (name)
        return name;
    snprintf(text, sizeof text, "signal-%d", -100 - outcome);
    return text;
}

static void report(const struct probe *probe)
{
    int outcome = run(probe);
    const char *by = outcome <= 0 ? "-" : filtered(probe, outcome) ? "filter" : "kernel";
    printf("PROBE %s %s %s\n", probe->name, word(outcome), by);
    fflush(stdout);
}

int main(int count, char **arguments)
{
    /* The other half of the probe `set-user-id`. */
    if (count == 2 && !strcmp(arguments[1], "effective-user"))
        return geteuid() == 0 ? 0 : 1;
    if (count < 2 || (strcmp(arguments[1], "open") && strcmp(arguments[1], "confined")))
        return 64;
    bool confined = !strcmp(arguments[1], "confined");
    for (size_t list = 0; list < sizeof lists / sizeof *lists; list++)
        for (const struct probe *probe = lists[list]; probe->name; probe++) {
            bool asked = count == 2;
            for (int each = 2; each < count; each++)
                asked |= !strcmp(arguments[each], probe->name);
            if (asked && (confined || probe->where == ANYWHERE))
                report(probe);
        }
    return 0;
}
