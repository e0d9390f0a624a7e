//! Compiles the probe of the escape tests and the loads of the limits and logs tests: static, because they run in containers that have nothing else, and a part of
//! the test's own binary, so that the test is one file wherever it runs. They are C because most of it are system calls that no safe crate offers, made
//! wrongly on purpose. And the library that stands between the agent and libc in the crash matrix, which says itself why it is C.

use std::path::PathBuf;
use std::process::Command;

const PROBE: [&str; 9] =
    ["files.c", "machine.c", "main.c", "mounts.c", "namespaces.c", "network.c", "objects.c", "processes.c", "trace.c"];
const LOAD: [&str; 1] = ["main.c"];
const FAULT: [&str; 1] = ["fault.c"];

fn main() {
    println!("cargo::rerun-if-env-changed=CC");
    compile("escape-probe", &PROBE, &["-static"]);
    compile("limits-load", &LOAD, &["-static"]);
    compile("log-load", &LOAD, &["-static"]);
    compile("fault", &FAULT, &["-shared", "-fPIC"]);
}

/// Makes a program, or a library, of sources in the folder of its name.
#[expect(clippy::expect_used, reason = "a build that cannot go on says so and ends")]
fn compile(name: &str, sources: &[&str], kind: &[&str]) {
    println!("cargo::rerun-if-changed={name}");
    let directory = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join(name);
    let program = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join(name);
    let status = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"])
        .args(kind)
        .arg("-o")
        .arg(&program)
        .args(sources.iter().map(|source| directory.join(source)))
        .status()
        .expect("run cc: it comes with the linker (package gcc, libc6-dev)");
    assert!(status.success(), "{name} does not compile");
}
