//! Where a container's namespaces come from; the names are those that unshare(1) and other container tools have.

use clap::Args;
use tweendeck_proto::v1;
use tweendeck_proto::v1::namespace::Source;

/// Namespaces of a container.
#[derive(Debug, Args)]
#[command(next_help_heading = "Namespaces (each: private, host, or container:NAME to join another container's)")]
pub(super) struct NamespaceArgs {
    /// Processes [default: private].
    #[arg(long, value_parser = namespace, value_name = "FROM")]
    pid: Option<Source>,
    /// System V IPC, message queues, and with host /dev/shm [default: private].
    #[arg(long, value_parser = namespace, value_name = "FROM")]
    ipc: Option<Source>,
    /// Host name [default: private].
    #[arg(long, value_parser = namespace, value_name = "FROM")]
    uts: Option<Source>,
    /// The view of /sys/fs/cgroup [default: private].
    #[arg(long, value_parser = namespace, value_name = "FROM")]
    cgroupns: Option<Source>,
    /// User and group ids [default: private; as --pid, --mount, --network or --ipc when one of these is shared].
    #[arg(long, value_parser = namespace, value_name = "FROM")]
    userns: Option<Source>,
    /// Clocks [default: host].
    #[arg(long, value_parser = namespace, value_name = "FROM")]
    timens: Option<Source>,
    /// Mounts and root; host takes --privileged [default: private].
    #[arg(long, value_parser = namespace, value_name = "FROM")]
    mountns: Option<Source>,
    /// Seconds added to the monotonic clock, with --timens private.
    #[arg(long, requires = "timens", allow_negative_numbers = true, value_name = "SECONDS")]
    monotonic: Option<i64>,
    /// Seconds added to the boot-time clock (uptime), with --timens private.
    #[arg(long, requires = "timens", allow_negative_numbers = true, value_name = "SECONDS")]
    boottime: Option<i64>,
}

impl NamespaceArgs {
    /// `None` when nothing was said; `network` is that of another container.
    pub(super) fn into_options(self, network: Option<String>) -> Option<v1::NamespaceOptions> {
        let given = |source: Option<Source>| source.map(|source| v1::Namespace { source: Some(source) });
        let seconds = |seconds: i64| prost_types::Duration { seconds, nanos: 0 };
        let offsets = v1::ClockOffsets { monotonic: self.monotonic.map(seconds), boottime: self.boottime.map(seconds) };
        let options = v1::NamespaceOptions {
            pid: given(self.pid),
            ipc: given(self.ipc),
            uts: given(self.uts),
            cgroup: given(self.cgroupns),
            user: given(self.userns),
            time: given(self.timens),
            mount: given(self.mountns),
            network: given(network.map(Source::Container)),
            clock_offsets: (offsets != v1::ClockOffsets::default()).then_some(offsets),
        };
        (options != v1::NamespaceOptions::default()).then_some(options)
    }
}

fn namespace(text: &str) -> Result<Source, String> {
    match text {
        "private" => Ok(Source::Mode(v1::NamespaceMode::Private.into())),
        "host" => Ok(Source::Mode(v1::NamespaceMode::Host.into())),
        _ => container(text).map(Source::Container),
    }
}

/// `container:NAME`.
fn container(text: &str) -> Result<String, String> {
    match text.strip_prefix("container:") {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        Some(_) | None => Err("must be private, host or container:NAME".to_owned()),
    }
}

/// Which network a container sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Network {
    /// Its own, with only a loopback device.
    None,
    /// The node's. No isolation.
    Host,
    /// That of another container.
    Container(String),
}

pub(super) fn network(text: &str) -> Result<Network, String> {
    match text {
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        _ => container(text).map(Network::Container).map_err(|_| "must be none, host or container:NAME".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_private_the_hosts_or_a_containers() {
        assert_eq!(namespace("host"), Ok(Source::Mode(v1::NamespaceMode::Host.into())));
        assert_eq!(namespace("container:web"), Ok(Source::Container("web".into())));
        for wrong in ["", "Host", "container:", "web"] {
            assert!(namespace(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(network("container:a"), Ok(Network::Container("a".into())));
        assert!(network("private").is_err());
    }
}
