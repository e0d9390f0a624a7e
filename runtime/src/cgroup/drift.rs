//! Limits that somebody else has changed: found, and brought back. Pure.

use super::resources::RATES;
use super::{Effective, Resources};

/// A limit that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Which, as a path of fields: `memory.max_bytes`, `io.devices 8:0 rbps`.
    pub limit: String,
    /// What it should be; `None` stands for the kernel's default, which for most is no limit.
    pub expected: Option<String>,
    /// What it is.
    pub found: Option<String>,
}

/// Where the kernel differs from what it had before. Only limits that were asked for count: what was left to the kernel may be anything.
#[must_use]
pub fn drift(asked: &Resources, expected: &Effective, found: &Effective) -> Vec<Drift> {
    let (expected, found) = (expected.entries(), found.entries());
    let differs = |limit: String| {
        let (expected, found) = (expected.get(&limit).cloned(), found.get(&limit).cloned());
        (expected != found).then_some(Drift { limit, expected, found })
    };
    asked.all_entries().into_keys().filter_map(differs).collect()
}

/// What the kernel has, with what was asked for as it was expected. Everything else is as it is now.
#[must_use]
pub fn restored(asked: &Resources, expected: &Effective, found: &Effective) -> Resources {
    let mut restored = found.clone();
    macro_rules! restore {
        ($($($field:ident).+),+ $(,)?) => {
            $(if asked.$($field).+.is_some() {
                restored.$($field).+ = expected.$($field).+.clone();
            })+
        };
    }
    restore!(cpu.weight, cpu.quota_us, cpu.period_us, cpu.burst_us, cpu.idle, cpu.cpus, cpu.mems);
    restore!(memory.max_bytes, memory.high_bytes, memory.low_bytes, memory.min_bytes);
    restore!(memory.swap_max_bytes, memory.oom_group, pids_max, io.weight);
    if asked.cpu.weight.is_some() {
        // What is idle has no weight.
        restored.cpu.idle = expected.cpu.idle;
    }
    for limit in &asked.io.devices {
        let expected = expected.device(limit.device);
        let mut now = restored.device(limit.device);
        // In the order of RATES.
        let rates = [&mut now.read_bps, &mut now.write_bps, &mut now.read_iops, &mut now.write_iops];
        for ((_, rate), now) in RATES.into_iter().zip(rates) {
            if rate(limit).is_some() {
                *now = rate(&expected);
            }
        }
        restored.io.devices.retain(|known| known.device != limit.device);
        restored.io.devices.push(now);
    }
    for limit in &asked.hugetlb {
        restored.hugetlb.retain(|known| known.page_size_bytes != limit.page_size_bytes);
        restored.hugetlb.extend(expected.hugetlb.iter().filter(|was| was.page_size_bytes == limit.page_size_bytes));
    }
    for (device, limit) in &asked.rdma {
        let was = expected.rdma.get(device).copied().unwrap_or_default();
        let now = restored.rdma.entry(device.clone()).or_default();
        if limit.hca_handles.is_some() {
            now.hca_handles = was.hca_handles;
        }
        if limit.hca_objects.is_some() {
            now.hca_objects = was.hca_objects;
        }
    }
    for name in asked.misc.keys() {
        match expected.misc.get(name) {
            Some(max) => restored.misc.insert(name.clone(), *max),
            None => restored.misc.remove(name),
        };
    }
    restored
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Cpu, Device, Hugetlb, Io, IoDevice, Memory, Rdma};
    use super::*;

    fn number() -> impl Strategy<Value = Option<u64>> {
        proptest::option::of(0_u64..4)
    }

    fn small() -> impl Strategy<Value = Option<u32>> {
        number().prop_map(|number| number.and_then(|number| u32::try_from(number).ok()))
    }

    fn cpu() -> impl Strategy<Value = Cpu> {
        let list = proptest::option::of(prop_oneof![Just("0"), Just("0-1")].prop_map(|list| list.parse().unwrap()));
        let weight = proptest::option::of(prop_oneof![Just(100_u32), Just(5)]);
        let idle = proptest::option::of(any::<bool>());
        (weight, number(), number(), number(), idle, list.clone(), list).prop_map(
            |(weight, quota_us, period_us, burst_us, idle, cpus, mems)| Cpu {
                weight,
                quota_us,
                period_us,
                burst_us,
                idle,
                cpus,
                mems,
            },
        )
    }

    fn memory() -> impl Strategy<Value = Memory> {
        (number(), number(), number(), number(), number(), proptest::option::of(any::<bool>())).prop_map(
            |(max_bytes, high_bytes, low_bytes, min_bytes, swap_max_bytes, oom_group)| Memory {
                max_bytes,
                high_bytes,
                low_bytes,
                min_bytes,
                swap_max_bytes,
                oom_group,
            },
        )
    }

    fn io() -> impl Strategy<Value = Io> {
        let device = (0_u32..3, number(), number(), number(), number());
        let devices = proptest::collection::vec(device, 0..3).prop_map(|devices| {
            let mut all: Vec<IoDevice> = Vec::new();
            for (minor, read_bps, write_bps, read_iops, write_iops) in devices {
                let device = Device { major: 8, minor };
                if all.iter().all(|known| known.device != device) {
                    all.push(IoDevice { device, read_bps, write_bps, read_iops, write_iops });
                }
            }
            all
        });
        (small(), devices).prop_map(|(weight, devices)| Io { weight, devices })
    }

    fn resources() -> impl Strategy<Value = Resources> {
        let huge = proptest::collection::btree_map(0_u64..3, 0_u64..3, 0..3);
        let rdma = proptest::collection::btree_map("[ab]", (small(), small()), 0..2);
        let misc = proptest::collection::btree_map("[ab]", 0_u64..3, 0..2);
        (cpu(), memory(), number(), io(), huge, rdma, misc).prop_map(|(cpu, memory, pids_max, io, huge, rdma, misc)| {
            let of = |(page_size_bytes, max_bytes)| Hugetlb { page_size_bytes, max_bytes };
            let rdma =
                rdma.into_iter().map(|(name, (hca_handles, hca_objects))| (name, Rdma { hca_handles, hca_objects }));
            let hugetlb = huge.into_iter().map(of).collect();
            Resources { cpu, memory, pids_max, io, hugetlb, rdma: rdma.collect(), misc, devices: None }
        })
    }

    proptest! {
        #[test]
        fn what_was_asked_for_comes_back_and_nothing_else_changes(asked in resources(), expected in resources(), found in resources()) {
            let restored = restored(&asked, &expected, &found);
            prop_assert_eq!(drift(&asked, &expected, &restored), []);
            let mut names = asked.all_entries();
            if names.contains_key("cpu.weight") {
                names.insert("cpu.idle".to_owned(), String::new());
            }
            let others = |limits: &Resources| {
                let mut entries = limits.entries();
                entries.retain(|name, _| !names.contains_key(name));
                entries
            };
            prop_assert_eq!(others(&restored), others(&found));
        }

        #[test]
        fn what_is_as_it_was_is_not_told(asked in resources(), expected in resources()) {
            prop_assert_eq!(drift(&asked, &expected, &expected), []);
        }
    }

    #[test]
    fn a_default_that_was_asked_for_counts() {
        let weight =
            |weight| Resources { cpu: Cpu { weight: Some(weight), ..Default::default() }, ..Default::default() };
        let told = Drift { limit: "cpu.weight".into(), expected: None, found: Some("7".into()) };
        assert_eq!(drift(&weight(100), &weight(100), &weight(7)), [told]);
        assert_eq!(drift(&Resources::default(), &weight(100), &weight(7)), []);
    }
}
