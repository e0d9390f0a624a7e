//! LXC's commands: theirs and ours of the same names, with the same configuration.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;

use crate::kind::{Kind, timed};
use crate::ours::Ours;
use crate::peers::{installed, lxc_configuration};
use crate::place::Place;

const SLEEPER: &str = "tweendeck-test-bench-sleeper";

/// The commands of one side, with a container that sleeps.
struct Side {
    directory: PathBuf,
    lxcpath: PathBuf,
    host: Option<String>,
}

impl Side {
    /// LXC's own.
    fn theirs(place: &Place) -> Self {
        let lxcpath = place.on_disk().join("theirs");
        Self { directory: PathBuf::from("/usr/bin"), lxcpath, host: None }
    }

    /// `tween` under their names.
    fn ours(ours: &Ours<'_>, place: &Place) -> Self {
        let directory = place.on_disk().join("links");
        std::fs::create_dir(&directory).unwrap();
        for name in ["lxc-execute", "lxc-start", "lxc-stop", "lxc-info", "lxc-cgroup"] {
            std::os::unix::fs::symlink(tweendeck_integration_tests::tools::binary("tween"), directory.join(name))
                .unwrap();
        }
        let host = Some(format!("unix://{}", ours.agent.socket().display()));
        Self { directory, lxcpath: place.on_disk().join("ours"), host }
    }

    fn command(&self, name: &str, container: &str) -> Command {
        let mut command = Command::new(self.directory.join(name));
        command.args(["-n", container, "-P"]).arg(&self.lxcpath).stdin(Stdio::null()).stdout(Stdio::null());
        if let Some(host) = &self.host {
            command.env("TWEEN_HOST", host);
        }
        command
    }

    /// With a container that sleeps until this is dropped.
    fn with_sleeper(self, configuration: &Path) -> Self {
        std::fs::create_dir_all(&self.lxcpath).unwrap();
        let mut start = self.command("lxc-start", SLEEPER);
        start.arg("-f").arg(configuration).args(["--", "/bin/sleep", "1000"]);
        assert!(start.status().unwrap().success());
        self
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.command("lxc-stop", SLEEPER).arg("-k").status();
    }
}

/// Each command of both sides.
pub(crate) fn kinds<'a>(ours: &Ours<'_>, place: &'a Place) -> Vec<Kind<'a>> {
    if !installed("lxc-execute") {
        return Vec::new();
    }
    let configuration = lxc_configuration(place);
    let (theirs, ours) = (Side::theirs(place), Side::ours(ours, place));
    let theirs = Rc::new(theirs.with_sleeper(&configuration));
    let ours = Rc::new(ours.with_sleeper(&configuration));
    let mut kinds = Vec::new();
    let sides = [
        (theirs, ["lxc-execute", "lxc-info", "lxc-cgroup"], "LXC's"),
        (ours, ["our-lxc-execute", "our-lxc-info", "our-lxc-cgroup"], "ours,"),
    ];
    for (side, [execute, info, cgroup], whose) in sides {
        let (side, configuration) = (side.clone(), configuration.clone());
        let run = {
            let side = side.clone();
            move |_| {
                time(
                    side.command("lxc-execute", "tweendeck-test-bench-front")
                        .arg("-f")
                        .arg(&configuration)
                        .args(["--", "/bin/true"]),
                )
            }
        };
        kinds.push(Kind::new(execute, format!("{whose} lxc-execute /bin/true"), run));
        let run = {
            let side = side.clone();
            move |_| time(side.command("lxc-info", SLEEPER).arg("-sH"))
        };
        kinds.push(Kind::new(info, format!("{whose} lxc-info -sH"), run));
        let run = move |_| time(side.command("lxc-cgroup", SLEEPER).arg("pids.max"));
        kinds.push(Kind::new(cgroup, format!("{whose} lxc-cgroup pids.max"), run));
    }
    kinds
}

fn time(command: &mut Command) -> std::time::Duration {
    timed(|| assert!(command.status().unwrap().success()))
}
