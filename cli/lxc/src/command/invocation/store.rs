//! Commands about what is stored, and about the installation.

use super::super::options::Line;
use super::super::values::{self, shown};
use super::super::{Command, Copy, Snapshot, SnapshotAction};
use super::{name, word, words};

/// `lxc-copy`.
pub(in super::super) fn copy(line: &mut Line) -> Result<Command, String> {
    // Asked before -d and -F are joined.
    let daemon = line.given("daemon");
    let asked = Copy {
        name: name(line),
        new_name: line.text("newname")?,
        new_path: line.text("newpath")?,
        backing: line.text("backingstorage")?,
        snapshot: line.flag("snapshot"),
        rename: line.flag("rename"),
        ephemeral: line.flag("ephemeral"),
        keep_data: line.flag("keepdata"),
        foreground: line.second("daemon", "foreground"),
        keep_mac: line.flag("keepmac"),
        keep_name: line.flag("keepname"),
        allow_running: line.flag("allowrunning"),
        tmpfs: line.flag("tmpfs"),
        mounts: line.each("mount", values::mount)?,
        config: line.text("config")?,
        command: words(line),
    };
    check(&asked, daemon)?;
    Ok(Command::Copy(asked))
}

fn check(asked: &Copy, daemon: bool) -> Result<(), String> {
    if asked.new_name.is_none() && !asked.ephemeral {
        return Err("-N: the new name is missing; only -e makes one up".to_owned());
    }
    let others = [
        ("-e", asked.ephemeral),
        ("-s", asked.snapshot),
        ("-B", asked.backing.is_some()),
        ("-f", asked.config.is_some()),
        ("-K", asked.keep_name),
        ("-M", asked.keep_mac),
        ("-p", asked.new_path.is_some()),
    ];
    if let Some((other, _)) = others.iter().find(|(_, given)| asked.rename && *given) {
        return Err(format!("-R: it only renames, so {other} cannot be with it; leave one out"));
    }
    let running = [
        ("-D", asked.keep_data),
        ("-t", asked.tmpfs),
        ("-F", asked.foreground),
        ("-d", daemon),
        ("-m", !asked.mounts.is_empty()),
    ];
    if let Some((option, _)) = running.iter().find(|(_, given)| !asked.ephemeral && *given) {
        return Err(format!("{option}: it is about a copy that is started; add -e, or leave it out"));
    }
    match asked.command.first() {
        Some(word) if !asked.ephemeral => {
            Err(format!("{}: only a copy that is started (-e) has a command; clone hooks get no words", shown(word)))
        }
        Some(_) | None => Ok(()),
    }
}

/// `lxc-snapshot`.
pub(in super::super) fn snapshot(line: &mut Line) -> Result<Command, String> {
    let (list, comments) = (line.flag("list"), line.flag("showcomments"));
    let (restore, destroy) = (line.text("restore")?, line.text("destroy")?);
    let (comment, new_name) = (line.text("comment")?, line.text("newname")?);
    let asked = [list, restore.is_some(), destroy.is_some(), comment.is_some()];
    if asked.iter().filter(|given| **given).count() > 1 {
        return Err("-L, -c, -r and -d: only one of them".to_owned());
    }
    if comments && !list {
        return Err("-C: it shows comments of a list; add -L".to_owned());
    }
    if new_name.is_some() && restore.is_none() {
        return Err("-N: it names what is restored; add -r SNAPSHOT".to_owned());
    }
    let action = match (restore, destroy) {
        (Some(snapshot), _) => SnapshotAction::Restore { snapshot, name: new_name },
        (None, Some(snapshot)) => SnapshotAction::Destroy { snapshot },
        (None, None) if list => SnapshotAction::List { comments },
        (None, None) => SnapshotAction::Take { comment },
    };
    Ok(Command::Snapshot(Snapshot { name: name(line), action }))
}

/// `lxc-config`.
pub(in super::super) fn config(line: &mut Line) -> Result<Command, String> {
    let (list, item) = (line.flag("list"), words(line).pop());
    match (list, &item) {
        (true, Some(item)) => Err(format!("{}: -l lists all items; leave one out", shown(item))),
        (false, None) => Err("a word is missing: ITEM; -l lists all items".to_owned()),
        (true, None) | (false, Some(_)) => Ok(Command::Config { list, item }),
    }
}

/// `lxc-update-config`.
pub(in super::super) fn update_config(line: &mut Line) -> Result<Command, String> {
    let file = line.text("config")?.ok_or("-c: the file is missing")?;
    Ok(Command::UpdateConfig { file })
}

/// `lxc-checkconfig`: whatever is on its line.
pub(in super::super) fn checkconfig(line: &mut Line) -> Result<Command, String> {
    line.words.clear();
    Ok(Command::CheckConfig)
}

/// `lxc-version`.
#[expect(clippy::unnecessary_wraps, reason = "a table's function has one type")]
pub(in super::super) fn version(_: &mut Line) -> Result<Command, String> {
    Ok(Command::Version)
}

/// `tween lxc explain`.
pub(in super::super) fn explain(line: &mut Line) -> Result<Command, String> {
    Ok(Command::Explain { file: word(line, "FILE, a configuration")? })
}

/// `tween lxc import`.
pub(in super::super) fn import(line: &mut Line) -> Result<Command, String> {
    Ok(Command::Import {
        directory: word(line, "DIRECTORY, where LXC's containers are")?,
        names: words(line),
        dry_run: line.flag("dry-run"),
    })
}
