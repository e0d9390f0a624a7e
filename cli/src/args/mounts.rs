//! The options for what is mounted in a container, and what its process is given.

use std::collections::BTreeMap;

use clap::Args;
use tweendeck_proto::v1::{self, ContainerSpec, MountPropagation, RlimitType, mount};

use super::value::{self, Pair};

const VOLUME_RULE: &str =
    "must be SOURCE:TARGET[:OPTIONS]; options are ro, rw, rec (what is mounted below it too), slave and noexec";
const TMPFS_RULE: &str = "must be TARGET[:SIZE], such as /cache:64M";
const ULIMIT_RULE: &str = "must be TYPE=SOFT[:HARD], such as nofile=1024:4096; a number, or unlimited";
const WINDOW_RULE: &str = "must be ROWSxCOLUMNS, such as 24x80, each 1 to 65535";
const UMASK_RULE: &str = "must be octal, 0 to 777";

/// What is mounted besides the root.
#[derive(Debug, Args)]
#[command(next_help_heading = "Mounts")]
pub(super) struct MountArgs {
    /// A file or directory of the node's, absolute; may be repeated. Options: ro, rw, rec (what is mounted below it too), slave (what is mounted later too), noexec.
    #[arg(short, long, value_parser = volume, value_name = "SOURCE:TARGET[:OPTIONS]")]
    volume: Vec<v1::Mount>,
    /// A directory in memory, which counts against --memory; may be repeated [default size: 64M].
    #[arg(long, value_parser = tmpfs, value_name = "TARGET[:SIZE]")]
    tmpfs: Vec<v1::Mount>,
}

/// What the process is given.
#[derive(Debug, Args)]
#[command(next_help_heading = "Process")]
pub(super) struct ProcessArgs {
    /// A resource limit of each process, such as nofile=1024:4096 or core=0; may be repeated.
    #[arg(long, value_parser = ulimit, value_name = "TYPE=SOFT[:HARD]")]
    ulimit: Vec<v1::Rlimit>,
    /// A kernel parameter of the container's own namespaces, such as net.core.somaxconn=512; may be repeated.
    #[arg(long, value_parser = value::pair, value_name = "KEY=VALUE")]
    sysctl: Vec<Pair>,
    /// How likely the OOM killer takes it before others, -1000 to 1000 [default: 0].
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000), value_name = "SCORE")]
    oom_score_adj: Option<i32>,
    /// NIS domain name inside the container, at most 64 of A-Z a-z 0-9 . - [default: the node's].
    #[arg(long)]
    domainname: Option<String>,
    /// Permission bits that new files do not get, octal [default: 022].
    #[arg(long, value_parser = umask, value_name = "OCTAL")]
    umask: Option<u32>,
    /// A terminal of its own for the command: standard input, output and error, and /dev/console; the size of its window, 1 to 65535 each [default: 24x80]. `tween
    /// console` attaches to it; what is shown on it is also in console.log, in the directory that `tween info` names.
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "24x80", value_parser = window, value_name = "ROWSxCOLUMNS")]
    terminal: Option<v1::Terminal>,
    /// The command has a standard input: a pipe. `tween run` passes its own on, to the end; later, or without that, `tween console` does.
    #[arg(short, long, conflicts_with = "terminal")]
    interactive: bool,
}

impl MountArgs {
    pub(super) fn into_spec(self, spec: &mut ContainerSpec) {
        spec.mounts = self.volume;
        spec.mounts.extend(self.tmpfs);
    }
}

impl ProcessArgs {
    pub(super) fn into_spec(self, spec: &mut ContainerSpec) {
        spec.rlimits = self.ulimit;
        spec.sysctls = BTreeMap::from_iter(self.sysctl);
        spec.oom_score_adj = self.oom_score_adj;
        spec.terminal = self.terminal;
        spec.stdin = self.interactive;
        spec.domainname = self.domainname.unwrap_or_default();
        if self.umask.is_some() {
            spec.user.get_or_insert_default().umask = self.umask;
        }
    }
}

