//! The two sides: whose commands `lxc-…` are.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tweendeck_integration_tests::tools;

/// The commands that are compared, without their `lxc-`.
pub(crate) const COMMANDS: [&str; 25] = [
    "attach",
    "autostart",
    "cgroup",
    "checkconfig",
    "config",
    "console",
    "copy",
    "create",
    "destroy",
    "device",
    "execute",
    "freeze",
    "info",
    "kill",
    "ls",
    "monitor",
    "ps",
    "snapshot",
    "start",
    "stop",
    "top",
    "unfreeze",
    "update-config",
    "version",
    "wait",
];

/// Whose commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Lxc,
    Ours,
}

impl Side {
    /// A letter for names.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Lxc => 'l',
            Self::Ours => 'o',
        }
    }

    /// Makes the directory of its commands. It comes first in PATH, so that a command that one side lacks is never the other's.
    pub(crate) fn commands(self, parent: &Path) -> PathBuf {
        let directory = parent.join(match self {
            Self::Lxc => "debian",
            Self::Ours => "ours",
        });
        std::fs::create_dir(&directory).unwrap();
        for command in COMMANDS {
            let name = format!("lxc-{command}");
            match self {
                Self::Ours => symlink(tools::binary("tween"), directory.join(name)).unwrap(),
                // What LXC has dropped is not there.
                Self::Lxc => assert!(
                    Path::new("/usr/bin").join(&name).exists() || ["kill", "ps", "version"].contains(&command),
                    "{name} is missing: run scripts/setup test"
                ),
            }
        }
        directory
    }
}
