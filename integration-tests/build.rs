//! Compiles the probe of the escape tests: static, because it runs in containers that have nothing else, and a part of the test's own binary, so that
//! the test is one file wherever it runs. It is C because most of it are system calls that no safe crate offers, made wrongly on purpose.

use std::path::PathBuf;
use std::process::Command;

const SOURCES: [&str; 9] =
    ["files.c", "machine.c", "main.c", "mounts.c", "namespaces.c", "network.c", "objects.c", "processes.c", "trace.c"];

#[expect(clippy::expect_used, reason = "a build that cannot go on says so and ends")]
fn main() {
    println!("cargo::rerun-if-changed=escape-probe");
    println!("cargo::rerun-if-env-changed=CC");
    let directory = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("escape-probe");
    let program = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("escape-probe");
    let status = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-std=gnu11", "-O1", "-static", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .args(SOURCES.map(|source| directory.join(source)))
        .status()
        .expect("run cc: it comes with the linker (package gcc, libc6-dev)");
    assert!(status.success(), "the probe of the escape tests does not compile");
}
