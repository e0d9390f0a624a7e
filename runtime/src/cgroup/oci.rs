//! Between the OCI specification's `linux.resources` and our model.
//!
//! What the specification has a field for uses it; what only v2 has stands in `unified` under the name of its file, as the specification wants it.
//! `memory.reservation` is refused: runtimes map it to a soft limit on v1 and to `memory.low` on v2, which are not the same.

use std::collections::HashMap;

use oci_spec::runtime::{
    LinuxBlockIoBuilder, LinuxCpu, LinuxCpuBuilder, LinuxHugepageLimitBuilder, LinuxMemory, LinuxMemoryBuilder,
    LinuxPidsBuilder, LinuxRdma, LinuxRdmaBuilder, LinuxResources, LinuxThrottleDevice, LinuxThrottleDeviceBuilder,
};

use super::change::size_name;
use super::devices::{self, Rule};
use super::{CgroupError, Cpu, Device, Hugetlb, Io, IoDevice, Memory, Rdma, Resources, flat};

/// `cpu.shares` of the default weight, 100.
const SHARES_AT_DEFAULT: u64 = 1024;
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

/// `cpu.shares` of a weight. Linear through the defaults of both (100 is 1024), so that ratios between containers are the
/// same on v1 and v2; the formula of other runtimes maps 2…262144 onto 1…10000 and bends them.
#[must_use]
pub(super) fn shares(weight: u32) -> u64 {
    (u64::from(weight) * SHARES_AT_DEFAULT / 100).clamp(*SHARES.start(), *SHARES.end())
}

/// The weight of `cpu.shares`, rounded to the nearest.
#[must_use]
pub(super) fn weight(shares: u64) -> u32 {
    let shares = shares.clamp(*SHARES.start(), *SHARES.end());
    let weight = (shares * 100 + SHARES_AT_DEFAULT / 2) / SHARES_AT_DEFAULT;
    u32::try_from(weight.clamp(1, 10_000)).unwrap_or(10_000)
}

/// Reads fields and gathers what is wrong with them.
#[derive(Default)]
struct Reader {
    errors: Vec<CgroupError>,
}

impl Reader {
    /// A limit of which -1 means "unlimited", as in every limit of the specification.
    fn positive(&mut self, field: &'static str, value: Option<i64>) -> Option<u64> {
        match value {
            None | Some(-1) => None,
            Some(value) => match u64::try_from(value) {
                Ok(value) => Some(value),
                Err(_) => {
                    let value = value.unsigned_abs();
                    self.errors.push(CgroupError::OutOfRange { field, value, range: "-1 or more" });
                    None
                }
            },
        }
    }

    fn refuse(&mut self, set: bool, field: &str) {
        if set {
            self.errors.push(CgroupError::UnsupportedField(field.to_owned()));
        }
    }

    /// A value as text; what it cannot be is refused by name.
    fn parsed<T: std::str::FromStr>(&mut self, field: &str, text: Option<&String>) -> Option<T> {
        let text = text.filter(|text| !text.is_empty())?;
        let parsed = text.trim().parse().ok();
        self.refuse(parsed.is_none(), &format!("{field} of {text:?}"));
        parsed
    }

    fn weight_of(&mut self, given: Option<u64>) -> Option<u32> {
        // 102400 is the highest weight; 0 and 1 are not what the kernel keeps.
        let fits = given.is_none_or(|shares| (2..=102_400).contains(&shares));
        self.refuse(!fits, "cpu.shares other than 2 to 102400");
        given.filter(|_| fits).map(weight)
    }

    fn cpu(&mut self, cpu: &LinuxCpu) -> Cpu {
        self.refuse(cpu.realtime_period().is_some(), "cpu.realtimePeriod");
        self.refuse(cpu.realtime_runtime().is_some(), "cpu.realtimeRuntime");
        self.refuse(cpu.idle().is_some_and(|idle| !(0..=1).contains(&idle)), "cpu.idle other than 0 and 1");
        Cpu {
            weight: self.weight_of(cpu.shares()),
            quota_us: self.positive("cpu.quota_us", cpu.quota()),
            period_us: cpu.period(),
            burst_us: cpu.burst(),
            idle: cpu.idle().map(|idle| idle == 1),
            cpus: self.parsed("cpu.cpus", cpu.cpus().as_ref()),
            mems: self.parsed("cpu.mems", cpu.mems().as_ref()),
        }
    }

