//! The limits of one container: one model for v1, v2 and hybrid hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CgroupError, Controller, IdList};

/// Limits of one container. `None`, or an absent entry, leaves the kernel's default, or brings it back when limits of a running container are
/// replaced. Names and meanings are those of cgroup-v2.rst; what v1 has is translated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// CPU time, and which CPUs and memory nodes.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// Processes and threads the container may have, at least 1 (`pids.max`).
    pub pids_max: Option<u64>,
    /// Block I/O.
    pub io: Io,
    /// Huge pages, one entry for a page size.
    pub hugetlb: Vec<Hugetlb>,
    /// RDMA, by device.
    pub rdma: BTreeMap<String, Rdma>,
    /// Resources of the misc controller, by name: the most of each.
    pub misc: BTreeMap<String, u64>,
    /// What may be done with devices, in full: the last rule that matches decides, and none means no. As [`Effective`] it is absent: that it holds is checked
    /// when it is written. Absent in a replacement, it stays as it was.
    pub devices: Option<Vec<super::devices::Rule>>,
}

/// The limits as the kernel has them. `None`: unlimited, or the controller is absent and nothing was asked of it.
pub type Effective = Resources;

/// CPU limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// Share of CPU time under contention, 1 to 10000, kernel default 100 (`cpu.weight`; v1 `cpu.shares`).
    pub weight: Option<u32>,
    /// CPU time per period, microseconds, at least 1000 (`cpu.max`; v1 `cpu.cfs_quota_us`).
    pub quota_us: Option<u64>,
    /// The period, microseconds, 1000 to 1000000; kernel default 100000 (`cpu.max`; v1 `cpu.cfs_period_us`).
    pub period_us: Option<u64>,
    /// Unused quota that may be saved up, microseconds, at most the quota (`cpu.max.burst`; v1 `cpu.cfs_burst_us`; sched-bwc.rst).
    pub burst_us: Option<u64>,
    /// Only what nobody else wants, as SCHED_IDLE does (`cpu.idle` in both versions). Excludes a weight.
    pub idle: Option<bool>,
    /// CPUs it may run on (`cpuset.cpus`).
    pub cpus: Option<IdList>,
    /// Memory nodes it may allocate from (`cpuset.mems`).
    pub mems: Option<IdList>,
}

/// Memory limits, bytes; the kernel counts in pages and rounds down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Memory the container may use, page cache included (`memory.max`; v1 `memory.limit_in_bytes`).
    pub max_bytes: Option<u64>,
    /// Above this it is slowed down and reclaimed from (`memory.high`, v2 only).
    pub high_bytes: Option<u64>,
    /// Not reclaimed below this while others can be (`memory.low`, v2 only).
    pub low_bytes: Option<u64>,
    /// Never reclaimed below this (`memory.min`, v2 only).
    pub min_bytes: Option<u64>,
    /// Swap in addition to `max_bytes` (`memory.swap.max`; v1 `memory.memsw.limit_in_bytes` is the sum). Absent with a `max_bytes`: none.
    pub swap_max_bytes: Option<u64>,
    /// The OOM killer takes all of it or nothing (`memory.oom.group`, v2 only).
    pub oom_group: Option<bool>,
}

/// Block I/O limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Io {
    /// Share of a contended device, 1 to 10000, kernel default 100 (`io.weight`, or BFQ's `io.bfq.weight` and `blkio.bfq.weight`, up to 1000).
    pub weight: Option<u32>,
    /// Rates, one entry for a device.
    pub devices: Vec<IoDevice>,
}

/// Most that may be read from and written to one block device (`io.max`; v1 `blkio.throttle.*`, which sees direct I/O only).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IoDevice {
    /// The device.
    pub device: Device,
    /// Bytes read, a second.
    pub read_bps: Option<u64>,
    /// Bytes written, a second.
    pub write_bps: Option<u64>,
    /// Read operations, a second.
    pub read_iops: Option<u64>,
    /// Write operations, a second.
    pub write_iops: Option<u64>,
}

/// A whole block device, by its numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// Most memory in huge pages of one size (`hugetlb.SIZE.max`; v1 `hugetlb.SIZE.limit_in_bytes`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hugetlb {
    /// Size of a page, bytes.
    pub page_size_bytes: u64,
    /// Most, bytes; the kernel rounds down to whole pages.
    pub max_bytes: u64,
}

