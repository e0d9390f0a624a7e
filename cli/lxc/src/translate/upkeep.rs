//! What is said about LXC's own workings, about start-up together with others, and about the machine.

use super::Autostart;
use super::verdict::{Verdict, Work, honoured, noted, refused};

/// Names of machines, and whose they are (`uname -m`).
const MACHINES: [(&str, &[&str]); 2] =
    [("x86_64", &["x86_64", "amd64", "linux64"]), ("aarch64", &["aarch64", "arm64", "armv8l", "armv8b"])];

/// The keys `lxc.start.*`, `lxc.group`, `lxc.ephemeral`, `lxc.log.*`, `lxc.monitor.*`, `lxc.cgroup.dir*`, `lxc.arch`, `lxc.include`.
pub(super) fn apply(work: &mut Work<'_>) {
    autostart(work);
    work.take("lxc.ephemeral", |work, value| {
        let ephemeral = flag(value)?;
        work.spec.ephemeral = ephemeral;
        work.extras.ephemeral = ephemeral;
        honoured("ephemeral; a root that it was given stays")
    });
    work.take("lxc.arch", architecture);
    work.note(&["lxc.include"], "what it names was read in its place");
    work.note(
        &["lxc.log.level", "lxc.log.file", "lxc.log.syslog"],
        "LXC's own log; the agent has one, and the container's output is by lxc-console and tween logs",
    );
    work.note(&["lxc.monitor.unshare"], "the process that keeps a container makes no mounts that others see");
    work.note(
        &["lxc.monitor.signal.pdeath"],
        "a container is killed with the process that keeps it, and outlives the agent, whatever is said",
    );
    let text = "the node chooses where containers' cgroups are (cgroup in the agent's configuration)";
    for key in ["dir", "dir.monitor", "dir.monitor.pivot", "dir.container", "dir.container.inner", "relative"] {
        work.note(&[&format!("lxc.cgroup.{key}")], text);
    }
}

fn flag(value: &str) -> Result<bool, String> {
    match value {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(format!("{value:?} must be 0 or 1")),
    }
}

fn autostart(work: &mut Work<'_>) {
    let mut found = Autostart::default();
    work.take("lxc.start.auto", |_, value| {
        found.auto = flag(value)?;
        honoured("for lxc-autostart")
    });
    work.take("lxc.start.delay", |_, value| {
        found.delay_seconds = value.parse().map_err(|_| format!("{value:?} must be a count of seconds"))?;
        honoured("for lxc-autostart")
    });
    work.take("lxc.start.order", |_, value| {
        found.order = value.parse().map_err(|_| format!("{value:?} must be a whole number"))?;
        honoured("for lxc-autostart")
    });
    work.each("lxc.group", |_, value| {
        found.groups.extend(value.split_whitespace().map(str::to_owned));
        honoured("for lxc-autostart and lxc-ls")
    });
    work.extras.autostart = found;
}

/// A 32-bit personality would only change what uname(2) says.
fn architecture(work: &mut Work<'_>, value: &str) -> Verdict {
    let node = work.node.machine();
    let known = MACHINES.iter().find(|(name, _)| *name == node).map_or(&[][..], |(_, names)| names);
    if value == node || known.contains(&value) {
        return noted(format!("this node is one ({node})"));
    }
    refused(format!(
        "{value:?} is not what this node is ({node}); programs of another kind run without it where the kernel can, so leave it out"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::Node;
    use super::super::tests::{fate, on, start, why};
    use super::*;

    #[test]
    fn who_starts_with_others_is_told_beside_the_specification() {
        let taken = start(
            &[
                ("lxc.start.auto", "1"),
                ("lxc.start.delay", "5"),
                ("lxc.start.order", "-3"),
                ("lxc.group", "onboot web"),
                ("lxc.group", "db"),
                ("lxc.ephemeral", "1"),
            ],
            &[],
        )
        .unwrap();
        let groups = vec!["onboot".into(), "web".into(), "db".into()];
        assert_eq!(taken.extras.autostart, Autostart { auto: true, delay_seconds: 5, order: -3, groups });
        assert!(taken.extras.ephemeral && taken.spec.ephemeral);
        for (key, value) in [("start.auto", "2"), ("start.delay", "-1"), ("start.order", "x"), ("ephemeral", "yes")] {
            why(&[(&format!("lxc.{key}"), value)]);
        }
    }

    #[test]
    fn the_machine_must_be_the_nodes() {
        let node = |architecture: &str| Node { architecture: architecture.into(), ..Node::default() };
        for (machine, value, fits) in [
            ("x86_64", "amd64", true),
            ("x86_64", "linux64", true),
            ("x86_64", "i686", false),
            ("x86_64", "arm64", false),
            ("aarch64", "arm64", true),
            ("riscv64", "riscv64", true),
        ] {
            assert_eq!(on(&node(machine), &[("lxc.arch", value)]).is_ok(), fits, "{machine} {value}");
        }
        assert!(fate(&[("lxc.arch", std::env::consts::ARCH)]).starts_with("Noted"));
    }
}
