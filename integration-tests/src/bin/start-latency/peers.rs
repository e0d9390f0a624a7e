//! Others that do the same.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;

use tweendeck_runtime::cgroup::Version;

use crate::apart::Apart;
use crate::kind::Kind;
use crate::place::{CPU_MILLIS, MEMORY_BYTES, PIDS, Place};

/// The peers that are installed; says which are not.
pub(crate) fn kinds(place: &Place) -> Vec<Kind<'_>> {
    let apart = Rc::new(Apart::new());
    let mut kinds = Vec::new();
    for (name, what) in [("crun", "crun run"), ("runc", "runc run")] {
        if installed(name) {
            let (bundle, state) = (bundle(place, name), place.in_memory().join(format!("{name}-state")));
            let apart = apart.clone();
            kinds.push(Kind::new(name, what, move |turn| apart.time(oci_run(name, &state, &bundle, turn))));
        }
    }
    if installed("lxc-execute") {
        let configuration = lxc_configuration(place);
        kinds.push(Kind::new("lxc", "lxc-execute", move |_| apart.time(lxc_execute(place, &configuration))));
    }
    kinds
}

pub(crate) fn installed(name: &str) -> bool {
    let found = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        println!("{name} is not installed, so it is not compared with");
    }
    found
}

fn bundle(place: &Place, name: &str) -> PathBuf {
    let bundle = place.on_disk().join(name);
    std::fs::create_dir(&bundle).unwrap();
    std::fs::write(bundle.join("config.json"), place.spec(name).to_string()).unwrap();
    bundle
}

fn oci_run(name: &str, state: &Path, bundle: &Path, turn: usize) -> Command {
    let mut command = Command::new(name);
    command.arg("--root").arg(state).args(["run", "--bundle"]).arg(bundle).arg(format!("tweendeck-test-bench-{turn}"));
    command
}

pub(crate) fn lxc_configuration(place: &Place) -> PathBuf {
    let path = place.on_disk().join("lxc.conf");
    let limits = match place.hierarchies.version() {
        Version::V2 => [
            format!("lxc.cgroup2.memory.max = {MEMORY_BYTES}"),
            format!("lxc.cgroup2.cpu.max = {} 100000", CPU_MILLIS * 100),
            format!("lxc.cgroup2.pids.max = {PIDS}"),
        ],
        Version::V1 | Version::Hybrid => [
            format!("lxc.cgroup.memory.limit_in_bytes = {MEMORY_BYTES}"),
            format!("lxc.cgroup.cpu.cfs_quota_us = {}", CPU_MILLIS * 100),
            format!("lxc.cgroup.pids.max = {PIDS}"),
        ],
    };
    let root = place.root();
    let text = format!(
        "lxc.rootfs.path = dir:{}\nlxc.net.0.type = empty\nlxc.mount.auto = proc:mixed sys:ro\n{}\n",
        root.display(),
        limits.join("\n")
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn lxc_execute(place: &Place, configuration: &Path) -> Command {
    let mut command = Command::new("lxc-execute");
    command.args(["-n", "tweendeck-test-bench", "-P"]).arg(place.on_disk()).arg("-f").arg(configuration);
    command.args(["--", "/bin/true"]);
    command
}