/// Most of one RDMA device (`rdma.max`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rdma {
    /// HCA handles.
    pub hca_handles: Option<u32>,
    /// HCA objects.
    pub hca_objects: Option<u32>,
}

/// The kernel's defaults, for the fields whose default is a value.
pub(super) const DEFAULT_WEIGHT: u32 = 100;
pub(super) const DEFAULT_PERIOD_US: u64 = 100_000;
/// Stands for "no limit" where values are compared.
pub(super) const UNLIMITED: u64 = u64::MAX;

/// The four rates of a device: name, as `io.max` has it, and how it is read.
pub(super) type Rate = (&'static str, fn(&IoDevice) -> Option<u64>);
pub(super) const RATES: [Rate; 4] = [
    ("rbps", |device| device.read_bps),
    ("wbps", |device| device.write_bps),
    ("riops", |device| device.read_iops),
    ("wiops", |device| device.write_iops),
];

impl Resources {
    /// As the kernel will have them: memory in whole pages.
    pub(super) fn rounded(&self) -> Self {
        let mut rounded = self.clone();
        let page = page_size();
        let down = |value: &mut Option<u64>, unit: u64| {
            *value = value.map(|bytes| bytes.checked_rem(unit).map_or(bytes, |rest| bytes.saturating_sub(rest)));
        };
        let memory = &mut rounded.memory;
        for value in [
            &mut memory.max_bytes,
            &mut memory.high_bytes,
            &mut memory.low_bytes,
            &mut memory.min_bytes,
            &mut memory.swap_max_bytes,
        ] {
            down(value, page);
        }
        for limit in &mut rounded.hugetlb {
            let mut max = Some(limit.max_bytes);
            down(&mut max, limit.page_size_bytes);
            limit.max_bytes = max.unwrap_or(limit.max_bytes);
        }
        rounded
    }

    /// The rates of a device; none when nothing is said about it.
    pub(super) fn device(&self, device: Device) -> IoDevice {
        let found = self.io.devices.iter().find(|limit| limit.device == device).copied();
        found.unwrap_or(IoDevice { device, ..Default::default() })
    }

    /// The most memory in huge pages of a size.
    pub(super) fn huge(&self, page_size_bytes: u64) -> Option<u64> {
        self.hugetlb.iter().find(|limit| limit.page_size_bytes == page_size_bytes).map(|limit| limit.max_bytes)
    }

    /// The controllers that these limits need.
    pub(super) fn controllers(&self) -> BTreeSet<Controller> {
        let mut found = BTreeSet::new();
        let (cpu, io) = (&self.cpu, &self.io);
        let bandwidth = cpu.quota_us.or(cpu.period_us).or(cpu.burst_us);
        let mut need = |asked: bool, controller| {
            if asked {
                found.insert(controller);
            }
        };
        need(cpu.weight.is_some() || bandwidth.is_some() || cpu.idle.is_some(), Controller::Cpu);
        need(cpu.cpus.is_some() || cpu.mems.is_some(), Controller::Cpuset);
        need(self.memory != Memory::default(), Controller::Memory);
        need(self.pids_max.is_some(), Controller::Pids);
        need(io.weight.is_some() || !io.devices.is_empty(), Controller::Io);
        need(!self.hugetlb.is_empty(), Controller::Hugetlb);
        need(!self.rdma.is_empty(), Controller::Rdma);
        need(!self.misc.is_empty(), Controller::Misc);
        found
    }

    /// Every limit by its name, with its value. What is the kernel's default is left out, so that two of these can be compared.
    pub(super) fn entries(&self) -> BTreeMap<String, String> {
        self.entries_if(|value, default| value != default)
    }

    /// The same, with defaults.
    pub(super) fn all_entries(&self) -> BTreeMap<String, String> {
        self.entries_if(|_, _| true)
    }

    fn entries_if(&self, wanted: impl Fn(&str, &str) -> bool) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut add = |name: String, value: Option<String>, default: &str| {
            if let Some(value) = value.filter(|value| wanted(value, default)) {
                all.insert(name, value);
            }
        };
        let text = |value: Option<u64>| value.map(|value| value.to_string());
        let (cpu, memory) = (&self.cpu, &self.memory);
        add("cpu.weight".into(), cpu.weight.map(|weight| weight.to_string()), "100");
        add("cpu.quota_us".into(), text(cpu.quota_us), "");
        add("cpu.period_us".into(), text(cpu.period_us), "100000");
        add("cpu.burst_us".into(), text(cpu.burst_us), "0");
        add("cpu.idle".into(), cpu.idle.map(|idle| idle.to_string()), "false");
        add("cpu.cpus".into(), cpu.cpus.as_ref().map(ToString::to_string), "");
        add("cpu.mems".into(), cpu.mems.as_ref().map(ToString::to_string), "");
        add("memory.max_bytes".into(), text(memory.max_bytes), "");
        add("memory.high_bytes".into(), text(memory.high_bytes), "");
        add("memory.low_bytes".into(), text(memory.low_bytes), "0");
        add("memory.min_bytes".into(), text(memory.min_bytes), "0");
        add("memory.swap_max_bytes".into(), text(memory.swap_max_bytes), "");
        add("memory.oom_group".into(), memory.oom_group.map(|group| group.to_string()), "false");
        add("pids.max".into(), text(self.pids_max), "");
        add("io.weight".into(), self.io.weight.map(|weight| weight.to_string()), "100");
        for limit in &self.io.devices {
            for (name, rate) in RATES {
                add(format!("io.devices {} {name}", limit.device), text(rate(limit)), "");
            }
        }
        for limit in &self.hugetlb {
            add(format!("hugetlb {}", limit.page_size_bytes), Some(limit.max_bytes.to_string()), "");
        }
        for (device, limit) in &self.rdma {
            add(format!("rdma {device} hca_handles"), text(limit.hca_handles.map(u64::from)), "");
            add(format!("rdma {device} hca_objects"), text(limit.hca_objects.map(u64::from)), "");
        }
        for (name, max) in &self.misc {
            add(format!("misc {name}"), Some(max.to_string()), "");
        }
        all
    }
}

