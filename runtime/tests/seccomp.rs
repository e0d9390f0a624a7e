//! Filters run by an interpreter: they say what the profile says, and what libseccomp's filter says. Needs python3 and libseccomp's shared library.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]
#![cfg(target_arch = "x86_64")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use proptest::prelude::*;
use serde_json::{Value, json};
use tweendeck_runtime::oci::{Capabilities, Capability, LinuxSeccomp};
use tweendeck_runtime::security::seccomp::{Instruction, compile, default_profile};

const X86_64: u32 = 0xC000_003E;
const X86: u32 = 0x4000_0003;
const X32_BIT: u32 = 0x4000_0000;
const ENOSYS: u32 = 0x0005_0026;

/// `struct seccomp_data` (linux/seccomp.h).
#[derive(Clone, Copy, Debug)]
struct Data {
    arch: u32,
    number: u32,
    args: [u64; 6],
}

/// Classic BPF, as much of it as filters have.
fn run(code: &[Instruction], data: &Data) -> u32 {
    let word = |offset: u32| match offset {
        0 => data.number,
        4 => data.arch,
        16..64 => (data.args[(offset as usize - 16) / 8] >> ((offset % 8) * 8)) as u32,
        _ => panic!("offset {offset}"),
    };
    let (mut at, mut a, mut x, mut memory) = (0, 0_u32, 0_u32, [0_u32; 16]);
    loop {
        let Instruction { code, jump_true, jump_false, operand } = code[at];
        at += 1;
        let jump = |holds: bool| usize::from(if holds { jump_true } else { jump_false });
        match code {
            0x20 => a = word(operand),
            0x60 => a = memory[operand as usize],
            0x02 => memory[operand as usize] = a,
            0x07 => x = a,
            0x87 => a = x,
            0x54 => a &= operand,
            0x05 => at += operand as usize,
            0x15 => at += jump(a == operand),
            0x25 => at += jump(a > operand),
            0x35 => at += jump(a >= operand),
            0x06 => return operand,
            _ => panic!("code {code:#x}"),
        }
    }
}

fn ours(profile: &Value) -> Vec<Instruction> {
    let profile: LinuxSeccomp = serde_json::from_value(profile.clone()).unwrap();
    compile(&profile).unwrap().instructions().collect()
}

