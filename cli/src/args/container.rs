//! The options that describe a container, for `run`, `create` and `update`.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use tweendeck_proto::v1::{self, ContainerSpec, root_filesystem};
use uuid::Uuid;

use super::archive;
use super::journal::RequestArgs;
use super::limits::LimitArgs;
use super::logs::LogOptionArgs;
use super::mounts::{MountArgs, ProcessArgs};
use super::namespaces::{self, NamespaceArgs, Network};
use super::pressure::PressureArgs;
use super::security::SecurityArgs;
use super::supervision::SupervisionArgs;
use super::value::{self, Pair};
use crate::signal;

/// A container that is to be made.
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Name, unique on the node: a letter or digit, then up to 62 of A-Z a-z 0-9 _ . - [default: c- and 8 random hex digits].
    #[arg(short, long)]
    name: Option<String>,
    /// Create it in the room of this reservation (`tween reserve`) [default: in what is free].
    #[arg(long, value_name = "NAME")]
    pub(crate) reservation: Option<String>,
    #[command(flatten)]
    container: ContainerArgs,
}

impl NewArgs {
    /// The container's name, made up if none was given, and its specification.
    pub(crate) fn into_named_spec(self) -> (String, ContainerSpec) {
        (self.name.unwrap_or_else(made_up_name), self.container.into_spec())
    }
}

/// What a container is to be.
#[derive(Debug, Args)]
pub(crate) struct ContainerArgs {
    /// The program and its arguments. Options behind it are its own. A program without / is looked up in the container's PATH.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// An environment variable; may be repeated.
    #[arg(short, long, value_parser = value::pair, value_name = "KEY=VALUE")]
    env: Vec<Pair>,
    /// A label for selection; may be repeated, up to 64 times.
    #[arg(short, long, value_parser = value::pair, value_name = "KEY=VALUE")]
    label: Vec<Pair>,
    /// Text for people and programs, which nothing is selected by; may be repeated, up to 64 times.
    #[arg(long, value_parser = value::pair, value_name = "KEY=VALUE")]
    annotation: Vec<Pair>,
    /// Working directory inside the container, absolute [default: /].
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// User and group the command runs as, in numbers: 0 to 65535 in a user namespace of its own (the default), else to 4294967294; GID is 0 unless given [default: 0:0].
    #[arg(short, long, value_parser = value::user, value_name = "UID[:GID]")]
    user: Option<v1::User>,
    /// Host name inside the container, at most 64 of A-Z a-z 0-9 . - [default: made of the container's name].
    #[arg(long)]
    hostname: Option<String>,
    /// Which network the container sees: none (its own, with only a loopback device), host, or container:NAME [default: none].
    #[arg(long, value_parser = namespaces::network, value_name = "MODE")]
    network: Option<Network>,
    /// Tweendeck's init is PID 1: it reaps orphans and forwards signals. The default.
    #[arg(long)]
    init: bool,
    /// The command itself is PID 1, as in a system container that runs /sbin/init.
    #[arg(long, conflicts_with = "init")]
    direct: bool,
    /// The container ends when its last process has, not when the command has; its exit code is the command's still. A stop asks all of them.
    #[arg(long, conflicts_with = "direct")]
    wait_for_orphans: bool,
    /// Signal that asks the command to end: TERM, SIGTERM, 15, RTMIN+3 [default: TERM].
    #[arg(long, value_parser = signal::signal, value_name = "SIGNAL")]
    stop_signal: Option<i32>,
    /// How long a stop waits between that signal and SIGKILL, 0s to 24h [default: 10s].
    #[arg(long, value_parser = value::duration, value_name = "DURATION")]
    stop_grace: Option<Duration>,
    /// Remove the container, and its output, when it has stopped.
    #[arg(long = "rm")]
    ephemeral: bool,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    root: RootArgs,
    #[command(flatten)]
    namespaces: NamespaceArgs,
    #[command(flatten)]
    security: SecurityArgs,
    #[command(flatten)]
    mounts: MountArgs,
    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    pressure: PressureArgs,
    #[command(flatten)]
    supervision: SupervisionArgs,
    #[command(flatten)]
    requests: RequestArgs,
    #[command(flatten)]
    logs: LogOptionArgs,
}

