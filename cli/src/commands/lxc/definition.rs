//! What a container is by its configuration: the stored one, or the one of `-f` in its place, with `-s` above both.
//!
//! A configuration is kept as text with the container, by the agent (the annotation `lxc.config`), and beside it in `<lxcpath>/<name>/config`, where people edit it: what is in
//! the file counts where there is one.

use std::fs;
use std::io;
use std::path::Path;

use tweendeck_lxc::config::{Config, Source};
use tweendeck_lxc::translate::{Fate, Node, Purpose, Translated, files, translate};
use tweendeck_proto::v1::mount::Source as Mounted;
use tweendeck_proto::v1::{
    CgroupVersion, Container, ContainerSpec, CreateContainerRequest, GetNodeRequest, OverlayRootfs,
    UpdateContainerRequest, root_filesystem,
};

use super::context::Context;
use super::trouble::Trouble;
use crate::failure::Failure;

/// Where the agent keeps a configuration.
pub(super) const ANNOTATION: &str = "lxc.config";

/// Where the kernel says whether it has these.
const APPARMOR: &str = "/sys/module/apparmor/parameters/enabled";
const SELINUX: &str = "/sys/fs/selinux/enforce";

/// A file in directories that were made by these commands.
const MARK: &str = ".tweendeck";

/// Files of this machine.
pub(super) struct Files;

impl Source for Files {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            names.push(entry?.file_name().into_string().map_err(|_| io::Error::other("a name is no UTF-8"))?);
        }
        names.sort();
        Ok(names)
    }
}

/// A container as it is known.
pub(super) struct Definition {
    /// By the agent.
    pub(super) container: Option<Container>,
    /// Its stored configuration; `None` also of one that was not made by these commands.
    pub(super) stored: Option<Config>,
}

impl Definition {
    /// Nobody knows it.
    pub(super) fn is_unknown(&self) -> bool {
        self.container.is_none() && self.stored.is_none()
    }

    /// One that was made by other means has no configuration that something could be said about.
    pub(super) fn takes(&self, said: Said<'_>, command: &[String]) -> Result<(), Trouble> {
        let foreign = self.container.is_some() && self.stored.is_none();
        if foreign && (said.file.is_some() || !said.defines.is_empty() || !command.is_empty()) {
            return Err(Trouble::said(
                "it was made by other means than LXC's commands: it is started as it is, without -f, -s or a command",
            ));
        }
        Ok(())
    }
}

/// What a command line says about the configuration.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said<'a> {
    /// `-f` or `--rcfile`.
    pub(super) file: Option<&'a str>,
    /// `-s`.
    pub(super) defines: &'a [String],
}

impl Context {
    /// What is known of a container.
    pub(super) async fn definition(&self, name: &str) -> Result<Definition, Trouble> {
        let container = self.settled(name).await?;
        let mut stored = self.stored(name, container.as_ref())?;
        let directory = self.directory(name)?;
        if container.is_none() && stored.as_ref().is_some_and(goes_when_it_stops) && is_ours(&directory) {
            // It has stopped, and the agent has removed what was its: so goes what is here.
            super::trees::remove(&directory)?;
            stored = None;
        }
        Ok(Definition { container, stored })
    }

    /// The stored configuration of a container.
    pub(super) fn stored(&self, name: &str, container: Option<&Container>) -> Result<Option<Config>, Trouble> {
        let file = self.directory(name)?.join("config");
        if self.is_local() && file.exists() {
            return read(&file).map(Some);
        }
        let text = container.and_then(annotation);
        Ok(text.map(|text| Config::parse(text, &format!("the configuration of {name}"), &Files)).transpose()?)
    }

    /// What a container is like of which nothing is said: as the file says that the system's configuration names, else with nothing but the defaults.
    pub(super) fn default_configuration(&self) -> Result<Config, Trouble> {
        let system = super::config::of_system()?;
        match system.default_config().map(Path::new) {
            Some(file) if self.is_local() && file.exists() => read(file),
            Some(_) | None => Ok(Config::default()),
        }
    }