/// Whether the kernel has what was asked; with `wholly`, and nothing else. A CPU or memory node list that was not asked for is the parent's, and swap
/// that was not asked for is none.
pub(super) fn verify(asked: &Resources, effective: &Effective, wholly: bool) -> Result<(), CgroupError> {
    const INHERITED: [&str; 2] = ["cpu.cpus", "cpu.mems"];
    let (asked, mut effective) = (asked.rounded().entries(), effective.entries());
    let not_enforced = |field: &str, asked: Option<&String>, effective: Option<&String>| {
        let said = |value: Option<&String>| value.map_or_else(|| "no limit".to_owned(), Clone::clone);
        Err(CgroupError::NotEnforced { field: field.to_owned(), asked: said(asked), effective: said(effective) })
    };
    for (field, value) in &asked {
        let found = effective.remove(field);
        if found.as_ref() != Some(value) {
            return not_enforced(field, Some(value), found.as_ref());
        }
    }
    let no_swap = |field: &str, value: &str| field == "memory.swap_max_bytes" && value == "0";
    let other = effective.iter().find(|(field, value)| !INHERITED.contains(&field.as_str()) && !no_swap(field, value));
    match other {
        Some((field, value)) if wholly => not_enforced(field, None, Some(value)),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn page_size() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bent_limit_is_an_error_and_whole_pages_are_not() {
        let memory = Memory { max_bytes: Some(10_000), ..Default::default() };
        let asked = Resources { memory, pids_max: Some(5), ..Default::default() };
        let kept = asked.rounded();
        assert_eq!(kept.memory.max_bytes, Some(8192));
        assert!(verify(&asked, &kept, true).is_ok());
        let lost = Resources { pids_max: None, ..kept.clone() };
        let error = verify(&asked, &lost, false).unwrap_err();
        assert_eq!(error.to_string(), "pids.max: asked for 5, the kernel has no limit");
        let more = Resources { misc: BTreeMap::from([("sev".to_owned(), 3)]), ..kept };
        assert!(verify(&asked, &more, false).is_ok());
        let error = verify(&asked, &more, true).unwrap_err();
        assert_eq!(error.to_string(), "misc sev: asked for no limit, the kernel has 3");
    }
}
