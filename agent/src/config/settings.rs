//! Every setting, once.

use std::fmt::Write as _;

/// What a value in the file looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A string.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Switch,
    /// Strings; in a variable or flag, separated by commas.
    List,
    /// A table of strings; in a variable or flag, `key=value` separated by commas.
    Map,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// Its name in the file, the sections before it.
    pub(super) path: &'static str,
    pub(super) shape: Shape,
    /// Its value when nothing is said, as a flag would give it; empty means "not set".
    pub(super) default: &'static str,
    /// What it means, with unit and range.
    pub(super) help: &'static str,
}

impl Setting {
    /// `grpc.listen` is `--grpc-listen`.
    pub(super) fn flag(&self) -> String {
        self.path.replace(['.', '_'], "-")
    }

    /// `grpc.listen` is `TWEENDECKD_GRPC_LISTEN`.
    pub(super) fn variable(&self) -> String {
        format!("{VARIABLES}{}", self.path.replace('.', "_").to_ascii_uppercase())
    }
}

/// What all variables begin with. Not `TWEENDECK_`: Kubernetes makes variables of that kind for a service of that name.
pub(super) const VARIABLES: &str = "TWEENDECKD_";

const fn setting(path: &'static str, shape: Shape, default: &'static str, help: &'static str) -> Setting {
    Setting { path, shape, default, help }
}

/// All of them, in the order of the file.
pub(super) const SETTINGS: [Setting; 34] = [
    setting(
        "state_dir",
        Shape::Text,
        "/var/lib/tweendeck",
        "Directory of what must survive a reboot: the store, exit records, output. On a local disk",
    ),
    setting("run_dir", Shape::Text, "/run/tweendeck", "Directory of what is meaningless after a reboot. On a tmpfs"),
    setting(
        "runtime_binary",
        Shape::Text,
        "",
        "The program tweendeck-runtime, which becomes supervisor and init. Default: beside tweendeckd",
    ),
    setting(
        "on_shutdown",
        Shape::Text,
        "keep",
        "What becomes of containers when the agent is told to stop: keep, or delete (for an agent that is tried out)",
    ),
    setting(
        "node.id",
        Shape::Text,
        "",
        "Unique in the cluster: a letter or digit, then up to 62 of A-Z a-z 0-9 _ . -. Default: /etc/machine-id, else the host name",
    ),
    setting(
        "node.labels",
        Shape::Map,
        "",
        "Labels of the node, for a scheduler: at most 64; a key has 1 to 128 characters of A-Z a-z 0-9 _ . / -, a value at most 256 bytes",
    ),
    setting(
        "node.reserved_cpu_millis",
        Shape::Number,
        "0",
        "CPU time that is kept for the host itself and given to no request, thousandths of a CPU, 0 to 1024000",
    ),
    setting(
        "node.reserved_memory_bytes",
        Shape::Number,
        "0",
        "Memory that is kept for the host itself and given to no request, bytes, 0 to 1152921504606846976",
    ),
    setting(
        "grpc.socket",
        Shape::Text,
        "",
        "The unix socket, for root and the agent's own user. Default: tweendeckd.sock in run_dir. At most 107 bytes",
    ),
    setting(
        "grpc.listen",
        Shape::Text,
        "",
        "A TCP address to serve on too, such as 127.0.0.1:7443. Loopback only, and only with grpc.allow_unauthenticated",
    ),
    setting(
        "grpc.allow_unauthenticated",
        Shape::Switch,
        "false",
        "Accept that whoever can connect to grpc.listen (every user and every host-network container of this machine) may do all that root may",
    ),
    setting("grpc.max_concurrent_streams", Shape::Number, "256", "Calls at a time on one connection, 1 to 65536"),
    setting(
        "cgroup.placement",
        Shape::Text,
        "auto",
        "Where containers' cgroups are made: systemd (in a scope that systemd delegates), direct (in a tree of our own), or auto (a scope where systemd answers)",
    ),
    setting(
        "cgroup.slice",
        Shape::Text,
        "tweendeck.slice",
        "With systemd, the slice of that scope, whose name is tweendeck-<node id>.scope",
    ),
    setting(
        "cgroup.parent",
        Shape::Text,
        "",
        "Parent of the containers' cgroups, a path of plain names below each hierarchy's mount point; counts before placement. Default: the scope, or tweendeck",
    ),
    setting("limits.max_containers", Shape::Number, "1000", "Containers on this node, 1 to 100000"),
    setting(
        "limits.audit_interval",
        Shape::Text,
        "3s",
        "Between two looks at whether the kernel still has the limits of a container as they were asked; what others have changed is told and brought back. 1s to 1h",
    ),
    setting(
        "limits.max_log_bytes_per_file",
        Shape::Number,
        "16777216",
        "A container's log file is rotated at this size, bytes, 4096 to 1099511627776",
    ),
    setting(
        "limits.max_log_files",
        Shape::Number,
        "3",
        "Rotated log files kept beside the current one, for each of a container's streams, 1 to 100",
    ),
    setting(
        "user_ids.first",
        Shape::Number,
        "1610612736",
        "First of the host's user and group ids that containers get, 65536 to 4294967295. No user of the host may have one of them",
    ),
    setting(
        "user_ids.ranges",
        Shape::Number,
        "4096",
        "Ranges of 65536 ids from there on, one a container, at least limits.max_containers, at most 65534",
    ),
    setting(
        "security.allow_privileged",
        Shape::Switch,
        "false",
        "Accept privileged containers, and the capabilities ALL, SYS_ADMIN, SYS_MODULE and SYS_RAWIO. What the host's namespaces or devices give a container is not asked here",
    ),
    setting("security.allow_unconfined", Shape::Switch, "false", "Accept containers without a filter of system calls"),
    setting(
        "journal.max_events",
        Shape::Number,
        "100000",
        "Changes kept for watches to resume from, 1000 to 100000000",
    ),
    setting(
        "journal.max_bytes",
        Shape::Number,
        "268435456",
        "Bytes of changes kept, 1048576 to 1099511627776. On disk they take up to half as much again",
    ),
    setting(
        "journal.max_age",
        Shape::Text,
        "168h",
        "Changes older than this are not kept but for the last 1000, 1h to 87600h",
    ),
    setting(
        "hooks.directory",
        Shape::Text,
        "",
        "Directory of programs that containers may have run before their start and after their end, as the agent's user. Empty: none",
    ),
    setting("sampling.interval", Shape::Text, "10s", "Between two samples of usage, 1s to 1h"),
    setting(
        "etcd.endpoints",
        Shape::List,
        "",
        "Where etcd is, http://host:port, the first that answers is used. Empty: nothing is reported",
    ),
    setting(
        "etcd.lease_ttl",
        Shape::Text,
        "30s",
        "After this long without a sign of life the node counts as suspect, 5s to 10m",
    ),
    setting(
        "etcd.usage_refresh",
        Shape::Text,
        "120s",
        "Usage that has not moved is sent again after this long, 1s to 1h; not shorter than sampling.interval",
    ),
    setting("log.filter", Shape::Text, "info", "What is logged, such as info or info,tweendeck_agent::reporter=debug"),
    setting("log.format", Shape::Text, "text", "How a log line looks: text or json"),
    setting(
        "telemetry.otlp_endpoint",
        Shape::Text,
        "",
        "Where traces go, OTLP over gRPC, http://host:port. Empty: nowhere",
    ),
];

