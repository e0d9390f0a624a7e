//! The fields of the specification's resources that files of cgroups say, and what they can be.

use std::fmt;

/// A field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Weight,
    Quota,
    Period,
    Burst,
    Idle,
    Cpus,
    Mems,
    Max,
    High,
    Low,
    Min,
    Swap,
    /// Memory and swap together, as v1 counts them.
    Sum,
    OomGroup,
    Pids,
    IoWeight,
    /// Of a device by major and minor number.
    Rate(u32, u32, Rate),
    /// Of a size of page, bytes.
    Hugetlb(u64),
    RdmaHandles(String),
    RdmaObjects(String),
    Misc(String),
}

/// What is counted of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rate {
    ReadBytes,
    WriteBytes,
    ReadOperations,
    WriteOperations,
}

/// What a field is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Number(u64),
    Unlimited,
    Text(String),
}

impl Field {
    /// Whether v1 has nothing of the kind.
    pub(super) fn is_of_v2(&self) -> bool {
        matches!(self, Self::High | Self::Low | Self::Min | Self::OomGroup)
    }
}

impl Value {
    /// Whether it is another than the kernel's default of what only v2 has.
    pub(super) fn is_a_limit(&self) -> bool {
        !matches!(self, Self::Unlimited | Self::Number(0))
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Weight => "cpu.weight",
            Self::Quota => "cpu.limit_millis",
            Self::Period => "cpu.period_us",
            Self::Burst => "cpu.burst_us",
            Self::Idle => "cpu.idle",
            Self::Cpus => "cpu.cpus",
            Self::Mems => "cpu.mems",
            Self::Max => "memory.max_bytes",
            Self::High => "memory.high_bytes",
            Self::Low => "memory.low_bytes",
            Self::Min => "memory.min_bytes",
            Self::Swap | Self::Sum => "memory.swap_max_bytes",
            Self::OomGroup => "memory.oom_group",
            Self::Pids => "pids.max",
            Self::IoWeight => "io.weight",
            Self::Rate(major, minor, rate) => {
                let rate = match rate {
                    Rate::ReadBytes => "read_bytes_per_second",
                    Rate::WriteBytes => "write_bytes_per_second",
                    Rate::ReadOperations => "read_operations_per_second",
                    Rate::WriteOperations => "write_operations_per_second",
                };
                return write!(f, "io.devices {major}:{minor} {rate}");
            }
            Self::Hugetlb(size) => return write!(f, "hugetlb {size}"),
            Self::RdmaHandles(device) => return write!(f, "rdma {device} hca_handles"),
            Self::RdmaObjects(device) => return write!(f, "rdma {device} hca_objects"),
            Self::Misc(resource) => return write!(f, "misc {resource}"),
        })
    }
}