/// What a container has as its root.
#[derive(Debug, Args)]
#[command(next_help_heading = "Root file system")]
struct RootArgs {
    /// A directory on the node, absolute [default: the node's own root, shared; writes go to memory and are lost at the end].
    #[arg(long, value_name = "DIR")]
    rootfs: Option<String>,
    /// The container cannot write to the --rootfs directory.
    #[arg(long, requires = "rootfs")]
    read_only: bool,
    /// A file on the node with a squashfs, erofs or ext4 file system in it, absolute; read-only unless --writable is given.
    #[arg(long, conflicts_with = "rootfs", value_name = "FILE")]
    image: Option<String>,
    /// A tar archive on the node, absolute; plain, or packed with gzip or zstd. It is unpacked for the container, and what is written stays until that is removed.
    /// Options: sha256=HEX (checked first), readonly, max-bytes=SIZE [default: 10G], max-entries=NUMBER [default: 1000000].
    #[arg(long, conflicts_with_all = ["rootfs", "image"], value_parser = archive::archive, value_name = "FILE[,OPTION...]")]
    rootfs_archive: Option<v1::ArchiveRootfs>,
    /// A directory on the node as a layer, absolute, never written; may be repeated, the highest layer first.
    #[arg(long, conflicts_with_all = ["rootfs", "image", "rootfs_archive"], value_name = "DIR")]
    layer: Vec<String>,
    /// A directory on the node that takes what is written above the layers [default: memory].
    #[arg(long, requires = "layer", requires = "work", conflicts_with = "writable", value_name = "DIR")]
    upper: Option<String>,
    /// An empty directory on the file system of --upper, for the kernel.
    #[arg(long, requires = "upper", value_name = "DIR")]
    work: Option<String>,
    /// What the container may write to memory above a root that is shared, an image or layers, 1M to 1T; counts against --memory [default: 64M].
    #[arg(long, value_parser = value::size, conflicts_with_all = ["rootfs", "rootfs_archive"], value_name = "SIZE")]
    writable: Option<u64>,
}

impl ContainerArgs {
    /// Its specification.
    pub(crate) fn into_spec(self) -> ContainerSpec {
        let (network, shared) = match self.network {
            None => (v1::NetworkMode::Unspecified, None),
            Some(Network::None) => (v1::NetworkMode::None, None),
            Some(Network::Host) => (v1::NetworkMode::Host, None),
            Some(Network::Container(name)) => (v1::NetworkMode::Unspecified, Some(name)),
        };
        let init = match (self.init, self.direct) {
            (_, true) => v1::InitMode::Direct,
            (true, false) => v1::InitMode::Init,
            (false, false) => v1::InitMode::Unspecified,
        };
        let mut spec = ContainerSpec {
            command: self.command,
            env: BTreeMap::from_iter(self.env),
            working_dir: self.workdir.unwrap_or_default(),
            rootfs: self.root.into_rootfs(),
            resources: self.limits.into_resources(),
            labels: BTreeMap::from_iter(self.label),
            annotations: BTreeMap::from_iter(self.annotation),
            hostname: self.hostname.unwrap_or_default(),
            network: network.into(),
            init: init.into(),
            wait_for_orphans: self.wait_for_orphans,
            user: self.user,
            ephemeral: self.ephemeral,
            stop_signal: self.stop_signal.unwrap_or_default(),
            stop_grace: self.stop_grace.and_then(|grace| grace.try_into().ok()),
            namespaces: self.namespaces.into_options(shared),
            security: self.security.into_options(),
            logs: self.logs.into_options(),
            ..Default::default()
        };
        self.mounts.into_spec(&mut spec);
        self.process.into_spec(&mut spec);
        self.pressure.into_spec(&mut spec);
        self.supervision.into_spec(&mut spec);
        spec.requests = self.requests.into_requests();
        spec
    }
}

fn made_up_name() -> String {
    let (random, ..) = Uuid::new_v4().as_fields();
    format!("c-{random:08x}")
}