    fn memory(&mut self, memory: &LinuxMemory) -> Memory {
        self.refuse(memory.reservation().is_some(), "memory.reservation");
        self.refuse(memory.kernel().is_some(), "memory.kernel");
        self.refuse(memory.kernel_tcp().is_some(), "memory.kernelTCP");
        self.refuse(memory.swappiness().is_some(), "memory.swappiness");
        self.refuse(memory.disable_oom_killer().is_some(), "memory.disableOOMKiller");
        self.refuse(memory.use_hierarchy().is_some(), "memory.useHierarchy");
        self.refuse(memory.check_before_update().is_some(), "memory.checkBeforeUpdate");
        let max_bytes = self.positive("memory.max_bytes", memory.limit());
        // There it is the sum of both.
        let both = self.positive("memory.swap_max_bytes", memory.swap());
        let swap_max_bytes = match (both, max_bytes) {
            (Some(both), Some(max)) => both.checked_sub(max),
            (Some(_), None) | (None, _) => None,
        };
        self.refuse(both.is_some() && swap_max_bytes.is_none(), "memory.swap below or without memory.limit");
        // Without a word there is none; "unlimited" cannot be had.
        self.refuse(max_bytes.is_some() && memory.swap() == Some(-1), "memory.swap of -1 (unlimited)");
        Memory { max_bytes, swap_max_bytes, ..Default::default() }
    }

    fn io(&mut self, io: &oci_spec::runtime::LinuxBlockIo) -> Io {
        type Field = fn(&mut IoDevice) -> &mut Option<u64>;
        const FIELDS: [Field; 4] = [
            |limit| &mut limit.read_bps,
            |limit| &mut limit.write_bps,
            |limit| &mut limit.read_iops,
            |limit| &mut limit.write_iops,
        ];
        self.refuse(io.leaf_weight().is_some(), "blockIO.leafWeight");
        let by_device = io.weight_device().as_ref().is_some_and(|devices| !devices.is_empty());
        self.refuse(by_device, "blockIO.weightDevice");
        let mut devices = Vec::new();
        let lists = [
            io.throttle_read_bps_device(),
            io.throttle_write_bps_device(),
            io.throttle_read_iops_device(),
            io.throttle_write_iops_device(),
        ];
        for (listed, field) in lists.into_iter().zip(FIELDS) {
            for throttle in listed.iter().flatten() {
                let number = |number: i64| u32::try_from(number).ok();
                let Some((major, minor)) = number(throttle.major()).zip(number(throttle.minor())) else {
                    self.refuse(true, "blockIO with a device number that is none");
                    continue;
                };
                *field(flat::device(&mut devices, Device { major, minor })) = Some(throttle.rate());
            }
        }
        // BFQ's scale, whose default is ours.
        Io { weight: io.weight().map(u32::from), devices }
    }

    fn hugetlb(&mut self, oci: &LinuxResources) -> Vec<Hugetlb> {
        let mut limits = Vec::new();
        for limit in oci.hugepage_limits().iter().flatten() {
            let size = page_size(limit.page_size());
            self.refuse(size.is_none(), &format!("hugepageLimits of size {:?}", limit.page_size()));
            let max = self.positive("hugetlb", Some(limit.limit()));
            limits.extend(size.zip(max).map(|(page_size_bytes, max_bytes)| Hugetlb { page_size_bytes, max_bytes }));
        }
        limits
    }

    /// Limits that only v2 has, by the names of their files. Those that have a field of their own are not taken twice.
    fn unified(&mut self, unified: &HashMap<String, String>, resources: &mut Resources) {
        let mut sorted: Vec<_> = unified.iter().collect();
        sorted.sort();
        for (file, value) in sorted {
            self.refuse(value.trim().is_empty(), &format!("unified.{file} without a value"));
            let memory = &mut resources.memory;
            match file.as_str() {
                "memory.high" => memory.high_bytes = self.number(file, value),
                // "max" would protect everything, which the model has no word for.
                "memory.low" => memory.low_bytes = self.parsed(&format!("unified.{file}"), Some(value)),
                "memory.min" => memory.min_bytes = self.parsed(&format!("unified.{file}"), Some(value)),
                "memory.oom.group" => {
                    self.refuse(!matches!(value.trim(), "0" | "1"), &format!("unified.{file} of {value:?}"));
                    memory.oom_group = Some(value.trim() == "1");
                }
                "io.weight" => resources.io.weight = self.parsed(file, Some(value)),
                "misc.max" => {
                    let limits: Vec<_> = value.lines().map(flat::misc_line).collect();
                    self.refuse(limits.contains(&None), &format!("unified.misc.max of {value:?}"));
                    resources.misc = limits.into_iter().flatten().collect();
                }
                _ => self.refuse(true, &format!("unified.{file}")),
            }
        }
    }

