//! `lxc-snapshot`: what a container has written, kept beside it.
//!
//! A snapshot is `<lxcpath>/<name>/snaps/snapK` with `config`, `rootfs`, `ts` and perhaps `comment`, as LXC has it. It is made aside and renamed, so that one that is listed is whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tweendeck_lxc::command::{Snapshot, SnapshotAction};
use tweendeck_lxc::config::Config;

use super::context::{Context, is_active};
use super::definition::annotate;
use super::roots::{Root, is_own};
use super::trouble::Trouble;
use super::{copy, create, trees};
use crate::exit;
use crate::output::moment;
use tweendeck_lxc::translate::Purpose;

/// Who depends on a container's root, a line each.
const DEPENDENTS: &str = "lxc_snapshots";

pub(super) async fn run(snapshot: Snapshot, context: &mut Context) -> Result<u8, Trouble> {
    let name = &snapshot.name;
    if !context.is_local() {
        return Err(Trouble::said("snapshots are directories of the node: run lxc-snapshot there"));
    }
    let definition = context.definition(name).await?;
    let config = definition.stored.clone().ok_or_else(|| Trouble::said(format!("{name} doesn't exist")))?;
    if let SnapshotAction::List { comments } = snapshot.action {
        list(name, comments, context)?;
        return Ok(exit::OK);
    }
    if definition.container.as_ref().is_some_and(is_active) {
        return Err(Trouble::said("it is running: stop it first, so that the snapshot is of one moment"));
    }
    match snapshot.action {
        SnapshotAction::Take { comment } => take(name, &config, comment.as_deref(), context).await?,
        SnapshotAction::List { .. } => {}
        SnapshotAction::Restore { snapshot, name: Some(new) } => {
            let from = snapshot_directory(name, &snapshot, context)?;
            copy::clone_from(name, &from.join("config"), &new, context).await?;
        }
        SnapshotAction::Restore { snapshot, name: None } => restore(name, &snapshot, context).await?,
        SnapshotAction::Destroy { snapshot } => {
            let doomed = match snapshot.as_str() {
                "ALL" => all(&context.directory(name)?)?,
                one => vec![snapshot_directory(name, one, context)?],
            };
            doomed.iter().try_for_each(|directory| trees::remove(directory))?;
        }
    }
    Ok(exit::OK)
}

/// All snapshots, in the order of their numbers.
fn all(directory: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let snaps = directory.join("snaps");
    let entries = match fs::read_dir(&snaps) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Trouble::said(format!("{}: {error}", snaps.display()))),
    };
    let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("snap")?.parse::<u32>().ok();
    let mut found: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter_map(|path| Some((number(&path)?, path))).collect();
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn snapshot_directory(name: &str, snapshot: &str, context: &Context) -> Result<PathBuf, Trouble> {
    let found = all(&context.directory(name)?)?;
    found
        .into_iter()
        .find(|path| path.file_name().is_some_and(|found| found == snapshot))
        .ok_or_else(|| Trouble::said(format!("there is no snapshot {snapshot:?}; lxc-snapshot -L lists them")))
}

fn list(name: &str, comments: bool, context: &mut Context) -> Result<(), Trouble> {
    let found = all(&context.directory(name)?)?;
    if found.is_empty() {
        return Ok(context.out.line("No snapshots")?);
    }
    for path in found {
        let snapshot = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let snaps = path.parent().unwrap_or(&path).display().to_string();
        let read = |file: &str| fs::read_to_string(path.join(file)).unwrap_or_default();
        context.out.line(format!("{snapshot} ({snaps}) {}", read("ts").trim()))?;
        if comments {
            context.out.raw(read("comment").as_bytes())?;
        }
    }
    Ok(())
}