    /// The configuration that counts now. Of a container that nobody knows, and of which nothing is said, an empty one.
    pub(super) fn configured(&self, stored: Option<&Config>, said: Said<'_>) -> Result<Config, Trouble> {
        let mut config = match said.file.or(self.common.rcfile.as_deref()) {
            Some(file) => read(Path::new(file))?,
            None => stored.cloned().unwrap_or_default(),
        };
        let problems: Vec<_> =
            said.defines.iter().filter_map(|define| config.define(define, &Files).err()).flatten().collect();
        if !problems.is_empty() {
            return Err(problems.into());
        }
        Ok(config)
    }

    /// The same in the API's terms. What is known here only, the caller's environment and files of mounts, is put in.
    pub(super) async fn translated(
        &self,
        name: &str,
        config: &Config,
        purpose: Purpose,
        aloud: bool,
    ) -> Result<Translated, Trouble> {
        let config = self.completed(config)?;
        let node = self.node(name, &config).await?;
        let mut translated = translate(&config, &node, &purpose)?;
        if self.is_local() {
            leave_out(&mut translated);
        }
        if aloud {
            config.notes().iter().for_each(|note| self.say(name, &note.to_string()));
            for note in &translated.notes {
                if let Fate::Noted(why) = &note.fate {
                    self.say(name, &format!("{}: {}: {why}", note.item.place, note.item.key));
                }
            }
        }
        Ok(translated)
    }

    /// With what is known here only.
    pub(super) fn completed(&self, config: &Config) -> Result<Config, Trouble> {
        let mut config = config.clone();
        of_the_caller(&mut config)?;
        if self.is_local() {
            with_fstab(&mut config)?;
        }
        Ok(config)
    }

    /// What the translation has to know of the node.
    pub(super) async fn node(&self, name: &str, config: &Config) -> Result<Node, Trouble> {
        let node = self.call(GetNodeRequest {}).await?.node.ok_or(Failure::Incomplete("node"))?;
        let local = |path: &str| self.is_local() && Path::new(path).exists();
        let read = |path: &str| fs::read_to_string(path).map_err(|error| error.to_string());
        Ok(Node {
            unified: node.cgroup_version() == CgroupVersion::V2,
            hooks: Some(node.hooks_directory.clone()).filter(|directory| !directory.is_empty()),
            architecture: node.architecture.clone(),
            apparmor: local(APPARMOR) && read(APPARMOR).is_ok_and(|enabled| enabled.starts_with('Y')),
            selinux: local(SELINUX),
            files: files(config).into_iter().map(|path| (path.to_owned(), read(path))).collect(),
            name: name.to_owned(),
            config_file: self.directory(name)?.join("config").to_str().map(ToOwned::to_owned),
        })
    }

    /// Has the agent know it as it is to be: made, or changed.
    pub(super) async fn establish(
        &self,
        name: &str,
        known: Option<&Container>,
        spec: ContainerSpec,
    ) -> Result<Container, Trouble> {
        if self.is_local() {
            make_layers(&spec)?;
        }
        let container = match known {
            Some(container) if container.spec.as_ref() == Some(&spec) => Some(container.clone()),
            Some(Container { uid, .. }) => {
                let (name, uid, spec) = (name.to_owned(), uid.clone(), Some(spec));
                self.call(UpdateContainerRequest { name, uid, spec, ..Default::default() }).await?.container
            }
            None => {
                let (name, spec) = (name.to_owned(), Some(spec));
                self.call(CreateContainerRequest { name, spec, ..Default::default() }).await?.container
            }
        };
        Ok(container.ok_or(Failure::Incomplete("container"))?)
    }
}

/// The stored configuration as the agent keeps it.
pub(super) fn annotation(container: &Container) -> Option<&String> {
    container.spec.as_ref()?.annotations.get(ANNOTATION)
}

