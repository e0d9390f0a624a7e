//! Between the OCI specification's `linux.resources` and our model.

use oci_spec::runtime::{LinuxCpuBuilder, LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResources};

use super::devices::{self, Rule};
use super::{CgroupError, Resources};

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

impl Resources {
    /// The limits of an OCI specification.
    ///
    /// # Errors
    /// [`CgroupError::UnsupportedField`] for every field that is set and would not be enforced.
    pub fn from_oci(oci: &LinuxResources) -> Result<Self, Vec<CgroupError>> {
        let mut errors: Vec<CgroupError> = unsupported(oci).into_iter().map(CgroupError::UnsupportedField).collect();
        let devices = device_rules(oci, &mut errors);
        let mut positive = |field, value: Option<i64>| match value {
            // -1 is "unlimited" in every limit of the specification.
            None | Some(-1) => None,
            Some(value) => match u64::try_from(value) {
                Ok(value) => Some(value),
                Err(_) => {
                    errors.push(CgroupError::OutOfRange { field, value: value.unsigned_abs(), range: "-1 or more" });
                    None
                }
            },
        };
        let cpu = oci.cpu().as_ref();
        let resources = Self {
            cpu_weight: cpu.and_then(|cpu| cpu.shares()).map(weight),
            cpu_quota_us: positive("cpu_quota_us", cpu.and_then(|cpu| cpu.quota())),
            cpu_period_us: cpu.and_then(|cpu| cpu.period()),
            memory_max_bytes: positive("memory_max_bytes", oci.memory().as_ref().and_then(|memory| memory.limit())),
            pids_max: positive("pids_max", oci.pids().as_ref().map(|pids| pids.limit())),
            devices,
        };
        if errors.is_empty() { Ok(resources) } else { Err(errors) }
    }

    /// These limits, as an OCI specification has them.
    #[must_use]
    pub fn to_oci(&self) -> LinuxResources {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let mut oci = LinuxResources::default();
        oci.set_devices(self.devices.as_ref().map(|rules| rules.iter().map(|rule| rule.to_oci()).collect()));
        if self.cpu_weight.is_some() || self.cpu_quota_us.is_some() || self.cpu_period_us.is_some() {
            let mut cpu = LinuxCpuBuilder::default().build().unwrap_or_default();
            cpu.set_shares(self.cpu_weight.map(shares));
            cpu.set_quota(self.cpu_quota_us.map(signed));
            cpu.set_period(self.cpu_period_us);
            oci.set_cpu(Some(cpu));
        }
        if let Some(bytes) = self.memory_max_bytes {
            oci.set_memory(LinuxMemoryBuilder::default().limit(signed(bytes)).build().ok());
        }
        if let Some(max) = self.pids_max {
            oci.set_pids(LinuxPidsBuilder::default().limit(signed(max)).build().ok());
        }
        oci
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

fn unsupported(oci: &LinuxResources) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut refuse = |set: bool, field| {
        if set {
            found.push(field);
        }
    };
    refuse(oci.block_io().is_some(), "blockIO");
    refuse(oci.hugepage_limits().as_ref().is_some_and(|limits| !limits.is_empty()), "hugepageLimits");
    refuse(oci.network().is_some(), "network");
    refuse(oci.rdma().as_ref().is_some_and(|rdma| !rdma.is_empty()), "rdma");
    refuse(oci.unified().as_ref().is_some_and(|unified| !unified.is_empty()), "unified");
    if let Some(memory) = oci.memory() {
        refuse(memory.reservation().is_some(), "memory.reservation");
        refuse(memory.swap().is_some(), "memory.swap");
        refuse(memory.kernel().is_some(), "memory.kernel");
        refuse(memory.kernel_tcp().is_some(), "memory.kernelTCP");
        refuse(memory.swappiness().is_some(), "memory.swappiness");
        refuse(memory.disable_oom_killer().is_some(), "memory.disableOOMKiller");
        refuse(memory.use_hierarchy().is_some(), "memory.useHierarchy");
        refuse(memory.check_before_update().is_some(), "memory.checkBeforeUpdate");
    }
    if let Some(cpu) = oci.cpu() {
        refuse(cpu.burst().is_some(), "cpu.burst");
        refuse(cpu.idle().is_some(), "cpu.idle");
        refuse(cpu.cpus().is_some(), "cpu.cpus");
        refuse(cpu.mems().is_some(), "cpu.mems");
        refuse(cpu.realtime_period().is_some(), "cpu.realtimePeriod");
        refuse(cpu.realtime_runtime().is_some(), "cpu.realtimeRuntime");
    }
    found
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
        let json = r#"{"memory": {"limit": 1048576, "swap": 7}, "cpu": {"cpus": "0", "quota": -1}, "blockIO": {"weight": 5}, "pids": {"limit": -5}}"#;
        let oci: LinuxResources = serde_json::from_str(json).unwrap();
        let text: Vec<String> = Resources::from_oci(&oci).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "linux.resources.blockIO is not supported",
                "linux.resources.memory.swap is not supported",
                "linux.resources.cpu.cpus is not supported",
                "pids_max is 5, it must be -1 or more",
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn every_weight_comes_back(weight_asked in 1_u32..=10_000) {
            proptest::prop_assert_eq!(weight(shares(weight_asked)), weight_asked);
        }

        #[test]
        fn resources_survive_oci(weight in proptest::option::of(1_u32..=10_000), quota in proptest::option::of(1_000_u64..1 << 40),
            period in proptest::option::of(1_000_u64..=1_000_000), memory in proptest::option::of(4096_u64..1 << 60), pids in proptest::option::of(1_u64..4_194_304), devices: bool) {
            let devices = devices.then(devices::default_rules);
            let asked = Resources { cpu_weight: weight, cpu_quota_us: quota, cpu_period_us: period, memory_max_bytes: memory, pids_max: pids, devices };
            let json = serde_json::to_string(&asked.to_oci()).unwrap();
            let oci: LinuxResources = serde_json::from_str(&json).unwrap();
            proptest::prop_assert_eq!(Resources::from_oci(&oci).unwrap(), asked);
        }
    }
}
