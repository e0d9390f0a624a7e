//! Programs around a container's life: `lxc.hook.*`.
//!
//! The node runs those before a start and after an end, from a directory of its own only. What is run on `lxc-start`, `lxc-copy` and `lxc-destroy` by LXC itself is run by
//! the command of that name here too. What LXC runs while it builds the container has no place in which it could run.

use std::collections::BTreeMap;
use std::path::Path;

use prost_types::Duration;
use tweendeck_proto::v1::{Hook, Hooks};

use super::Run;
use super::paths::{absolute, words};
use super::verdict::{Work, honoured, refused};

const VERSION: &str = "lxc.hook.version";
/// How long one may take, seconds; LXC waits for ever.
const TIMEOUT: i64 = 60;
/// Most of each kind.
const MOST: usize = 8;
/// What a shell would do more with than take it apart.
const SHELL: [char; 12] = [';', '|', '&', '$', '<', '>', '`', '(', ')', '*', '?', '\n'];

/// The keys `lxc.hook.*`.
pub(super) fn apply(work: &mut Work<'_>) {
    let mut by_environment = false;
    work.take(VERSION, |_, value| match value {
        "0" => honoured("hooks get name, section and kind as arguments"),
        "1" => {
            by_environment = true;
            honoured("hooks get section and kind in their environment")
        }
        _ => refused("must be 0 or 1"),
    });
    let mut hooks = Hooks::default();
    for (kind, list) in [("pre-start", &mut hooks.pre_start), ("post-stop", &mut hooks.post_stop)] {
        work.each(&format!("lxc.hook.{kind}"), |work, value| {
            if list.len() >= MOST {
                return refused(format!("is the hook after the {MOST}th, which is the last of a kind"));
            }
            list.push(of_the_node(work, run(work, value, kind, by_environment)?)?);
            honoured(format!("hooks, before a start or after an end; killed after {TIMEOUT} s"))
        });
    }
    work.spec.hooks = Some(hooks).filter(|hooks| *hooks != Hooks::default());
    for kind in ["start-host", "clone", "destroy"] {
        work.each(&format!("lxc.hook.{kind}"), |work, value| {
            let run = run(work, value, kind, by_environment)?;
            let (list, who) = match kind {
                "start-host" => (&mut work.extras.start_host, "lxc-start and lxc-execute"),
                "clone" => (&mut work.extras.clone, "lxc-copy"),
                _ => (&mut work.extras.destroy, "lxc-destroy"),
            };
            list.push(run);
            honoured(format!("run by {who}"))
        });
    }
    inside(work);
}

fn inside(work: &mut Work<'_>) {
    let mounts = "mounts are made by descriptors, and nothing of the caller's runs among them; use lxc.mount.entry, or lxc.hook.pre-start";
    for (kind, why) in [
        ("pre-mount", mounts),
        ("mount", mounts),
        (
            "autodev",
            "the container's /dev is made before anything of the caller's runs; name devices by lxc.mount.entry = /dev/X dev/X none bind,create=file",
        ),
        ("start", "nothing runs in a container before its command; let lxc.init.cmd run both"),
        ("stop", "the container's namespaces are gone when its end is known; use lxc.hook.post-stop"),
    ] {
        work.each(&format!("lxc.hook.{kind}"), |_, _| refused(why));
    }
}

/// A hook's command, its arguments and environment as LXC gives them.
fn run(work: &Work<'_>, value: &str, kind: &str, by_environment: bool) -> Result<Run, String> {
    let mut command = words(value)?;
    let Some(program) = command.first() else {
        return Err("must name a program".to_owned());
    };
    absolute(program)?;
    if value.contains(SHELL) {
        return Err(format!("{value:?} is a line for a shell, and none is asked; write a script, and name that"));
    }
    let name = work.node.name.as_str();
    let mut env: BTreeMap<String, String> = BTreeMap::new();
    let mut put = |name: &str, value: &str| env.insert(name.to_owned(), value.to_owned());
    put("LXC_NAME", name);
    put("LXC_CGNS_AWARE", "1");
    put("LXC_HOOK_VERSION", if by_environment { "1" } else { "0" });
    put("LXC_LOG_LEVEL", work.config.one("lxc.log.level").map_or("ERROR", |item| item.value.as_str()));
    for (variable, key) in [("LXC_ROOTFS_PATH", "lxc.rootfs.path"), ("LXC_CONSOLE_LOGPATH", "lxc.console.logfile")] {
        if let Some(item) = work.config.one(key) {
            put(variable, &item.value);
        }
    }
    if let Some(file) = &work.node.config_file {
        put("LXC_CONFIG_FILE", file);
    }
    // A directory is the root itself, and mounted nowhere else that a hook could see.
    if let Some(root) = work.roots.first() {
        put("LXC_ROOTFS_MOUNT", root);
    }
    if kind == "post-stop" {
        put("LXC_TARGET", "stop");
    }
    if by_environment {
        put("LXC_HOOK_TYPE", kind);
        put("LXC_HOOK_SECTION", "lxc");
    } else {
        command.extend([name, "lxc", kind].map(str::to_owned));
    }
    Ok(Run { command, env })
}

