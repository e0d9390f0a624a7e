//! `lxc-copy`: another container like this one, with a copy of its root or a layer above it.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use tweendeck_lxc::command::Copy;
use tweendeck_lxc::config::Config;
use tweendeck_lxc::translate::Purpose;
use tweendeck_proto::v1::{DeleteContainerRequest, OverlayRootfs, RootFilesystem, root_filesystem};

use super::context::{Context, is_active};
use super::definition::{Definition, Files, annotate, mark};
use super::roots::{Root, is_own};
use super::stay::Onlooker;
use super::templates::say;
use super::trouble::Trouble;
use super::{create, hooks, snapshot, trees};
use crate::exit;

pub(super) async fn run(copy: Copy, context: &mut Context) -> Result<u8, Trouble> {
    refuse(&copy, context)?;
    let definition = context.definition(&copy.name).await?;
    let Some(config) = definition.stored.clone() else {
        return Err(Trouble::said(format!("{} doesn't exist", copy.name)));
    };
    if copy.ephemeral && !copy.keep_data {
        return Box::pin(ephemeral(&copy, &config, context)).await;
    }
    if definition.container.as_ref().is_some_and(is_active) && !(copy.snapshot || copy.ephemeral) {
        return Err(Trouble::said("it is running: stop it first, so that the copy is of one moment"));
    }
    let new = match &copy.new_name {
        Some(new) => new.clone(),
        None if copy.ephemeral => made_up(&copy.name),
        None => return Err(Trouble::said("-N: the copy needs a name")),
    };
    if copy.rename {
        return rename(&copy, &definition, config, &new, context).await;
    }
    Box::pin(duplicate(&copy, &config, &new, context)).await?;
    if copy.ephemeral {
        let container = context.find(&new).await?.ok_or_else(|| Trouble::said("it has gone meanwhile"))?;
        let onlooker = if copy.foreground { Some(Onlooker::before(context, &container).await?) } else { None };
        let started = context.begin(&container).await?;
        context.out.line(format!("Created {new} as clone of {}", copy.name))?;
        if let Some(onlooker) = onlooker {
            onlooker.stay(context, &started).await?;
        }
    }
    Ok(exit::OK)
}

fn refuse(copy: &Copy, context: &Context) -> Result<(), Trouble> {
    if !context.is_local() {
        return Err(Trouble::said("copies are made of directories of the node: run lxc-copy there"));
    }
    if copy.new_path.is_some() {
        return Err(Trouble::said("-p: a node has its containers in one place (-P)"));
    }
    if let Some(backing) = copy.backing.as_deref().filter(|backing| !["dir", "overlay", "overlayfs"].contains(backing))
    {
        return Err(Trouble::said(format!("-B {backing}: copies are directories (dir) or layers (overlay)")));
    }
    if copy.config.is_some() && !copy.ephemeral || copy.keep_data && (copy.config.is_some() || !copy.command.is_empty())
    {
        return Err(Trouble::said("-f and a command are for a copy that goes when it stops (-e without -D)"));
    }
    if !copy.mounts.is_empty() {
        return Err(Trouble::said("-m: name mounts in the configuration (lxc.mount.entry), or with -f"));
    }
    Ok(())
}

/// `NAME_XXXXXX`.
fn made_up(name: &str) -> String {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let name: String = name.chars().take(56).collect();
    format!("{name}_{}", id.chars().take(6).collect::<String>())
}

/// A copy that is kept until it is destroyed.
async fn duplicate(copy: &Copy, config: &Config, new: &str, context: &Context) -> Result<(), Trouble> {
    let layered =
        copy.snapshot || copy.ephemeral || copy.backing.as_deref().is_some_and(|kind| kind.starts_with("overlay"));
    let directory = begin(new, context).await?;
    let made = async {
        let root = Root::of(config)?;
        let mut config = fresh(config, copy, new)?;
        let base = context.directory(&copy.name)?;
        match (&root, layered) {
            (Root::Directory(lower), true) => {
                let upper = directory.join("overlay/delta");
                make(&upper)?;
                say(&mut config, "lxc.rootfs.path", &format!("overlay:{}:{}", lower.display(), upper.display()))?;
                if is_own(&base, lower) {
                    snapshot::depends(&base, new)?;
                }
            }
            (Root::Overlay { lower, .. }, _) => {
                let to = directory.join("overlay/delta");
                make(to.parent().unwrap_or(&directory))?;
                copied(&root, &to, &mut config).await?;
                if let Some(owner) = owner(lower, context) {
                    snapshot::depends(&owner, new)?;
                }
            }
            (Root::Directory(_), false) => copied(&root, &directory.join("rootfs"), &mut config).await?,
            (Root::Shared, _) => {}
        }
        finish(&copy.name, new, &directory, &config, context).await
    };
    let made = Box::pin(made).await;
    if made.is_err() {
        snapshot::give_up(&directory);
    }
    made
}

/// The directory of the container whose root a layer is.
fn owner(lower: &Path, context: &Context) -> Option<PathBuf> {
    let below = lower.strip_prefix(context.lxcpath()).ok()?;
    Some(context.lxcpath().join(below.components().next()?))
}

async fn copied(root: &Root, to: &Path, config: &mut Config) -> Result<(), Trouble> {
    if let Some(written) = root.written() {
        trees::copy(written, to).await?;
        if let Some(value) = root.value_at(to) {
            say(config, "lxc.rootfs.path", &value)?;
        }
    }
    Ok(())
}