/// Keeps the stored configuration with the container.
pub(super) fn annotate(spec: &mut ContainerSpec, stored: &Config) {
    spec.annotations.insert(ANNOTATION.to_owned(), stored.text());
}

fn goes_when_it_stops(config: &Config) -> bool {
    config.one("lxc.ephemeral").is_some_and(|item| item.value == "1")
}

/// `lxc.environment = NAME` is what this program's own environment has.
fn of_the_caller(config: &mut Config) -> Result<(), Trouble> {
    let said: Vec<String> = config.all("lxc.environment").map(|item| item.value.clone()).collect();
    if said.iter().all(|value| value.contains('=')) {
        return Ok(());
    }
    config.define("lxc.environment=", &Files)?;
    for value in said {
        let pair = match std::env::var(&value) {
            Ok(own) if !value.contains('=') => format!("{value}={own}"),
            Ok(_) | Err(_) if value.contains('=') => value,
            Ok(_) | Err(_) => return Err(Trouble::said(format!("lxc.environment: {value} is not set here"))),
        };
        config.define(&format!("lxc.environment={pair}"), &Files)?;
    }
    Ok(())
}

/// `lxc.mount.fstab` names a file of mounts, which come before those of `lxc.mount.entry`.
fn with_fstab(config: &mut Config) -> Result<(), Trouble> {
    let Some(file) = config.one("lxc.mount.fstab").map(|item| item.value.clone()) else { return Ok(()) };
    let text = fs::read_to_string(&file).map_err(|error| Trouble::said(format!("lxc.mount.fstab: {file}: {error}")))?;
    let of_file = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let said = config.all("lxc.mount.entry").map(|item| item.value.clone());
    let entries: Vec<String> = of_file.map(ToOwned::to_owned).chain(said).collect();
    config.define("lxc.mount.fstab=", &Files)?;
    config.define("lxc.mount.entry=", &Files)?;
    entries.iter().try_for_each(|entry| config.define(&format!("lxc.mount.entry={entry}"), &Files))?;
    Ok(())
}

/// The directories that overlayfs writes to, which LXC makes where they are missing.
fn make_layers(spec: &ContainerSpec) -> Result<(), Trouble> {
    let source = spec.rootfs.as_ref().and_then(|rootfs| rootfs.source.as_ref());
    let Some(root_filesystem::Source::Overlay(OverlayRootfs { upper, work, .. })) = source else { return Ok(()) };
    for directory in [upper, work].into_iter().filter(|directory| !directory.is_empty()) {
        fs::create_dir_all(directory).map_err(|error| Trouble::said(format!("make {directory}: {error}")))?;
    }
    Ok(())
}

/// Says of a container's directory that it was made by these commands, and may be removed by them.
pub(super) fn mark(directory: &Path) -> Result<(), Trouble> {
    let file = directory.join(MARK);
    fs::write(&file, "").map_err(|error| Trouble::said(format!("make {}: {error}", file.display())))
}

/// Whether it was.
pub(super) fn is_ours(directory: &Path) -> bool {
    directory.join(MARK).exists()
}

/// Leaves out what is optional and not there.
fn leave_out(translated: &mut Translated) {
    let absent = |path: &String| translated.extras.optional.contains(path) && !Path::new(path).exists();
    translated.spec.mounts.retain(|mount| match &mount.source {
        Some(Mounted::Bind(bind)) => !absent(&bind.source),
        Some(Mounted::Tmpfs(_)) | None => true,
    });
    if let Some(resources) = &mut translated.spec.resources {
        resources.devices.retain(|device| !absent(&device.path));
    }
}

fn read(file: &Path) -> Result<Config, Trouble> {
    let path = file.to_str().ok_or_else(|| Trouble::said(format!("{} is no UTF-8", file.display())))?;
    Ok(Config::read(&Files, path)?)
}
