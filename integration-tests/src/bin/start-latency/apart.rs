//! Commands that see no unified hierarchy: crun and LXC refuse or misread a hybrid host.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::kind::timed;

/// Runs a command that must succeed, silently.
pub(crate) fn quiet(command: &mut Command) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).status();
    let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

/// A thread in a mount namespace of its own, where a tmpfs lies over the unified hierarchy of a hybrid host. What it spawns
/// is there too, without a shell or an `unshare` of its own that would be measured with it.
pub(crate) struct Apart {
    commands: Sender<Command>,
    times: Receiver<Duration>,
}

impl Apart {
    pub(crate) fn new() -> Self {
        let (commands, to_run) = channel::<Command>();
        let (taken, times) = channel();
        std::thread::spawn(move || {
            hide_unified();
            for mut command in to_run {
                if taken.send(timed(|| quiet(&mut command))).is_err() {
                    return;
                }
            }
        });
        Self { commands, times }
    }

    /// How long it takes from the spawn to the end.
    pub(crate) fn time(&self, command: Command) -> Duration {
        self.commands.send(command).unwrap();
        self.times.recv().expect("the command succeeds")
    }
}

fn hide_unified() {
    const NONE: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    // Nothing that is mounted here is mounted for others.
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).unwrap();
    let unified = Path::new("/sys/fs/cgroup/unified");
    if unified.exists() {
        mount(Some("tmpfs"), unified, Some("tmpfs"), MsFlags::empty(), NONE).unwrap();
    }
}
