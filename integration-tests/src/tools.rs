//! Where the binaries and tools are.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The directory of the build.
///
/// # Panics
/// When this is no test binary of cargo's.
#[must_use]
pub fn target() -> PathBuf {
    profile().parent().unwrap().to_owned()
}

/// `target/debug` or its like: a test lies in its `deps`, a binary in itself.
fn profile() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let directory = own.parent().unwrap();
    if directory.ends_with("deps") { directory.parent().unwrap().to_owned() } else { directory.to_owned() }
}

/// A binary of ours.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    found(profile().join(name), "run scripts/build")
}

/// The static `tweendeck-runtime`. Not the one that cargo builds for its own tests.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn runtime() -> PathBuf {
    let named = std::env::var_os("TWEENDECK_RUNTIME_BINARY").map(PathBuf::from);
    let builds = std::fs::read_dir(target().join("static")).into_iter().flatten().flatten();
    let built = || builds.map(|entry| entry.path().join("static/tweendeck-runtime")).find(|path| path.exists());
    named.or_else(built).expect("the static tweendeck-runtime is missing: run scripts/build")
}

/// A tool that scripts/setup installs.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn tool(name: &str) -> PathBuf {
    let tools = std::env::var_os("TWEENDECK_TOOLS")
        .map_or_else(|| target().parent().unwrap().join(".tools/bin"), PathBuf::from);
    found(tools.join(name), "run scripts/setup test")
}

fn found(path: PathBuf, hint: &str) -> PathBuf {
    assert!(path.exists(), "{} is missing: {hint}", path.display());
    path
}

/// Runs a program to its end and gives what it printed.
///
/// # Panics
/// When it cannot be run.
#[must_use]
pub fn output(program: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments);
    command.output().unwrap_or_else(|error| panic!("run {command:?}: {error}"))
}