/// A copy of what a configuration names, such as a snapshot.
pub(super) async fn clone_from(of: &str, file: &Path, new: &str, context: &Context) -> Result<(), Trouble> {
    let path = file.to_str().ok_or_else(|| Trouble::said(format!("{} is no UTF-8", file.display())))?;
    let config = Config::read(&Files, path)?;
    let directory = begin(new, context).await?;
    let made = async {
        let root = Root::of(&config)?;
        let mut config = fresh(&config, &Copy::default(), new)?;
        copied(&root, &directory.join("rootfs"), &mut config).await?;
        finish(of, new, &directory, &config, context).await
    };
    let made = Box::pin(made).await;
    if made.is_err() {
        snapshot::give_up(&directory);
    }
    made
}

/// The directory of a container that is not there yet.
async fn begin(new: &str, context: &Context) -> Result<PathBuf, Trouble> {
    if !context.definition(new).await?.is_unknown() {
        return Err(Trouble::said(format!("{new}: Container already exists")));
    }
    let directory = context.directory(new)?;
    fs::DirBuilder::new()
        .mode(0o770)
        .create(&directory)
        .map_err(|error| Trouble::said(format!("make {}: {error}", directory.display())))?;
    mark(&directory)?;
    Ok(directory)
}

fn make(directory: &Path) -> Result<(), Trouble> {
    fs::create_dir_all(directory).map_err(|error| Trouble::said(format!("make {}: {error}", directory.display())))
}

/// The same configuration for another container: its own name and addresses, unless they are to stay.
fn fresh(config: &Config, copy: &Copy, new: &str) -> Result<Config, Trouble> {
    let mut fresh = config.clone();
    if !copy.keep_name && config.one("lxc.uts.name").is_some() {
        say(&mut fresh, "lxc.uts.name", new)?;
    }
    if !copy.keep_mac {
        fresh.renew_hwaddr(&mut create::random_byte);
    }
    Ok(fresh)
}

async fn finish(of: &str, new: &str, directory: &Path, config: &Config, context: &Context) -> Result<(), Trouble> {
    let translated = context.translated(new, config, Purpose::Create, false).await?;
    let mut spec = translated.spec;
    annotate(&mut spec, config);
    create::write(&directory.join("config"), &config.text())
        .map_err(|error| Trouble::said(format!("write its configuration: {error}")))?;
    let made = context.establish(new, None, spec).await?;
    let hooked = hooks::run(context, "clone", &translated.extras.clone, &[("LXC_SRC_NAME", of.to_owned())]).await;
    if hooked.is_err() {
        // The copy has failed: the agent forgets it, too.
        let (name, uid) = (new.to_owned(), made.uid);
        context.call(DeleteContainerRequest { name, uid, allow_missing: true, ..Default::default() }).await?;
    }
    hooked
}

/// Another name: the directory is renamed, and the agent knows it by the new name only.
async fn rename(
    copy: &Copy,
    definition: &Definition,
    config: Config,
    new: &str,
    context: &Context,
) -> Result<u8, Trouble> {
    if !context.definition(new).await?.is_unknown() {
        return Err(Trouble::said(format!("{new}: Container already exists")));
    }
    let (old, directory) = (context.directory(&copy.name)?, context.directory(new)?);
    snapshot::may_go(&old, false)?;
    let mut config = fresh(&config, &Copy { keep_mac: true, ..copy.clone() }, new)?;
    let root = Root::of(&config)?;
    if let Some(below) = root.written().and_then(|written| written.strip_prefix(&old).ok())
        && let Some(value) = root.value_at(&directory.join(below))
    {
        say(&mut config, "lxc.rootfs.path", &value)?;
    }
    if let Some(container) = &definition.container {
        let (name, uid) = (copy.name.clone(), container.uid.clone());
        context.call(DeleteContainerRequest { name, uid, ..Default::default() }).await?;
    }
    fs::rename(&old, &directory).map_err(|error| Trouble::said(format!("rename {}: {error}", old.display())))?;
    finish(&copy.name, new, &directory, &config, context).await?;
    Ok(exit::OK)
}

/// A copy that is started at once and gone when it stops: its layer is in memory, and nothing of it is on a disk.
async fn ephemeral(copy: &Copy, config: &Config, context: &mut Context) -> Result<u8, Trouble> {
    let new = copy.new_name.clone().unwrap_or_else(|| made_up(&copy.name));
    if !context.definition(&new).await?.is_unknown() {
        return Err(Trouble::said(format!("{new}: Container already exists")));
    }
    let mut config = fresh(config, copy, &new)?;
    if let Some(file) = &copy.config {
        for item in Config::read(&Files, file)?.items() {
            say(&mut config, &item.key, &item.value)?;
        }
    }
    let translated = context.translated(&new, &config, Purpose::Start(copy.command.clone()), false).await?;
    let mut spec = translated.spec;
    let lower: Vec<String> = match Root::of(&config)? {
        Root::Shared => Vec::new(),
        Root::Directory(path) => vec![path.display().to_string()],
        Root::Overlay { lower, upper } => vec![upper.display().to_string(), lower.display().to_string()],
    };
    if !lower.is_empty() {
        let overlay = OverlayRootfs { lower, ..Default::default() };
        spec.rootfs = Some(RootFilesystem { source: Some(root_filesystem::Source::Overlay(overlay)) });
    }
    spec.ephemeral = true;
    let container = context.establish(&new, None, spec).await?;
    let onlooker = if copy.foreground { Some(Onlooker::before(context, &container).await?) } else { None };
    let started = context.begin(&container).await?;
    context.out.line(format!("Created {new} as clone of {}", copy.name))?;
    if let Some(onlooker) = onlooker {
        onlooker.stay(context, &started).await?;
    }
    Ok(exit::OK)
}
