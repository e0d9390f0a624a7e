//! Where a container's namespaces come from, defaults filled in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tweendeck_proto::v1;
use tweendeck_runtime::OciSpecError;
use tweendeck_runtime::bundle::Peer;
use tweendeck_runtime::oci::{
    LinuxIdMapping, LinuxIdMappingBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, LinuxTimeOffset,
    LinuxTimeOffsetBuilder,
};

/// Where one namespace comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Made for the container.
    Private,
    /// The host's.
    Host,
    /// That of the container of this name.
    Container(String),
}

impl Origin {
    /// Whether it is the container's own.
    #[must_use]
    pub fn is_private(&self) -> bool {
        *self == Self::Private
    }

    /// Whether it is the host's.
    #[must_use]
    pub fn is_host(&self) -> bool {
        *self == Self::Host
    }

    fn of(given: Option<&v1::Namespace>, default: Self) -> Self {
        use v1::namespace::Source;
        match given.and_then(|namespace| namespace.source.as_ref()) {
            None => default,
            Some(Source::Container(name)) => Self::Container(name.clone()),
            Some(Source::Mode(mode)) => match v1::NamespaceMode::try_from(*mode) {
                Ok(v1::NamespaceMode::Private) => Self::Private,
                Ok(v1::NamespaceMode::Host) => Self::Host,
                Ok(v1::NamespaceMode::Unspecified) | Err(_) => default,
            },
        }
    }
}

/// The namespaces of a specification.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the kinds say all there is")]
pub struct Namespaces {
    pub pid: Origin,
    pub ipc: Origin,
    pub uts: Origin,
    pub cgroup: Origin,
    pub user: Origin,
    pub time: Origin,
    pub mount: Origin,
    pub network: Origin,
    offsets: v1::ClockOffsets,
}

impl Namespaces {
    /// The namespaces of a specification, defaults filled in.
    #[must_use]
    pub fn of(spec: &v1::ContainerSpec) -> Self {
        let options = spec.namespaces.clone().unwrap_or_default();
        let own = |given: &Option<v1::Namespace>| Origin::of(given.as_ref(), Origin::Private);
        let network = match spec.network() {
            v1::NetworkMode::Host => Origin::Host,
            v1::NetworkMode::Unspecified | v1::NetworkMode::None => own(&options.network),
        };
        let (pid, ipc, mount) = (own(&options.pid), own(&options.ipc), own(&options.mount));
        let cgroup = own(&options.cgroup);
        // Rights over a namespace come with the user namespace it belongs to (user_namespaces(7)): a container that shares one of these is of the same
        // ids as whom it shares with.
        let shared = [&pid, &mount, &network, &ipc].into_iter().find(|origin| !origin.is_private());
        // The host's cgroup namespace takes no rights.
        let shared = shared.or(Some(&cgroup).filter(|origin| matches!(origin, Origin::Container(_))));
        let privileged = spec.security.as_ref().is_some_and(|security| security.privileged);
        let alone = if privileged { Origin::Host } else { Origin::Private };
        let default_user = shared.cloned().unwrap_or(alone);
        Self {
            user: Origin::of(options.user.as_ref(), default_user),
            uts: own(&options.uts),
            cgroup,
            time: Origin::of(options.time.as_ref(), Origin::Host),
            offsets: options.clock_offsets.unwrap_or_default(),
            pid,
            ipc,
            mount,
            network,
        }
    }