/// The file that says what is so anyway, every setting with its meaning.
#[must_use]
pub fn default_file() -> String {
    let mut text = String::from(
        "# Configuration of tweendeckd. Everything is shown with its default and commented out.\n\
         # Each setting is also a flag (--grpc-listen) and a variable (TWEENDECKD_GRPC_LISTEN); a flag counts before a variable, a variable\n\
         # before this file. `tweendeckd --check-config` says whether all is well.\n",
    );
    let mut section = "";
    for setting in &SETTINGS {
        let (place, name) = setting.path.rsplit_once('.').unwrap_or(("", setting.path));
        if place != section {
            section = place;
            let _ = write!(text, "\n[{section}]");
        }
        let value = match setting.shape {
            Shape::Text => format!("{:?}", setting.default),
            Shape::Number | Shape::Switch => setting.default.to_owned(),
            Shape::List => "[]".to_owned(),
            Shape::Map => "{}".to_owned(),
        };
        let _ = write!(text, "\n# {}.\n#{name} = {value}\n", setting.help);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_in_every_form() {
        for form in [|setting: &Setting| setting.path.to_owned(), Setting::flag, Setting::variable] {
            let mut names: Vec<_> = SETTINGS.iter().map(form).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), SETTINGS.len());
        }
    }

    #[test]
    fn the_packaged_file_is_the_default_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/tweendeckd.toml");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, default_file()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), default_file(), "make it anew with BLESS=1");
    }
}
