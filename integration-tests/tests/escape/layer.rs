//! What stands between a container and its host.

use std::fmt;

use crate::place::Kind;

/// One of the things that stop a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// The filter of system calls.
    Seccomp,
    /// A capability that the container does not have.
    Capabilities,
    /// The container's root is nobody on the host, and a namespace of the host is not its own.
    UserNamespace,
    PidNamespace,
    NetworkNamespace,
    /// The container's own cgroup is the root of what it sees.
    CgroupNamespace,
    /// The container's mounts are its own, and its root is the end of them.
    MountNamespace,
    /// A null device or an empty directory over it.
    Mask,
    /// A read-only mount of it.
    ReadOnly,
    /// A `/dev` that has only the container's nodes.
    DeviceNodes,
    /// A mount on which no node is a device.
    NoDevices,
    /// Programs give no privileges.
    NoNewPrivileges,
    /// Init belongs to nobody who could look into it (PR_SET_DUMPABLE of prctl(2)).
    UndumpableInit,
    /// Every descriptor of the supervisor's is closed.
    ClosedDescriptors,
    /// The kernel itself, or this kernel's lack of it.
    Kernel,
}

impl Layer {
    /// The container that has all but this layer, or as little as goes besides; `None` for what no option takes away.
    pub(crate) fn without(self) -> Option<Kind> {
        match self {
            Self::Seccomp => Some(Kind::NoFilter),
            Self::UserNamespace => Some(Kind::NoUser),
            Self::Capabilities | Self::Mask | Self::ReadOnly | Self::NoNewPrivileges => Some(Kind::Namespaces),
            Self::PidNamespace
            | Self::NetworkNamespace
            | Self::CgroupNamespace
            | Self::MountNamespace
            | Self::DeviceNodes
            | Self::NoDevices
            | Self::UndumpableInit
            | Self::ClosedDescriptors
            | Self::Kernel => None,
        }
    }

    /// Whether it guards a file that a kernel may lack, so that there is nothing to guard.
    pub(crate) fn guards_a_file(self) -> bool {
        matches!(self, Self::Mask | Self::ReadOnly | Self::UserNamespace)
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Seccomp => "seccomp",
            Self::Capabilities => "capabilities",
            Self::UserNamespace => "user namespace",
            Self::PidNamespace => "pid namespace",
            Self::CgroupNamespace => "cgroup namespace",
            Self::NetworkNamespace => "network namespace",
            Self::MountNamespace => "mount namespace",
            Self::Mask => "mask",
            Self::ReadOnly => "read-only mount",
            Self::DeviceNodes => "device nodes",
            Self::NoDevices => "nodev mount",
            Self::NoNewPrivileges => "no_new_privs",
            Self::UndumpableInit => "undumpable init",
            Self::ClosedDescriptors => "closed descriptors",
            Self::Kernel => "kernel",
        })
    }
}
