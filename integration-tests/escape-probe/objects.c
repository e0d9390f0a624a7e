/* Kernel objects that are not the container's own, or have much of the kernel behind them. */
#include "probe.h"
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>

static int keyrings(void)
{
    return outcome(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1));
}

static int key_add(void)
{
    return outcome(syscall(SYS_add_key, "user", "escape-probe", "x", 1, KEY_SPEC_PROCESS_KEYRING));
}

static int key_request(void)
{
    long found = syscall(SYS_request_key, "user", "escape-probe", NULL, 0);
    return found < 0 && errno == ENOKEY ? THROUGH : outcome(found);
}

static int bpf_program(void)
{
    struct bpf_insn both[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
    union bpf_attr load = {.prog_type = BPF_PROG_TYPE_KPROBE, .insn_cnt = 2};
    load.insns = (unsigned long)both;
    load.license = (unsigned long)"GPL";
    return outcome(syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load));
}

static int perf_events(void)
{
    struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attributes, .config = PERF_COUNT_SW_CPU_CLOCK};
    return outcome(syscall(SYS_perf_event_open, &attributes, -1, 0, -1, 0));
}

static int user_faults(void)
{
    return outcome(syscall(SYS_userfaultfd, O_CLOEXEC));
}

static int io_uring(void)
{
    struct io_uring_params parameters = {0};
    return outcome(syscall(SYS_io_uring_setup, 4, &parameters));
}

static int watch_files(void)
{
    return outcome(syscall(SYS_fanotify_init, 0x4 /* FAN_CLASS_CONTENT */, O_RDONLY));
}

/* Any file of the file system by its number: here one that may be had, which is enough to try others. */
static int by_handle(void)
{
    struct file_handle *handle = calloc(1, sizeof *handle + 128);
    int mount;
    handle->handle_bytes = 128;
    if (name_to_handle_at(AT_FDCWD, "/inside", handle, &mount, 0))
        return errno;
    return outcome(open_by_handle_at(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), handle, O_RDONLY));
}

const struct probe objects[] = {
    {"keyctl", keyrings, ANYWHERE},
    {"add_key", key_add, ANYWHERE},
    {"request_key", key_request, ANYWHERE},
    {"bpf", bpf_program, ANYWHERE},
    {"perf_event_open", perf_events, ANYWHERE},
    {"userfaultfd", user_faults, ANYWHERE},
    {"io_uring_setup", io_uring, ANYWHERE},
    {"fanotify_init", watch_files, ANYWHERE},
    {"open_by_handle_at", by_handle, ANYWHERE},
    {0},
};
