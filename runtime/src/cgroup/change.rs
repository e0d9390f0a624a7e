//! From limits to what is written: pure, so that it can be tested without a kernel. The back ends name the files.

use std::path::Path;

use super::resources::{DEFAULT_PERIOD_US, DEFAULT_WEIGHT, UNLIMITED};
use super::{CgroupError, Controller, Effective, Resources, file};

/// One write(2) to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Write {
    /// Whose file it is.
    pub(super) controller: Controller,
    /// The file.
    pub(super) file: String,
    /// What is written.
    pub(super) value: String,
    /// Written only where the file is, and then read back at once, because no field of the model says what it must be.
    pub(super) implied: bool,
}

impl Write {
    pub(super) fn new(controller: Controller, file: impl Into<String>, value: impl ToString) -> Self {
        Self { controller, file: file.into(), value: value.to_string(), implied: false }
    }

    pub(super) fn implied(self) -> Self {
        Self { implied: true, ..self }
    }

    /// Does it.
    pub(super) fn carry_out(&self, directory: &Path) -> Result<(), CgroupError> {
        if !self.implied {
            return file::write(directory, &self.file, &self.value);
        }
        if !directory.join(&self.file).exists() {
            return Ok(());
        }
        file::write(directory, &self.file, &self.value)?;
        let found = file::read(directory, &self.file)?;
        let found = found.trim();
        // "No limit" may come back as a number.
        if found == self.value || matches!(self.value.as_str(), "-1" | "max") {
            return Ok(());
        }
        let (asked, effective) = (self.value.clone(), found.to_owned());
        Err(CgroupError::NotEnforced { field: self.file.clone(), asked, effective })
    }
}

/// From one set of limits to another. Of a cgroup that was just made nothing is known (`before` is `None`), and what is absent is left alone; of one
/// that has limits, what is absent goes back to the kernel's default, and what is the same is not written again.
#[derive(Clone, Debug)]
pub(super) struct Change<'a> {
    /// In whole pages.
    pub(super) asked: Resources,
    pub(super) before: Option<&'a Effective>,
}

impl<'a> Change<'a> {
    pub(super) fn new(asked: &Resources, before: Option<&'a Effective>) -> Self {
        Self { asked: asked.rounded(), before }
    }

    /// The value to be written, if any.
    pub(super) fn of<T: PartialEq>(&self, field: impl Fn(&Resources) -> Option<T>, default: T) -> Option<T> {
        let asked = field(&self.asked);
        let Some(before) = self.before else { return asked };
        let now = field(before);
        if asked == now || now.is_none() && asked.as_ref() == Some(&default) {
            return None;
        }
        match (asked, now) {
            (None, Some(now)) if now == default => None,
            (Some(asked), _) => Some(asked),
            (None, _) => Some(default),
        }
    }

    /// A limit that is a number, [`UNLIMITED`] when it is to be lifted.
    pub(super) fn limit(&self, field: impl Fn(&Resources) -> Option<u64>) -> Option<u64> {
        self.of(field, UNLIMITED)
    }

    /// A value as it was, `default` when nothing is known.
    pub(super) fn was<T>(&self, field: impl Fn(&Resources) -> Option<T>, default: T) -> T {
        self.before.and_then(field).unwrap_or(default)
    }

    /// Weight and idleness, in the order the kernel takes them: an idle group has no weight, and one that ceases to be idle the default one.
    pub(super) fn share(&self, weight: (&str, fn(u32) -> u64)) -> Vec<Write> {
        let idle = self.of(|limits| limits.cpu.idle, false);
        let mut writes: Vec<Write> =
            idle.into_iter().map(|idle| Write::new(Controller::Cpu, "cpu.idle", u8::from(idle))).collect();
        if self.asked.cpu.idle != Some(true)
            && let Some(asked) = self.of(|limits| limits.cpu.weight, DEFAULT_WEIGHT)
        {
            writes.push(Write::new(Controller::Cpu, weight.0, (weight.1)(asked)));
        }
        writes
    }

    /// `bandwidth` changes quota and period. The kernel takes no quota below the burst, so that is out of the way meanwhile.
    pub(super) fn with_burst(&self, burst: &str, bandwidth: Vec<Write>) -> Vec<Write> {
        let write = |value: u64| Write::new(Controller::Cpu, burst, value);
        let (was, asked) = (self.was(|limits| limits.cpu.burst_us, 0), self.asked.cpu.burst_us.unwrap_or(0));
        let away = was > 0 && (was != asked || !bandwidth.is_empty());
        let set = asked > 0 && (away || was != asked);
        let mut writes: Vec<Write> = away.then(|| write(0)).into_iter().collect();
        writes.extend(bandwidth);
        writes.extend(set.then(|| write(asked)));
        writes
    }

