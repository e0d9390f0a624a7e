//! The least: what the kernel takes, whoever asks.

use std::path::PathBuf;
use std::process::Command;

use tweendeck_integration_tests::tools;
use tweendeck_runtime::cgroup::{Controller, Home};

use crate::apart::quiet;
use crate::kind::{Kind, timed};
use crate::place::Place;

/// What a process costs.
pub(crate) fn spawn() -> Kind<'static> {
    Kind::new("spawn", "a process: posix_spawn and wait of /bin/true", |_| {
        timed(|| quiet(&mut Command::new("/bin/true")))
    })
}

/// What a container costs: `runtime/examples/launch-floor.rs`.
pub(crate) fn container(place: &Place) -> Kind<'static> {
    let (program, root) = (program(), place.root());
    let home = |controller| place.hierarchies.home(controller).expect("memory, cpu and pids controllers are mounted");
    let homes = [Controller::Memory, Controller::Cpu, Controller::Pids].map(home);
    let directory = |mount: &PathBuf| mount.join(place.cgroup("floor"));
    let cgroups: Vec<PathBuf> = match &homes {
        [Home::V2(mount), Home::V2(_), Home::V2(_)] => vec![directory(mount)],
        homes => homes.iter().map(|(Home::V1(mount) | Home::V2(mount))| directory(mount)).collect(),
    };
    Kind::new("floor", "the floor: clone3, namespaces, cgroups, pivot, exec", move |_| {
        timed(|| quiet(Command::new(&program).arg(&root).args(&cgroups)))
    })
}

fn program() -> PathBuf {
    let builds = std::fs::read_dir(tools::target().join("static")).into_iter().flatten().flatten();
    let built = builds.map(|entry| entry.path().join("static/examples/launch-floor")).find(|path| path.exists());
    built.expect("the static launch-floor is missing: run scripts/bench")
}
