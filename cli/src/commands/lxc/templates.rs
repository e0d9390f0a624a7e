//! What `lxc-create -t` makes a root of. None of them asks another machine but `debian`, which asks a mirror.

mod busybox;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tweendeck_lxc::command::Create;
use tweendeck_lxc::config::Config;

use super::trouble::Trouble;

/// Where a root comes from.
pub(super) enum Template {
    /// Nothing is made: the configuration names a root, or the container has the node's own, shared read-only.
    None {
        /// `--dir`.
        directory: Option<PathBuf>,
    },
    /// A static busybox with its links.
    Busybox,
    /// Debian, by mmdebstrap(1) or debootstrap(8).
    Debian {
        /// The release.
        suite: String,
        /// Where packages come from, if it is said.
        mirror: Option<String>,
    },
    /// An archive, which the node unpacks before the first start.
    Tar {
        /// The file.
        file: PathBuf,
    },
}

/// The release that is made when none is named.
const SUITE: &str = "stable";

impl Template {
    /// What `-t` and what is behind `--` mean.
    pub(super) fn parse(name: Option<&str>, create: &Create) -> Result<Self, Trouble> {
        if let Some(backing) = create.backing.as_deref().filter(|backing| !["dir", "best", "none"].contains(backing)) {
            return Err(Trouble::said(format!(
                "-B {backing}: roots are directories here (dir); a file with a file system in it is named by lxc.rootfs.path = loop:/FILE"
            )));
        }
        let mut words = create.arguments.iter();
        let template = match name.unwrap_or("none") {
            "none" | "host" => Self::None { directory: create.directory.as_ref().map(PathBuf::from) },
            "busybox" => Self::Busybox,
            "debian" => debian(&mut words)?,
            "tar" => Self::Tar { file: archive(&mut words)? },
            other => match other.split_once(' ') {
                Some(("tar", file)) => Self::Tar { file: archive(&mut [file.trim().to_owned()].iter())? },
                _ => {
                    return Err(Trouble::said(format!(
                        "-t {other}: there are none, host, busybox, debian and tar (-t tar -- FILE)"
                    )));
                }
            },
        };
        if matches!(template, Self::Tar { .. }) && create.directory.is_some() {
            return Err(Trouble::said("--dir: the node unpacks an archive into a place of its own"));
        }
        match words.next() {
            Some(word) => Err(Trouble::said(format!("the template does not know what {word:?} is for"))),
            None => Ok(template),
        }
    }

    /// Whether there is something to be made, on the node itself.
    pub(super) fn makes_a_root(&self) -> bool {
        match self {
            Self::None { .. } | Self::Tar { .. } => false,
            Self::Busybox | Self::Debian { .. } => true,
        }
    }
}

fn debian<'a>(words: &mut impl Iterator<Item = &'a String>) -> Result<Template, Trouble> {
    let (mut suite, mut mirror) = (SUITE.to_owned(), None);
    while let Some(word) = words.next() {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value.to_owned())),
            None => (word.as_str(), words.next().cloned()),
        };
        let value = value.ok_or_else(|| Trouble::said(format!("the template debian: {option} needs a value")))?;
        match option {
            "-r" | "--release" => suite = value,
            "--mirror" => mirror = Some(value),
            other => {
                return Err(Trouble::said(format!(
                    "the template debian has -r RELEASE and --mirror URL, and no {other}"
                )));
            }
        }
    }
    let plain = |text: &str| !text.starts_with('-') && !text.is_empty();
    if plain(&suite) && mirror.as_deref().is_none_or(plain) {
        Ok(Template::Debian { suite, mirror })
    } else {
        Err(Trouble::said("the template debian: a release or mirror cannot begin with -"))
    }
}

fn archive<'a>(words: &mut impl Iterator<Item = &'a String>) -> Result<PathBuf, Trouble> {
    let file = words.next().ok_or_else(|| Trouble::said("the template tar needs a file: -t tar -- FILE"))?;
    std::path::absolute(file).map_err(|error| Trouble::said(format!("{file}: {error}")))
}

/// Makes the root, in the directory that is asked for or in the container's own, and says in the configuration where it is.
pub(super) async fn make(
    template: &Template,
    name: &str,
    directory: &Path,
    asked: Option<&Path>,
    config: &mut Config,
) -> Result<(), Trouble> {
    let root = asked.map_or_else(|| directory.join("rootfs"), Path::to_owned);
    match template {
        Template::None { directory: None } => return Ok(()),
        Template::None { directory: Some(root) } => return say(config, "lxc.rootfs.path", &path(root)?),
        Template::Tar { file } => return say(config, "lxc.rootfs.path", &format!("tar:{}", path(file)?)),
        Template::Busybox => {
            busybox::make(&root)?;
            // How busybox's init is told to halt.
            say(config, "lxc.signal.halt", "SIGUSR1")?;
            say(config, "lxc.signal.reboot", "SIGTERM")?;
        }
        Template::Debian { suite, mirror } => bootstrap(&root, suite, mirror.as_deref()).await?,
    }
    if config.one("lxc.uts.name").is_none() {
        say(config, "lxc.uts.name", name)?;
    }
    say(config, "lxc.rootfs.path", &path(&root)?)
}

fn path(path: &Path) -> Result<String, Trouble> {
    path.to_str().map(ToOwned::to_owned).ok_or_else(|| Trouble::said(format!("{} is no UTF-8", path.display())))
}

pub(super) fn say(config: &mut Config, key: &str, value: &str) -> Result<(), Trouble> {
    Ok(config.define(&format!("{key}={value}"), &super::definition::Files)?)
}

/// A Debian root by whichever of the two programs is there.
async fn bootstrap(root: &Path, suite: &str, mirror: Option<&str>) -> Result<(), Trouble> {
    let failed = |program: &str, why: String| Trouble::said(format!("{program} {why}"));
    for program in ["mmdebstrap", "debootstrap"] {
        let mut command = tokio::process::Command::new(program);
        command.arg("--variant=minbase").arg(suite).arg(root).args(mirror).stdin(Stdio::null()).kill_on_drop(true);
        match command.status().await {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => return Err(failed(program, format!("has failed: {status}"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(program, format!("cannot be run: {error}"))),
        }
    }
    Err(Trouble::said("the template debian needs mmdebstrap(1) or debootstrap(8): install one of them"))
}

/// Files of a new root.
fn write(root: &Path, name: &str, text: &str) -> Result<(), Trouble> {
    let file = root.join(name);
    fs::write(&file, text).map_err(|error| Trouble::said(format!("write {}: {error}", file.display())))
}