fn volume(text: &str) -> Result<v1::Mount, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [source, target] => (*source, *target, ""),
        [source, target, options] => (*source, *target, *options),
        _ => return Err(VOLUME_RULE.to_owned()),
    };
    if source.is_empty() || target.is_empty() {
        return Err(VOLUME_RULE.to_owned());
    }
    let mut bind = v1::BindMount { source: source.to_owned(), ..Default::default() };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => bind.readonly = true,
            "rw" => bind.readonly = false,
            "rec" => bind.recursive = true,
            "noexec" => bind.noexec = true,
            "slave" => bind.set_propagation(MountPropagation::Slave),
            _ => return Err(VOLUME_RULE.to_owned()),
        }
    }
    Ok(v1::Mount { target: target.to_owned(), source: Some(mount::Source::Bind(bind)) })
}

fn tmpfs(text: &str) -> Result<v1::Mount, String> {
    let (target, size) = match text.split_once(':') {
        Some((target, size)) => (target, Some(value::size(size)?)),
        None => (text, None),
    };
    if target.is_empty() {
        return Err(TMPFS_RULE.to_owned());
    }
    let source = mount::Source::Tmpfs(v1::TmpfsMount { size_bytes: size, ..Default::default() });
    Ok(v1::Mount { target: target.to_owned(), source: Some(source) })
}

fn ulimit(text: &str) -> Result<v1::Rlimit, String> {
    let rule = || ULIMIT_RULE.to_owned();
    let (kind, limits) = text.split_once('=').ok_or_else(rule)?;
    let kind = RlimitType::from_str_name(&format!("RLIMIT_TYPE_{}", kind.to_ascii_uppercase()));
    let kind = kind.filter(|kind| *kind != RlimitType::Unspecified).ok_or_else(rule)?;
    let number = |text: &str| match text {
        "unlimited" => Ok(u64::MAX),
        text => text.parse().map_err(|_| rule()),
    };
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    Ok(v1::Rlimit { r#type: kind.into(), soft: number(soft)?, hard: number(hard)? })
}

fn window(text: &str) -> Result<v1::Terminal, String> {
    let side = |text: &str| text.parse::<u16>().ok().filter(|side| *side > 0).map(u32::from);
    let sides = text.split_once('x').and_then(|(rows, columns)| Some((side(rows)?, side(columns)?)));
    sides.map(|(rows, columns)| v1::Terminal { rows, columns }).ok_or_else(|| WINDOW_RULE.to_owned())
}

fn umask(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8).ok().filter(|mask| *mask <= 0o777).ok_or_else(|| UMASK_RULE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_have_a_source_a_target_and_known_options() {
        let bind =
            v1::BindMount { source: "/a".into(), readonly: true, recursive: true, noexec: true, ..Default::default() };
        let expected = v1::Mount { target: "/b".into(), source: Some(mount::Source::Bind(bind)) };
        assert_eq!(volume("/a:/b:ro,rec,noexec"), Ok(expected));
        for bad in ["/a", "/a:", ":/b", "/a:/b:rx", "/a:/b:ro:x", ""] {
            assert_eq!(volume(bad), Err(VOLUME_RULE.to_owned()), "{bad}");
        }
    }

    #[test]
    fn limits_are_soft_and_hard_or_both_at_once() {
        let limit = |soft, hard| v1::Rlimit { r#type: RlimitType::Nofile.into(), soft, hard };
        assert_eq!(ulimit("nofile=10:20"), Ok(limit(10, 20)));
        assert_eq!(ulimit("nofile=unlimited"), Ok(limit(u64::MAX, u64::MAX)));
        for bad in ["nofile", "files=1", "nofile=", "nofile=-1", "unspecified=1", "nofile=1:2:3"] {
            assert!(ulimit(bad).is_err(), "{bad}");
        }
        assert_eq!(umask("027"), Ok(0o027));
        assert!(umask("800").is_err() && umask("1000").is_err());
    }
    #[test]
    fn a_window_has_rows_and_columns() {
        assert_eq!(window("24x80"), Ok(v1::Terminal { rows: 24, columns: 80 }));
        for bad in ["", "24", "24x", "x80", "0x80", "24x65536", "24x80x1", "24X80"] {
            assert_eq!(window(bad), Err(WINDOW_RULE.to_owned()), "{bad}");
        }
    }
}