async fn take(name: &str, config: &Config, comment: Option<&str>, context: &Context) -> Result<(), Trouble> {
    let directory = context.directory(name)?;
    let root = Root::of(config)?;
    let written = root.written().ok_or_else(|| {
        Trouble::said("it has the node's own root, and what it writes is gone when it stops: there is nothing to keep")
    })?;
    let last = all(&directory)?.pop();
    let next = last.and_then(|path| path.file_name()?.to_str()?.strip_prefix("snap")?.parse::<u32>().ok());
    let snapshot = format!("snap{}", next.map_or(0, |last| last.saturating_add(1)));
    let target = directory.join("snaps").join(&snapshot);
    let aside = directory.join("snaps").join("new");
    trees::remove(&aside)?;
    let failed = |error: std::io::Error| Trouble::said(format!("make {}: {error}", aside.display()));
    fs::create_dir_all(&aside).map_err(failed)?;
    let made = async {
        trees::copy(written, &aside.join("rootfs")).await?;
        let mut kept = config.clone();
        if let Some(value) = root.value_at(&target.join("rootfs")) {
            super::templates::say(&mut kept, "lxc.rootfs.path", &value)?;
        }
        create::write(&aside.join("config"), &kept.text()).map_err(failed)?;
        fs::write(aside.join("ts"), now()).map_err(failed)?;
        if let Some(file) = comment {
            fs::copy(file, aside.join("comment")).map_err(|error| Trouble::said(format!("{file}: {error}")))?;
        }
        fs::rename(&aside, &target).map_err(failed)
    };
    let made = made.await;
    if made.is_err() {
        trees::remove(&aside)?;
    }
    made
}

/// `2026:11:30 13:00:00`, as LXC writes it; UTC here.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = prost_types::Timestamp { seconds: i64::try_from(since.as_secs()).unwrap_or_default(), nanos: 0 };
    let text = moment(Some(&time));
    let (date, clock) = text.split_once('T').unwrap_or((&text, ""));
    format!("{} {}", date.replace('-', ":"), clock.trim_end_matches('Z'))
}

/// Puts what was kept in the place of what is there.
async fn restore(name: &str, snapshot: &str, context: &Context) -> Result<(), Trouble> {
    let directory = context.directory(name)?;
    let from = snapshot_directory(name, snapshot, context)?;
    let kept = Config::read(&super::definition::Files, &from.join("config").display().to_string())?;
    let definition = context.definition(name).await?;
    let current = definition.stored.as_ref().map(Root::of).transpose()?;
    let written = current.as_ref().and_then(Root::written).map(Path::to_owned);
    let written = written.filter(|written| is_own(&directory, written)).unwrap_or_else(|| directory.join("rootfs"));
    let aside = written.with_extension("restored");
    trees::copy(&from.join("rootfs"), &aside).await?;
    let mut config = kept;
    if let Some(value) = Root::of(&config)?.value_at(&written) {
        super::templates::say(&mut config, "lxc.rootfs.path", &value)?;
    }
    let translated = context.translated(name, &config, Purpose::Create, false).await?;
    let old = written.with_extension("old");
    trees::remove(&old)?;
    let failed = |error: std::io::Error| Trouble::said(format!("exchange {}: {error}", written.display()));
    if written.exists() {
        fs::rename(&written, &old).map_err(failed)?;
    }
    fs::rename(&aside, &written).map_err(failed)?;
    create::write(&directory.join("config"), &config.text()).map_err(failed)?;
    trees::remove(&old)?;
    let mut spec = translated.spec;
    annotate(&mut spec, &config);
    context.establish(name, definition.container.as_ref(), spec).await.map(drop)
}

/// Whether a container's directory may be removed: others may stand on it, and snapshots are not thrown away by the way.
pub(super) fn may_go(directory: &Path, with_snapshots: bool) -> Result<(), Trouble> {
    let dependents = dependents(directory);
    if !dependents.is_empty() {
        return Err(Trouble::said(format!("it has clones that stand on its root: {}", dependents.join(", "))));
    }
    if !with_snapshots && !all(directory)?.is_empty() {
        return Err(Trouble::said("it has snapshots: -s destroys them, too"));
    }
    Ok(())
}

/// Names of the clones that stand on a container's root and are still there.
pub(super) fn dependents(directory: &Path) -> Vec<String> {
    let text = fs::read_to_string(directory.join(DEPENDENTS)).unwrap_or_default();
    let lxcpath = directory.parent().unwrap_or(directory);
    text.lines()
        .filter(|name| !name.is_empty() && lxcpath.join(name).join("config").exists())
        .map(ToOwned::to_owned)
        .collect()
}

/// Notes that a clone stands on a container's root.
pub(super) fn depends(directory: &Path, clone: &str) -> Result<(), Trouble> {
    let mut names = dependents(directory);
    names.push(clone.to_owned());
    names.sort();
    names.dedup();
    let text: String = names.iter().map(|name| format!("{name}\n")).collect();
    create::write(&directory.join(DEPENDENTS), &text)
        .map_err(|error| Trouble::said(format!("note that {clone} stands on it: {error}")))
}

/// What is left of a failed copy.
pub(super) fn give_up(directory: &Path) {
    // Nothing of it was there before; what cannot be removed is told by the next attempt.
    let _ = trees::remove(directory);
}
