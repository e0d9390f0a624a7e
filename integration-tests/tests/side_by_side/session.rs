//! A run of both sides: an agent of ours, two directories of commands, and what each script leaves.

use std::path::PathBuf;

use tweendeck_integration_tests::agent::Agent;

use crate::fixture::Fixture;
use crate::leftover::Leftovers;
use crate::normalise::{normalise, unique};
use crate::script::{self, Ran};
use crate::side::Side;

/// What a script did on each side that was run.
pub(crate) struct Both {
    pub(crate) lxc: Option<Ran>,
    pub(crate) ours: Option<Ran>,
}

/// Both sides, ready.
pub(crate) struct Session {
    /// Of Debian's LXC, with its commands.
    lxc: Option<(PathBuf, Leftovers)>,
    /// Ours, with its commands.
    ours: Option<(PathBuf, Agent)>,
    _directory: tempfile::TempDir,
}

impl Session {
    /// Starts an agent and makes the commands. `TWEENDECK_SIDE` names one half.
    pub(crate) async fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("tweendeck-side-").tempdir().unwrap();
        let only = std::env::var("TWEENDECK_SIDE").unwrap_or_default();
        assert!(["", "lxc", "ours"].contains(&only.as_str()), "TWEENDECK_SIDE is lxc or ours, not {only}");
        let commands = |side: Side| side.commands(directory.path());
        let lxc = (only != "ours").then(|| (commands(Side::Lxc), Leftovers::look()));
        let ours = match only.as_str() {
            "lxc" => None,
            _ => Some((commands(Side::Ours), Agent::start().await)),
        };
        Self { lxc, ours, _directory: directory }
    }

    /// Whether LXC's half is run.
    pub(crate) fn has_lxc(&self) -> bool {
        self.lxc.is_some()
    }

    /// Runs a script on both sides, one after the other.
    pub(crate) async fn run(&self, number: usize, text: &str) -> Both {
        let mut both = Both { lxc: None, ours: None };
        if let Some((commands, leftovers)) = &self.lxc {
            let name = unique(number, Side::Lxc.letter());
            let fixture = Fixture::new();
            let ran = run(text, &name, &fixture, commands, None);
            leftovers.end(&name, fixture.directory());
            both.lxc = Some(ran);
        }
        if let Some((commands, agent)) = &self.ours {
            let name = unique(number, Side::Ours.letter());
            let fixture = Fixture::new();
            let ran = run(text, &name, &fixture, commands, Some(agent));
            delete_all(agent).await;
            both.ours = Some(ran);
        }
        both
    }
}

fn run(text: &str, name: &str, fixture: &Fixture, commands: &std::path::Path, agent: Option<&Agent>) -> Ran {
    let path = |path: PathBuf| path.display().to_string();
    let mut environment = vec![
        ("PATH", format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", commands.display())),
        ("HOME", "/root".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("N", name.to_owned()),
        ("P", format!("-P {}", fixture.containers().display())),
        ("LXCPATH", path(fixture.containers())),
        ("W", fixture.directory().display().to_string()),
        ("ROOTFS", path(fixture.root())),
        ("BASIC", path(fixture.basic())),
        ("HOST", path(fixture.host())),
    ];
    if let Some(agent) = agent {
        environment.push(("TWEEN_HOST", format!("unix://{}", agent.socket().display())));
    }
    let side = if agent.is_some() { Side::Ours } else { Side::Lxc };
    let ran = script::run(side, text, fixture.directory(), &environment);
    Ran { output: normalise(&ran.output, name, fixture.directory()), ..ran }
}

/// Each script begins with a node that has no containers.
async fn delete_all(agent: &Agent) {
    let api = agent.api().await;
    for container in api.list(&[]).await.unwrap() {
        // One that ends by itself may be gone by now: what is left is looked at below.
        let _ = api.delete(&container.name).await;
    }
    let left: Vec<_> = api.list(&[]).await.unwrap().into_iter().map(|container| container.name).collect();
    assert!(left.is_empty(), "cannot be deleted: {left:?}");
}
