"""Reads OCI profiles, one JSON object a line; prints the filter that libseccomp makes of each, in hexadecimal, or the reason why it makes none."""
import ctypes
import json
import os
import sys

lib = ctypes.CDLL("libseccomp.so.2")
lib.seccomp_init.restype = ctypes.c_void_p


class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


ARCHITECTURES = {
    "SCMP_ARCH_X86_64": 0xC000003E, "SCMP_ARCH_X86": 0x40000003, "SCMP_ARCH_X32": 0x4000003E,
    "SCMP_ARCH_AARCH64": 0xC00000B7, "SCMP_ARCH_ARM": 0x40000028,
}
OPERATORS = {name: number for number, name in enumerate(["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"], 1)}
ACTIONS = {"KILL": 0, "KILL_THREAD": 0, "KILL_PROCESS": 0x80000000, "TRAP": 0x30000, "ERRNO": 0x50000, "TRACE": 0x7FF00000, "LOG": 0x7FFC0000, "ALLOW": 0x7FFF0000}


def action(name, errno):
    value = ACTIONS[name.removeprefix("SCMP_ACT_")]
    return value | (1 if errno is None else errno) if name in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE") else value


def check(result, what):
    if result != 0:
        raise RuntimeError(f"{what}: {os.strerror(-result)}")


def compiled(profile):
    default = action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    context = ctypes.c_void_p(lib.seccomp_init(ctypes.c_uint32(default)))
    native = lib.seccomp_arch_native() & 0xFFFFFFFF
    for name in profile.get("architectures", []):
        if ARCHITECTURES[name] != native:
            check(lib.seccomp_arch_add(context, ctypes.c_uint32(ARCHITECTURES[name])), name)
    for rule in profile.get("syscalls", []):
        returns = action(rule["action"], rule.get("errnoRet"))
        args = [Compare(arg["index"], OPERATORS[arg["op"].removeprefix("SCMP_CMP_")], arg["value"], arg.get("valueTwo") or 0) for arg in rule.get("args") or []]
        repeated = len({arg.arg for arg in args}) != len(args)
        for name in rule["names"]:
            number = lib.seccomp_syscall_resolve_name(name.encode())
            # Neither unknown calls nor rules that say what is so anyway are for libseccomp to refuse; runc leaves them out too.
            if number == -1 or returns == default:
                continue
            for some in [[arg] for arg in args] if repeated else [args]:
                array = (Compare * 6)(*some)
                check(lib.seccomp_rule_add_array(context, ctypes.c_uint32(returns), number, len(some), array), name)
    file = os.memfd_create("filter")
    check(lib.seccomp_export_bpf(context, file), "export")
    lib.seccomp_release(context)
    os.lseek(file, 0, os.SEEK_SET)
    code = b""
    while part := os.read(file, 1 << 20):
        code += part
    os.close(file)
    return code.hex()


for line in sys.stdin:
    try:
        print(compiled(json.loads(line)), flush=True)
    except RuntimeError as error:
        print("error", error, flush=True)