    fn kinds(&self) -> [(LinuxNamespaceType, &'static str, &Origin); 8] {
        [
            (LinuxNamespaceType::User, "user", &self.user),
            (LinuxNamespaceType::Pid, "pid", &self.pid),
            (LinuxNamespaceType::Mount, "mnt", &self.mount),
            (LinuxNamespaceType::Network, "net", &self.network),
            (LinuxNamespaceType::Ipc, "ipc", &self.ipc),
            (LinuxNamespaceType::Uts, "uts", &self.uts),
            (LinuxNamespaceType::Cgroup, "cgroup", &self.cgroup),
            (LinuxNamespaceType::Time, "time", &self.time),
        ]
    }

    /// Names of the containers whose namespaces are joined.
    #[must_use]
    pub fn others(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .kinds()
            .into_iter()
            .filter_map(|(_, _, origin)| match origin {
                Origin::Container(name) => Some(name.as_str()),
                Origin::Private | Origin::Host => None,
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// As an OCI specification has them.
    pub(super) fn to_oci(&self, peers: &BTreeMap<String, Peer>) -> Result<Vec<LinuxNamespace>, OciSpecError> {
        let mut listed = Vec::new();
        for (kind, file, origin) in self.kinds() {
            let namespace = LinuxNamespaceBuilder::default().typ(kind);
            listed.push(match origin {
                Origin::Host => continue,
                Origin::Private => namespace.build()?,
                Origin::Container(name) => {
                    let pid = peers.get(name).map_or(0, |peer| peer.pid);
                    namespace.path(PathBuf::from(format!("/proc/{pid}/ns/{file}"))).build()?
                }
            });
        }
        Ok(listed)
    }

    /// The clocks of a time namespace, by the kernel's names.
    pub(super) fn offsets(&self) -> Result<Vec<(String, LinuxTimeOffset)>, OciSpecError> {
        let clocks = [("monotonic", self.offsets.monotonic), ("boottime", self.offsets.boottime)];
        let given = clocks.into_iter().filter_map(|(clock, offset)| Some((clock, offset?)));
        given
            .map(|(clock, offset)| {
                // The kernel adds nanoseconds, never takes them away.
                let back = i64::from(offset.nanos < 0);
                let nanos = i64::from(offset.nanos).saturating_add(back.saturating_mul(1_000_000_000));
                let seconds = offset.seconds.saturating_sub(back);
                let nanos = u32::try_from(nanos).unwrap_or(0);
                let offset = LinuxTimeOffsetBuilder::default().secs(seconds).nanosecs(nanos).build()?;
                Ok((clock.to_owned(), offset))
            })
            .collect()
    }
}

/// The mapping of a range, as an OCI specification has it.
pub(super) fn mapping(range: v1::IdRange) -> Result<Vec<LinuxIdMapping>, OciSpecError> {
    Ok(vec![LinuxIdMappingBuilder::default().container_id(0_u32).host_id(range.first).size(range.count).build()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shares_with_somebody_has_the_same_ids() {
        let shared = |name: &str| Some(v1::Namespace { source: Some(v1::namespace::Source::Container(name.into())) });
        let of = |options| Namespaces::of(&v1::ContainerSpec { namespaces: Some(options), ..Default::default() });
        assert_eq!(of(v1::NamespaceOptions::default()).user, Origin::Private);
        let pod = of(v1::NamespaceOptions { network: shared("web"), ipc: shared("web"), ..Default::default() });
        assert_eq!((pod.user.clone(), pod.others()), (Origin::Container("web".into()), vec!["web"]));
        let spec = v1::ContainerSpec { network: v1::NetworkMode::Host.into(), ..Default::default() };
        assert_eq!(Namespaces::of(&spec).user, Origin::Host);
    }

    #[test]
    fn a_clock_behind_is_whole_seconds_behind_and_the_rest_ahead() {
        let offset = prost_types::Duration { seconds: -1, nanos: -250_000_000 };
        let offsets = v1::ClockOffsets { monotonic: Some(offset), boottime: None };
        let options = v1::NamespaceOptions { clock_offsets: Some(offsets), ..Default::default() };
        let found = Namespaces::of(&v1::ContainerSpec { namespaces: Some(options), ..Default::default() });
        let offsets = found.offsets().unwrap();
        assert_eq!((offsets[0].1.secs(), offsets[0].1.nanosecs()), (Some(-2), Some(750_000_000)));
    }
}