    /// A number; `max` is no limit.
    fn number(&mut self, file: &str, value: &String) -> Option<u64> {
        if value == "max" { None } else { self.parsed(&format!("unified.{file}"), Some(value)) }
    }
}

impl Resources {
    /// The limits of an OCI specification.
    ///
    /// # Errors
    /// [`CgroupError::UnsupportedField`] for every field that is set and would not be enforced.
    pub fn from_oci(oci: &LinuxResources) -> Result<Self, Vec<CgroupError>> {
        let mut reader = Reader::default();
        reader.refuse(oci.network().is_some(), "network");
        let rdma = |limit: &LinuxRdma| Rdma { hca_handles: limit.hca_handles(), hca_objects: limit.hca_objects() };
        let mut resources = Self {
            cpu: oci.cpu().as_ref().map(|cpu| reader.cpu(cpu)).unwrap_or_default(),
            memory: oci.memory().as_ref().map(|memory| reader.memory(memory)).unwrap_or_default(),
            pids_max: reader.positive("pids.max", oci.pids().as_ref().map(|pids| pids.limit())),
            io: oci.block_io().as_ref().map(|io| reader.io(io)).unwrap_or_default(),
            hugetlb: reader.hugetlb(oci),
            rdma: oci.rdma().iter().flatten().map(|(device, limit)| (device.clone(), rdma(limit))).collect(),
            misc: std::collections::BTreeMap::new(),
            devices: device_rules(oci, &mut reader.errors),
        };
        if let Some(unified) = oci.unified() {
            reader.unified(unified, &mut resources);
        }
        if reader.errors.is_empty() { Ok(resources) } else { Err(reader.errors) }
    }

    /// These limits, as an OCI specification has them.
    #[must_use]
    pub fn to_oci(&self) -> LinuxResources {
        let mut oci = LinuxResources::default();
        oci.set_devices(self.devices.as_ref().map(|rules| rules.iter().map(|rule| rule.to_oci()).collect()));
        if self.cpu != Cpu::default() {
            oci.set_cpu(Some(self.oci_cpu()));
        }
        if let Some(max) = self.memory.max_bytes {
            let swap = self.memory.swap_max_bytes.map(|swap| signed(max.saturating_add(swap)));
            let mut memory = LinuxMemoryBuilder::default().limit(signed(max)).build().unwrap_or_default();
            memory.set_swap(swap);
            oci.set_memory(Some(memory));
        }
        if let Some(max) = self.pids_max {
            oci.set_pids(LinuxPidsBuilder::default().limit(signed(max)).build().ok());
        }
        if !self.io.devices.is_empty() {
            oci.set_block_io(self.oci_io());
        }
        let huge = |limit: &Hugetlb| {
            let builder = LinuxHugepageLimitBuilder::default().page_size(size_name(limit.page_size_bytes));
            builder.limit(signed(limit.max_bytes)).build().ok()
        };
        let huge: Vec<_> = self.hugetlb.iter().filter_map(huge).collect();
        oci.set_hugepage_limits((!huge.is_empty()).then_some(huge));
        let rdma = |limit: &Rdma| {
            let mut builder = LinuxRdmaBuilder::default();
            if let Some(handles) = limit.hca_handles {
                builder = builder.hca_handles(handles);
            }
            if let Some(objects) = limit.hca_objects {
                builder = builder.hca_objects(objects);
            }
            builder.build().unwrap_or_default()
        };
        let rdma: HashMap<_, _> = self.rdma.iter().map(|(device, limit)| (device.clone(), rdma(limit))).collect();
        oci.set_rdma((!rdma.is_empty()).then_some(rdma));
        let unified = self.oci_unified();
        oci.set_unified((!unified.is_empty()).then_some(unified));
        oci
    }

    fn oci_cpu(&self) -> LinuxCpu {
        let mut cpu = LinuxCpuBuilder::default().build().unwrap_or_default();
        cpu.set_shares(self.cpu.weight.map(shares));
        cpu.set_quota(self.cpu.quota_us.map(signed));
        cpu.set_period(self.cpu.period_us);
        cpu.set_burst(self.cpu.burst_us);
        cpu.set_idle(self.cpu.idle.map(i64::from));
        cpu.set_cpus(self.cpu.cpus.as_ref().map(ToString::to_string));
        cpu.set_mems(self.cpu.mems.as_ref().map(ToString::to_string));
        cpu
    }