/// libseccomp, in a process of its own.
struct Oracle {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seccomp_oracle.py");
        let mut child = Command::new("python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/setup test");
        let (questions, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, questions, answers }
    }

    fn compile(&mut self, profile: &Value) -> Result<Vec<Instruction>, String> {
        writeln!(self.questions, "{profile}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let line = line.trim_end();
        assert!(!line.is_empty(), "the oracle has ended");
        if line.starts_with("error") {
            return Err(line.to_owned());
        }
        let bytes: Vec<u8> =
            (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap()).collect();
        let instruction = |bytes: &[u8]| Instruction {
            code: u16::from_le_bytes([bytes[0], bytes[1]]),
            jump_true: bytes[2],
            jump_false: bytes[3],
            operand: u32::from_le_bytes(bytes[4..8].try_into().unwrap()),
        };
        Ok(bytes.chunks_exact(8).map(instruction).collect())
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Values around those that a profile compares with.
fn samples(profile: &Value) -> Vec<u64> {
    let mut values = vec![0, 1, u64::from(u32::MAX), 1 << 32, u64::MAX];
    for rule in profile["syscalls"].as_array().unwrap() {
        for arg in rule["args"].as_array().into_iter().flatten() {
            for field in ["value", "valueTwo"] {
                let value = arg[field].as_u64().unwrap_or(0);
                values.extend([value, value.wrapping_add(1), value.wrapping_sub(1), value | 1 << 32, value ^ 1 << 40]);
            }
        }
    }
    values.sort_unstable();
    values.dedup();
    values
}

/// Every number in use, and those at the ends of what is.
fn numbers() -> impl Iterator<Item = (u32, u32)> {
    let common = (0..600).chain([X32_BIT - 1, u32::MAX - 1, u32::MAX]);
    let x32 = (X32_BIT..X32_BIT + 600).map(|number| (X86_64, number));
    common.flat_map(|number| [(X86_64, number), (X86, number), (0xC000_00B7, number)]).chain(x32)
}

/// What the verdicts have in common when killing is killing.
fn killed(returned: u32) -> u32 {
    if returned == 0x8000_0000 { 0 } else { returned }
}

/// Calls that the profile's rules speak of: their names, and how often with conditions and without.
fn rules(profile: &Value) -> Vec<(&str, &Value)> {
    let rules = profile["syscalls"].as_array().unwrap();
    rules
        .iter()
        .flat_map(|rule| rule["names"].as_array().unwrap().iter().map(move |name| (name.as_str().unwrap(), rule)))
        .collect()
}

#[test]
fn the_default_profile_has_libseccomps_verdict_wherever_that_is_one() {
    let mut oracle = Oracle::start();
    for capabilities in [Capabilities::new(), [Capability::SysAdmin, Capability::SysPtrace].into_iter().collect()] {
        let mut profile = serde_json::to_value(default_profile(&capabilities).unwrap()).unwrap();
        // Where a call has rules with conditions and one without, libseccomp forgets those with conditions; these are tested below.
        let conditional: Vec<String> = rules(&profile)
            .iter()
            .filter(|(_, rule)| rule["args"].is_array())
            .map(|(name, _)| (*name).to_owned())
            .collect();
        for rule in profile["syscalls"].as_array_mut().unwrap() {
            rule["names"].as_array_mut().unwrap().retain(|name| !conditional.iter().any(|other| name == other));
        }
        profile["syscalls"].as_array_mut().unwrap().retain(|rule| rule["names"] != json!([]));
        let (ours, theirs) = (ours(&profile), oracle.compile(&profile).unwrap());
        for (arch, number) in numbers() {
            // What libseccomp 2.5 does not know yet it does not allow.
            let low = number & !X32_BIT;
            if matches!(low, 335 | 336) || (450..600).contains(&low) {
                continue;
            }
            for first in [0, 1, 2, 11, u64::from(u32::MAX)] {
                let data = Data { arch, number, args: [first, 0, 0, 0, 0, 0] };
                assert_eq!(killed(run(&ours, &data)), killed(run(&theirs, &data)), "{data:x?}");
            }
        }
    }
}

#[test]
fn the_default_profile_looks_at_arguments() {
    let profile = serde_json::to_value(default_profile(&Capabilities::new()).unwrap()).unwrap();
    let code = ours(&profile);
    let verdict = |number: libc::c_long, args: [u64; 2]| {
        run(&code, &Data { arch: X86_64, number: number as u32, args: [args[0], args[1], 0, 0, 0, 0] })
    };
    let (allow, eperm, afnosupport) = (0x7FFF_0000, 0x0005_0001, 0x0005_0000 | libc::EAFNOSUPPORT as u32);
    let garbage = 0xDEAD_BEEF_0000_0000;
    for (number, args, expected) in [
        (libc::SYS_socket, [libc::AF_INET as u64, 0], allow),
        (libc::SYS_socket, [libc::AF_UNIX as u64 | garbage, 0], allow),
        (libc::SYS_socket, [libc::AF_VSOCK as u64, 0], afnosupport),
        (libc::SYS_socket, [libc::AF_ALG as u64 | garbage, 0], afnosupport),
        (libc::SYS_clone, [libc::SIGCHLD as u64 | 0x100, 0], allow),
        (libc::SYS_clone, [libc::CLONE_NEWUSER as u64, 0], eperm),
        (libc::SYS_unshare, [libc::CLONE_FILES as u64, 0], allow),
        (libc::SYS_unshare, [0x80, 0], eperm),
        (libc::SYS_clone3, [0, 0], ENOSYS),
        (libc::SYS_io_uring_setup, [0, 0], ENOSYS),
        (libc::SYS_ioctl, [0, 0x5401], allow),
        (libc::SYS_ioctl, [0, 0x5412], eperm),
        (libc::SYS_ioctl, [0, 0x5412 | garbage], eperm),
        (libc::SYS_personality, [0x0004_0000, 0], eperm),
        (libc::SYS_personality, [u64::from(u32::MAX), 0], allow),
        (libc::SYS_mount, [0, 0], eperm),
        (libc::SYS_keyctl, [0, 0], eperm),
        (9999, [0, 0], ENOSYS),
    ] {
        assert_eq!(verdict(number, args), expected, "{number} {args:x?}");
    }
    let foreign = |arch, number| run(&code, &Data { arch, number, args: [1, 0, 0, 0, 0, 0] });
    assert_eq!(foreign(0xC000_00B7, 63), 0x8000_0000, "another architecture");
    assert_eq!(foreign(X86_64, X32_BIT), 0x8000_0000, "x32");
    assert_eq!(foreign(X86, 102), afnosupport, "socketcall would make a socket of any family");
    assert_eq!(foreign(X86, 3), allow);
}

#[test]
fn what_is_newer_than_the_profile_fails_with_enosys() {
    let json = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read", "openat2"], "action": "SCMP_ACT_ALLOW"}]});
    let code = ours(&json);
    let verdict = |number: libc::c_long| run(&code, &Data { arch: X86_64, number: number as u32, args: [0; 6] });
    assert_eq!(verdict(libc::SYS_write), 0x0005_0001);
    assert_eq!(verdict(libc::SYS_openat2), 0x7FFF_0000);
    assert_eq!(verdict(libc::SYS_openat2 + 1), ENOSYS);
    assert_eq!(verdict(-1), 0x0005_0001, "a tracer's way to skip a call");
    let mut own = json;
    own["defaultAction"] = "SCMP_ACT_KILL_PROCESS".into();
    own["architectures"] = json!(["SCMP_ARCH_X86"]);
    let code = ours(&own);
    let verdict = |number| run(&code, &Data { arch: X86, number, args: [0; 6] });
    assert_eq!((verdict(437), verdict(438), verdict(4)), (0x7FFF_0000, ENOSYS, 0x8000_0000));
}

/// Not a bound on time, which a busy machine could not keep; it prints what `docs/security.md` says.
#[test]
fn a_default_profile_is_compiled_in_well_under_a_millisecond() {
    let profile = default_profile(&Capabilities::new()).unwrap();
    let best = (0..200).map(|_| {
        let begun = Instant::now();
        let program = compile(&profile).unwrap();
        (begun.elapsed(), program.len())
    });
    println!("{:?} and instructions", best.min().unwrap());
}

/// Names of all kinds: with and without a common call on 32-bit x86, old, new, unknown.
const NAMES: [&str; 14] = [
    "read",
    "write",
    "openat",
    "clone",
    "ioctl",
    "socket",
    "semop",
    "shmat",
    "personality",
    "kill",
    "prctl",
    "futex",
    "openat2",
    "no_such_call",
];

fn condition() -> impl Strategy<Value = Value> {
    let value = prop_oneof![0..4_u64, Just(u64::from(u32::MAX)), any::<u32>().prop_map(u64::from), any::<u64>()];
    let op = prop::sample::select(vec!["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]);
    (0..3_u32, value, any::<u64>(), op).prop_map(|(index, value, bits, op)| {
        let second = if op == "MASKED_EQ" { value & bits } else { 0 };
        json!({"index": index, "value": value, "valueTwo": second, "op": format!("SCMP_CMP_{op}")})
    })
}

fn rule() -> impl Strategy<Value = Value> {
    let action = prop_oneof![
        Just(json!({"action": "SCMP_ACT_ALLOW"})),
        Just(json!({"action": "SCMP_ACT_KILL_PROCESS"})),
        Just(json!({"action": "SCMP_ACT_TRAP"})),
        Just(json!({"action": "SCMP_ACT_LOG"})),
        (0..4096_u32).prop_map(|errno| json!({"action": "SCMP_ACT_ERRNO", "errnoRet": errno})),
        (0..4096_u32).prop_map(|errno| json!({"action": "SCMP_ACT_TRACE", "errnoRet": errno})),
    ];
    let names = prop::collection::vec(prop::sample::select(NAMES.to_vec()), 1..4);
    (names, action, prop::collection::vec(condition(), 0..4)).prop_map(|(names, action, args)| {
        let mut rule = action;
        rule["names"] = json!(names);
        if !args.is_empty() {
            rule["args"] = json!(args);
        }
        rule
    })
}

fn profile() -> impl Strategy<Value = Value> {
    let default = prop::sample::select(vec!["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"]);
    let architectures =
        prop::sample::select(vec![vec![], vec!["SCMP_ARCH_X86"], vec!["SCMP_ARCH_X86", "SCMP_ARCH_X32"]]);
    (default, architectures, prop::collection::vec(rule(), 1..6)).prop_map(|(default, architectures, mut rules)| {
        rules.push(json!({"names": ["getpid"], "action": "SCMP_ACT_LOG"}));
        json!({"defaultAction": default, "architectures": architectures, "syscalls": rules})
    })
}

/// What a profile says of a call by name: the slow way, straight from the specification's words.
fn told(profile: &Value, name: &str, args: &[u64; 6]) -> Vec<(bool, u32)> {
    let returns = |rule: &Value| {
        let errno = rule["errnoRet"].as_u64().map_or(1, |errno| errno as u32);
        match rule["action"].as_str().unwrap() {
            "SCMP_ACT_ALLOW" => 0x7FFF_0000,
            "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
            "SCMP_ACT_TRAP" => 0x0003_0000,
            "SCMP_ACT_LOG" => 0x7FFC_0000,
            "SCMP_ACT_ERRNO" => 0x0005_0000 | errno,
            "SCMP_ACT_TRACE" => 0x7FF0_0000 | errno,
            other => panic!("{other}"),
        }
    };
    let holds = |arg: &Value| {
        let (x, value, second) =
            (args[arg["index"].as_u64().unwrap() as usize], arg["value"].as_u64().unwrap(), arg["valueTwo"].as_u64());
        match arg["op"].as_str().unwrap() {
            "SCMP_CMP_NE" => x != value,
            "SCMP_CMP_LT" => x < value,
            "SCMP_CMP_LE" => x <= value,
            "SCMP_CMP_EQ" => x == value,
            "SCMP_CMP_GE" => x >= value,
            "SCMP_CMP_GT" => x > value,
            _ => x & value == second.unwrap(),
        }
    };
    let mut told = Vec::new();
    for (_, rule) in rules(profile).into_iter().filter(|(other, _)| *other == name) {
        let none = Vec::new();
        let all = rule["args"].as_array().unwrap_or(&none);
        // A mask of nothing is no condition.
        let real = all.iter().any(|arg| !(arg["op"] == "SCMP_CMP_MASKED_EQ" && arg["value"] == 0));
        let mut indexes: Vec<_> = all.iter().map(|arg| arg["index"].as_u64()).collect();
        indexes.sort_unstable();
        let repeated = indexes.windows(2).any(|pair| pair[0] == pair[1]);
        let matches = if repeated { all.iter().any(holds) } else { all.iter().all(holds) };
        if matches {
            told.push((real, returns(rule)));
        }
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_says_what_the_profile_says(profile in profile(), args in prop::array::uniform6(any::<u64>()), picks in any::<[prop::sample::Index; 3]>()) {
        let code = ours(&profile);
        let samples = samples(&profile);
        let mut args = args;
        for (slot, pick) in args.iter_mut().zip(picks) {
            *slot = *pick.get(&samples);
        }
        // A repeated argument with an empty mask among its comparisons makes a rule that is both; leave it to the next case.
        let odd = profile["syscalls"].as_array().unwrap().iter().any(|rule| {
            rule["args"].as_array().is_some_and(|all| all.iter().any(|arg| arg["op"] == "SCMP_CMP_MASKED_EQ" && arg["value"] == 0))
        });
        prop_assume!(!odd);
        let numbers = [
            ("read", libc::SYS_read), ("write", libc::SYS_write), ("openat", libc::SYS_openat), ("clone", libc::SYS_clone), ("ioctl", libc::SYS_ioctl),
            ("socket", libc::SYS_socket), ("semop", libc::SYS_semop), ("kill", libc::SYS_kill), ("prctl", libc::SYS_prctl), ("getpid", libc::SYS_getpid),
        ];
        for (name, number) in numbers {
            let told = told(&profile, name, &args);
            if told.is_empty() {
                continue;
            }
            let first = told.iter().find(|(conditional, _)| *conditional).or(told.first()).unwrap();
            let found = run(&code, &Data { arch: X86_64, number: number as u32, args });
            prop_assert_eq!(found, first.1, "{} {:x?}", name, args);
        }
    }
}

#[test]
fn random_profiles_have_libseccomps_verdict_wherever_that_is_one() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut oracle = Oracle::start();
    let mut runner = TestRunner::deterministic();
    let (mut compared, mut calls) = (0, 0_u64);
    while compared < 250 {
        let mut profile = profile().new_tree(&mut runner).unwrap().current();
        // One rule a name: what several mean together, libseccomp and we see differently, and the test above says what we see.
        let mut seen = std::collections::HashSet::new();
        for rule in profile["syscalls"].as_array_mut().unwrap() {
            let small = rule["args"].as_array().is_none_or(|all| {
                all.iter().all(|arg| arg["value"].as_u64().unwrap() <= u64::from(u32::MAX) && arg["value"] != 0)
            });
            let multiplexed = rule["args"].is_array();
            rule["names"].as_array_mut().unwrap().retain(|name| {
                let common = ["socket", "semop", "shmat"].iter().any(|other| name == other);
                small && !(multiplexed && common) && seen.insert(name.to_string())
            });
        }
        profile["syscalls"].as_array_mut().unwrap().retain(|rule| rule["names"] != json!([]));
        let Ok(theirs) = oracle.compile(&profile) else { continue };
        let ours = ours(&profile);
        compared += 1;
        let samples: Vec<u64> = samples(&profile).into_iter().collect();
        for (arch, number) in numbers() {
            for (at, value) in samples.iter().enumerate() {
                // 32-bit architectures, x32 among them, have 32-bit arguments as libseccomp sees it.
                let narrow = arch != X86_64 || number >= X32_BIT;
                let mask = if narrow { u64::from(u32::MAX) } else { u64::MAX };
                let other = |step: usize| samples[(at * step + step) % samples.len()] & mask;
                let data = Data { arch, number, args: [value & mask, other(3), other(7), 0, 0, 0] };
                let (our, their) = (run(&ours, &data), run(&theirs, &data));
                calls += 1;
                // Ours also has runc's rule for what is newer than the profile.
                let newer = our == ENOSYS && profile["defaultAction"] != "SCMP_ACT_ALLOW";
                assert!(newer || killed(our) == killed(their), "{profile}\n{data:x?}: {our:#x}, libseccomp {their:#x}");
            }
        }
    }
    println!("{calls} verdicts compared");
}