    /// Quota and period, if one of them is to be written.
    pub(super) fn bandwidth(&self) -> (Option<u64>, Option<u64>) {
        (self.limit(|limits| limits.cpu.quota_us), self.of(|limits| limits.cpu.period_us, DEFAULT_PERIOD_US))
    }

    /// Every device that is, or was, limited.
    pub(super) fn devices(&self) -> Vec<super::Device> {
        let before = self.before.map(|before| before.io.devices.as_slice()).unwrap_or_default();
        let mut devices: Vec<_> = self.asked.io.devices.iter().chain(before).map(|limit| limit.device).collect();
        devices.sort_unstable();
        devices.dedup();
        devices
    }

    /// Huge pages, with the file of a size; the reservation is limited too, so that a program learns it from mmap(2) and not by SIGBUS.
    pub(super) fn hugetlb(&self, files: [fn(&str) -> String; 2], lifted: &str) -> Vec<Write> {
        let before = self.before.map(|before| before.hugetlb.as_slice()).unwrap_or_default();
        let mut sizes: Vec<u64> = self.asked.hugetlb.iter().chain(before).map(|limit| limit.page_size_bytes).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let mut writes = Vec::new();
        for size in sizes {
            let Some(max) = self.limit(|limits| limits.huge(size)) else { continue };
            let value = if max == UNLIMITED { lifted.to_owned() } else { max.to_string() };
            let [limit, reservation] = files.map(|file| file(&size_name(size)));
            writes.push(Write::new(Controller::Hugetlb, limit, &value));
            writes.push(Write::new(Controller::Hugetlb, reservation, &value).implied());
        }
        writes
    }

    /// `rdma.max` and `misc.max`, which are the same in both versions.
    pub(super) fn devices_of_others(&self) -> Vec<Write> {
        let mut writes = Vec::new();
        let max = |limit: Option<u32>| limit.map_or_else(|| "max".to_owned(), |limit| limit.to_string());
        let before = self.before.map(|before| before.rdma.clone()).unwrap_or_default();
        for device in before.keys().chain(self.asked.rdma.keys().filter(|device| !before.contains_key(*device))) {
            let asked = self.asked.rdma.get(device).copied().unwrap_or_default();
            if self.before.is_none() || before.get(device).copied().unwrap_or_default() != asked {
                let value =
                    format!("{device} hca_handle={} hca_object={}", max(asked.hca_handles), max(asked.hca_objects));
                writes.push(Write::new(Controller::Rdma, "rdma.max", value));
            }
        }
        let before = self.before.map(|before| before.misc.clone()).unwrap_or_default();
        for name in before.keys().chain(self.asked.misc.keys().filter(|name| !before.contains_key(*name))) {
            let asked = self.asked.misc.get(name);
            if before.get(name) != asked {
                let value = asked.map_or_else(|| "max".to_owned(), ToString::to_string);
                writes.push(Write::new(Controller::Misc, "misc.max", format!("{name} {value}")));
            }
        }
        writes
    }
}

/// A page size as file names have it: `2MB`, `1GB`, `64KB` (mem_fmt in mm/hugetlb_cgroup.c).
pub(super) fn size_name(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 30 => format!("{}GB", bytes >> 30),
        _ if bytes >= 1 << 20 => format!("{}MB", bytes >> 20),
        _ => format!("{}KB", bytes >> 10),
    }
}

/// Sizes of huge pages that this kernel has, bytes, of the names `hugepages-2048kB`.
pub(super) fn huge_sizes() -> Vec<u64> {
    let entries = std::fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().filter_map(Result::ok);
    let size = |name: std::ffi::OsString| {
        let kib: u64 = name.to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        kib.checked_mul(1024)
    };
    let mut sizes: Vec<u64> = entries.filter_map(|entry| size(entry.file_name())).collect();
    sizes.sort_unstable();
    sizes
}

/// A number, or `max` for none.
pub(super) fn number_or_max(value: u64) -> String {
    if value == UNLIMITED { "max".to_owned() } else { value.to_string() }
}