impl RootArgs {
    fn into_rootfs(self) -> Option<v1::RootFilesystem> {
        if let Some(path) = self.image {
            let image = v1::ImageRootfs { path, writable_bytes: self.writable };
            return Some(v1::RootFilesystem { source: Some(root_filesystem::Source::Image(image)) });
        }
        if let Some(archive) = self.rootfs_archive {
            return Some(v1::RootFilesystem { source: Some(root_filesystem::Source::Archive(archive)) });
        }
        if !self.layer.is_empty() {
            let overlay = v1::OverlayRootfs {
                lower: self.layer,
                upper: self.upper.unwrap_or_default(),
                work: self.work.unwrap_or_default(),
                writable_bytes: self.writable,
                readonly: false,
            };
            return Some(v1::RootFilesystem { source: Some(root_filesystem::Source::Overlay(overlay)) });
        }
        let source = match (self.rootfs, self.writable) {
            (Some(path), _) => {
                root_filesystem::Source::Directory(v1::DirectoryRootfs { path, readonly: self.read_only })
            }
            (None, Some(bytes)) => root_filesystem::Source::Host(v1::HostRootfs { writable_bytes: Some(bytes) }),
            (None, None) => return None,
        };
        Some(v1::RootFilesystem { source: Some(source) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        container: NewArgs,
    }

    fn spec(line: &[&str]) -> (String, ContainerSpec) {
        Line::try_parse_from([&["run"], line].concat()).unwrap().container.into_named_spec()
    }

    fn refused(line: &[&str]) {
        assert!(Line::try_parse_from([&["run"], line].concat()).is_err(), "{line:?}");
    }

    #[test]
    fn options_behind_the_command_are_its_own() {
        let command = ["sh", "-c", "exit 3", "--name", "x", "--help"];
        assert_eq!(spec(&command).1.command, command);
        let (name, with_dashes) = spec(&["--name", "web", "--", "--odd-program", "-x"]);
        assert_eq!((name.as_str(), with_dashes.command), ("web", vec!["--odd-program".to_owned(), "-x".to_owned()]));
    }

    #[test]
    fn an_option_that_is_misspelt_is_not_taken_for_the_command() {
        refused(&["--memroy", "64M", "sh"]);
    }

    #[test]
    fn without_options_nothing_but_the_command_is_asked() {
        let expected = ContainerSpec { command: vec!["true".to_owned()], ..Default::default() };
        let (name, spec) = spec(&["true"]);
        assert_eq!(spec, expected);
        assert!(name.len() == 10 && name.starts_with("c-"), "{name}");
    }

    #[test]
    fn every_option_arrives_in_the_specification() {
        let line = "-n web -m 64M --cpus 0.5 --cpu-weight 200 --cpu-period-us 50000 --pids 10 --device /dev/fuse:rw -e A=1 -e B=x=y -l app=web --annotation note=a=b -w /srv \
                    -u 1000:1001 --hostname h --writable 8M --network host --pid container:db --userns host --timens private --boottime -5 --direct --stop-signal INT --stop-grace 3s --rm sleep 1";
        let (name, spec) = spec(&line.split_whitespace().collect::<Vec<_>>());
        let host = v1::HostRootfs { writable_bytes: Some(8 << 20) };
        let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let from = |source| Some(v1::Namespace { source: Some(source) });
        let expected = ContainerSpec {
            command: vec!["sleep".to_owned(), "1".to_owned()],
            env: owned(&[("A", "1"), ("B", "x=y")]),
            working_dir: "/srv".to_owned(),
            rootfs: Some(v1::RootFilesystem { source: Some(root_filesystem::Source::Host(host)) }),
            resources: Some(v1::Resources {
                cpu: Some(v1::CpuResources {
                    weight: Some(200),
                    limit_millis: Some(500),
                    period_us: Some(50_000),
                    ..Default::default()
                }),
                memory: Some(v1::MemoryResources { max_bytes: Some(64 << 20), ..Default::default() }),
                pids: Some(v1::PidsResources { max: Some(10) }),
                devices: vec![v1::DeviceRule {
                    path: "/dev/fuse".to_owned(),
                    access: "rw".to_owned(),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            labels: owned(&[("app", "web")]),
            annotations: owned(&[("note", "a=b")]),
            hostname: "h".to_owned(),
            network: v1::NetworkMode::Host.into(),
            init: v1::InitMode::Direct.into(),
            user: Some(v1::User { uid: 1000, gid: 1001, additional_gids: Vec::new(), umask: None }),
            ephemeral: true,
            stop_signal: 2,
            stop_grace: Some(prost_types::Duration { seconds: 3, nanos: 0 }),
            namespaces: Some(v1::NamespaceOptions {
                pid: from(v1::namespace::Source::Container("db".to_owned())),
                user: from(v1::namespace::Source::Mode(v1::NamespaceMode::Host.into())),
                time: from(v1::namespace::Source::Mode(v1::NamespaceMode::Private.into())),
                clock_offsets: Some(v1::ClockOffsets {
                    monotonic: None,
                    boottime: Some(prost_types::Duration { seconds: -5, nanos: 0 }),
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!((name.as_str(), spec), ("web", expected));
    }

    #[test]
    fn a_terminal_takes_no_word_of_the_commands() {
        let default = Some(v1::Terminal { rows: 24, columns: 80 });
        for line in [&["-t", "sh"][..], &["--terminal", "sh"]] {
            let (_, spec) = spec(line);
            assert_eq!((spec.terminal, spec.command), (default, vec!["sh".to_owned()]));
        }
        let sized = Some(v1::Terminal { rows: 40, columns: 132 });
        assert_eq!(spec(&["--terminal=40x132", "sh"]).1.terminal, sized);
        assert_eq!(spec(&["-t=40x132", "sh"]).1.terminal, sized);
        refused(&["--terminal=40", "sh"]);
    }

    #[test]
    fn an_input_is_a_pipe_or_a_terminal() {
        for line in [&["-i", "sh"][..], &["--interactive", "sh"]] {
            let (_, spec) = spec(line);
            assert!(spec.stdin && spec.terminal.is_none());
        }
        assert!(!spec(&["sh", "-i"]).1.stdin);
        refused(&["-i", "-t", "sh"]);
    }

    #[test]
    fn a_directory_can_be_read_only_and_the_shared_root_always_is() {
        let directory = v1::DirectoryRootfs { path: "/srv/root".to_owned(), readonly: true };
        let source = Some(root_filesystem::Source::Directory(directory));
        let (_, spec) = spec(&["--rootfs", "/srv/root", "--read-only", "true"]);
        assert_eq!(spec.rootfs, Some(v1::RootFilesystem { source }));
        refused(&["--read-only", "true"]);
        refused(&["--rootfs", "/srv", "--writable", "1M", "true"]);
    }

    #[test]
    fn variables_of_hooks_are_for_all_of_them_and_need_one() {
        let (_, spec) = spec(&["--pre-start", "note a", "--post-stop", "note", "--hook-env", "A=1", "true"]);
        let v1::Hooks { pre_start, post_stop } = spec.hooks.unwrap();
        let env = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        let hook = v1::Hook { program: "note".to_owned(), env, ..Default::default() };
        let first = v1::Hook { arguments: vec!["a".to_owned()], ..hook.clone() };
        assert_eq!((pre_start, post_stop), (vec![first], vec![hook]));
        refused(&["--hook-env", "A=1", "true"]);
    }

    #[test]
    fn an_archive_is_a_root_of_its_own() {
        let archive = v1::ArchiveRootfs { path: "/srv/a.tar".to_owned(), readonly: true, ..Default::default() };
        let (_, spec) = spec(&["--rootfs-archive", "/srv/a.tar,readonly", "true"]);
        let source = Some(root_filesystem::Source::Archive(archive));
        assert_eq!(spec.rootfs, Some(v1::RootFilesystem { source }));
        for other in ["--rootfs", "--image", "--layer", "--writable"] {
            refused(&["--rootfs-archive", "/srv/a.tar", other, "1M", "true"]);
        }
        refused(&["--rootfs-archive", "/srv/a.tar,sha256=1", "true"]);
    }

    #[test]
    fn what_is_out_of_range_or_contradicts_is_refused() {
        refused(&["--cpu-weight", "0", "true"]);
        refused(&["--cpu-period-us", "50000", "true"]);
        refused(&["--pids", "4194305", "true"]);
        refused(&["--init", "--direct", "true"]);
        assert!(spec(&["--wait-for-orphans", "true"]).1.wait_for_orphans);
        refused(&["--wait-for-orphans", "--direct", "true"]);
        refused(&["--env", "A", "true"]);
    }
}