    fn oci_io(&self) -> Option<oci_spec::runtime::LinuxBlockIo> {
        let listed = |rate: fn(&IoDevice) -> Option<u64>| -> Vec<LinuxThrottleDevice> {
            let throttle = |limit: &IoDevice| {
                let builder = LinuxThrottleDeviceBuilder::default().major(limit.device.major);
                builder.minor(limit.device.minor).rate(rate(limit)?).build().ok()
            };
            self.io.devices.iter().filter_map(throttle).collect()
        };
        LinuxBlockIoBuilder::default()
            .throttle_read_bps_device(listed(|limit| limit.read_bps))
            .throttle_write_bps_device(listed(|limit| limit.write_bps))
            .throttle_read_iops_device(listed(|limit| limit.read_iops))
            .throttle_write_iops_device(listed(|limit| limit.write_iops))
            .build()
            .ok()
    }

    fn oci_unified(&self) -> HashMap<String, String> {
        let memory = &self.memory;
        let values = [
            ("memory.high", memory.high_bytes),
            ("memory.low", memory.low_bytes),
            ("memory.min", memory.min_bytes),
            ("memory.oom.group", memory.oom_group.map(u64::from)),
            ("io.weight", self.io.weight.map(u64::from)),
        ];
        let mut unified: HashMap<String, String> =
            values.into_iter().filter_map(|(file, value)| Some((file.to_owned(), value?.to_string()))).collect();
        if !self.misc.is_empty() {
            let lines: Vec<String> = self.misc.iter().map(|(name, max)| format!("{name} {max}")).collect();
            unified.insert("misc.max".to_owned(), lines.join("\n"));
        }
        unified
    }
}

/// The device rules over the default ones; `None` if there are none.
fn device_rules(oci: &LinuxResources, errors: &mut Vec<CgroupError>) -> Option<Vec<Rule>> {
    let given = oci.devices().as_ref().filter(|rules| !rules.is_empty())?;
    let mut rules = Vec::new();
    for (index, rule) in given.iter().enumerate() {
        match Rule::from_oci(rule) {
            Ok(rule) => rules.push(rule),
            Err(why) => errors.push(CgroupError::DeviceRule { index, why }),
        }
    }
    Some(devices::over_default(&rules))
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The bytes of `2MB`.
fn page_size(name: &str) -> Option<u64> {
    let (number, shift) = [("KB", 10), ("MB", 20), ("GB", 30)]
        .into_iter()
        .find_map(|(unit, shift)| Some((name.strip_suffix(unit)?, shift)))?;
    number.parse::<u64>().ok().filter(|number| *number <= 1 << 20).map(|number| number << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_both_versions_are_the_same_weight() {
        assert_eq!((shares(100), weight(1024)), (1024, 100));
        assert_eq!((shares(1), shares(10_000)), (10, 102_400));
    }

    #[test]
    fn what_is_not_enforced_is_refused_by_name() {
        let json = r#"{"memory": {"limit": 1048576, "swap": 7, "reservation": 4096}, "cpu": {"cpus": "0-", "quota": -1}, "blockIO": {"leafWeight": 5},
            "pids": {"limit": -5}, "unified": {"memory.zswap.max": "1"}}"#;
        let oci: LinuxResources = serde_json::from_str(json).unwrap();
        let text: Vec<String> = Resources::from_oci(&oci).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "linux.resources.cpu.cpus of \"0-\" is not supported",
                "linux.resources.memory.reservation is not supported",
                "linux.resources.memory.swap below or without memory.limit is not supported",
                "pids.max is 5, it must be -1 or more",
                "linux.resources.blockIO.leafWeight is not supported",
                "linux.resources.unified.memory.zswap.max is not supported",
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn every_weight_comes_back(weight_asked in 1_u32..=10_000) {
            proptest::prop_assert_eq!(weight(shares(weight_asked)), weight_asked);
        }

        #[test]
        fn resources_survive_oci(asked in super::super::translation::resources()) {
            let json = serde_json::to_string(&asked.to_oci()).unwrap();
            let oci: LinuxResources = serde_json::from_str(&json).unwrap();
            proptest::prop_assert_eq!(Resources::from_oci(&oci).unwrap(), asked);
        }
    }
}