/// A hook that the node runs: by its name in the node's directory.
fn of_the_node(work: &Work<'_>, run: Run) -> Result<Hook, String> {
    let mut command = run.command.into_iter();
    let path = command.next().unwrap_or_default();
    let Some(directory) = &work.node.hooks else {
        return Err("this node runs no hooks; its administrator would have to set hooks.directory".to_owned());
    };
    let file = Path::new(&path);
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let named = name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.len() <= 63
        && name.bytes().all(plain);
    if file.parent() != Some(Path::new(directory)) {
        return Err(format!("{path:?} is not in {directory}, hooks.directory of the node; put it there"));
    }
    if !named {
        return Err(format!("{name:?} must be a letter or digit, then up to 62 of A-Z a-z 0-9 _ . -"));
    }
    let timeout = Some(Duration { seconds: TIMEOUT, nanos: 0 });
    Ok(Hook { program: name.to_owned(), arguments: command.collect(), timeout, env: run.env })
}

#[cfg(test)]
mod tests {
    use super::super::Node;
    use super::super::tests::{on, start, why};
    use super::*;

    fn node() -> Node {
        let config_file = Some("/var/lib/lxc/web/config".into());
        Node { hooks: Some("/etc/hooks/".into()), name: "web".into(), config_file, ..Node::default() }
    }

    #[test]
    fn the_node_runs_those_of_its_directory_as_lxc_would() {
        let items = [
            ("lxc.rootfs.path", "dir:/srv/web"),
            ("lxc.hook.pre-start", "/etc/hooks/first -v 'a b'"),
            ("lxc.hook.pre-start", "/etc/hooks/second"),
            ("lxc.hook.post-stop", "/etc/hooks/last"),
        ];
        let hooks = on(&node(), &items).unwrap().spec.hooks.unwrap();
        let programs: Vec<&str> = hooks.pre_start.iter().map(|hook| hook.program.as_str()).collect();
        assert_eq!(programs, ["first", "second"]);
        assert_eq!(hooks.pre_start[0].arguments, ["-v", "a b", "web", "lxc", "pre-start"]);
        assert_eq!(hooks.pre_start[0].timeout.unwrap().seconds, 60);
        let env = &hooks.post_stop[0].env;
        let get = |name: &str| env.get(name).map(String::as_str);
        assert_eq!(get("LXC_NAME"), Some("web"));
        assert_eq!(get("LXC_ROOTFS_PATH"), Some("dir:/srv/web"));
        assert_eq!(get("LXC_ROOTFS_MOUNT"), Some("/srv/web"));
        assert_eq!(get("LXC_CONFIG_FILE"), Some("/var/lib/lxc/web/config"));
        assert_eq!(get("LXC_TARGET"), Some("stop"));
        assert_eq!((get("LXC_HOOK_TYPE"), get("LXC_HOOK_VERSION")), (None, Some("0")));
    }

    #[test]
    fn the_second_version_tells_by_environment() {
        let items = [("lxc.hook.post-stop", "/etc/hooks/last x"), (VERSION, "1")];
        let hooks = on(&node(), &items).unwrap().spec.hooks.unwrap();
        assert_eq!(hooks.post_stop[0].arguments, ["x"]);
        assert_eq!(hooks.post_stop[0].env["LXC_HOOK_TYPE"], "post-stop");
        assert_eq!(hooks.post_stop[0].env["LXC_HOOK_SECTION"], "lxc");
        assert!(why(&[(VERSION, "2")]).contains("0 or 1"));
    }

    #[test]
    fn what_the_command_runs_itself_is_told_beside() {
        let clone = "/usr/share/lxc/hooks/clonehostname";
        let items = [("lxc.hook.clone", clone), ("lxc.hook.start-host", "/a"), ("lxc.hook.destroy", "/b c")];
        let extras = on(&node(), &items).unwrap().extras;
        assert_eq!(extras.clone[0].command, [clone, "web", "lxc", "clone"]);
        assert_eq!(extras.start_host[0].command[0], "/a");
        assert_eq!(extras.destroy[0].command, ["/b", "c", "web", "lxc", "destroy"]);
    }

    #[test]
    fn what_has_no_place_is_refused() {
        for kind in ["pre-mount", "mount", "autodev", "start", "stop"] {
            why(&[(&format!("lxc.hook.{kind}"), "/etc/hooks/a")]);
        }
        assert!(why(&[("lxc.hook.pre-start", "/etc/hooks/a")]).contains("hooks.directory"));
        for value in ["/elsewhere/a", "/etc/hooks/b/a", "a", "", "/etc/hooks/../a", "/etc/hooks/a; b", "/etc/hooks/.a"]
        {
            let refused = on(&node(), &[("lxc.hook.pre-start", value)]);
            assert_eq!(refused.unwrap_err().len(), 1, "{value}");
        }
        let many = vec![("lxc.hook.pre-start", "/etc/hooks/a"); 9];
        assert_eq!(on(&node(), &many).unwrap_err().len(), 1);
        assert!(start(&[("lxc.hook.clone", "/a $HOME")], &[]).is_err());
    }
}
