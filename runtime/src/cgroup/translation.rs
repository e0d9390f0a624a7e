//! Whatever is asked, what is written says that or less: both translations, against a kernel that is played by a map of files.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;

use super::change::{Change, Write};
use super::resources::UNLIMITED;
use super::*;

fn cpu() -> impl Strategy<Value = Cpu> {
    let list = of("[0-7](,[0-9])?".prop_map(|text| text.parse().unwrap()));
    (
        of(1_u32..=10_000),
        of((1_000_u64..1 << 40, of(0_u64..=1000))),
        of(1_000_u64..=1_000_000),
        of(any::<bool>()),
        list.clone(),
        list,
    )
        .prop_map(|(weight, quota, period_us, idle, cpus, mems)| Cpu {
            weight: weight.filter(|_| idle != Some(true)),
            quota_us: quota.map(|(quota, _)| quota),
            burst_us: quota.and_then(|(_, burst)| burst),
            period_us,
            idle,
            cpus,
            mems,
        })
}

fn memory() -> impl Strategy<Value = Memory> {
    let bytes = 4096_u64..1 << 59;
    (of((bytes.clone(), of(0_u64..1 << 59))), of(bytes.clone()), of(bytes.clone()), of(bytes), of(any::<bool>()))
        .prop_map(|(max, high_bytes, low_bytes, min_bytes, oom_group)| Memory {
            max_bytes: max.map(|(max, _)| max),
            swap_max_bytes: max.and_then(|(_, swap)| swap),
            high_bytes,
            low_bytes,
            min_bytes,
            oom_group,
        })
}

fn io() -> impl Strategy<Value = Io> {
    let rate = (of(4096_u64..1 << 50), of(4096_u64..1 << 50), of(1_u64..1 << 31), 1_u64..1 << 31);
    (of(1_u32..=10_000), btree_map((0_u32..4, 0_u32..4), rate, 0..4)).prop_map(|(weight, devices)| Io {
        weight,
        devices: devices
            .into_iter()
            .map(|((major, minor), (read_bps, write_bps, read_iops, write_iops))| IoDevice {
                device: Device { major, minor },
                read_bps,
                write_bps,
                read_iops,
                write_iops: Some(write_iops),
            })
            .collect(),
    })
}

/// Any limits that pass the check of ranges. Of devices those come first that the specification lists first, which is the order they come back in.
pub(super) fn resources() -> impl Strategy<Value = Resources> {
    let huge = vec(0_u64..1 << 50, 0..=2).prop_map(|limits| {
        let sizes = [2 << 20, 1 << 30];
        sizes
            .into_iter()
            .zip(limits)
            .map(|(page_size_bytes, max_bytes)| Hugetlb { page_size_bytes, max_bytes })
            .collect()
    });
    let rdma = (of(0_u32..1 << 30), 0_u32..1 << 30)
        .prop_map(|(hca_handles, objects)| Rdma { hca_handles, hca_objects: Some(objects) });
    (
        cpu(),
        memory(),
        of(1_u64..4_194_304),
        io(),
        huge,
        btree_map("[a-z]{1,8}", rdma, 0..3),
        btree_map("[a-z]{1,8}", 0_u64..1 << 60, 0..3),
    )
        .prop_map(|(cpu, memory, pids_max, mut io, hugetlb, rdma, misc)| {
            io.devices.sort_by_key(|limit| {
                (limit.read_bps.is_none(), limit.write_bps.is_none(), limit.read_iops.is_none(), limit.device)
            });
            Resources { cpu, memory, pids_max, io, hugetlb, rdma, misc, devices: None }
        })
        .prop_filter("in range", |resources| {
            let mut errors = Vec::new();
            range::ranges(resources, &mut errors);
            errors.is_empty()
        })
}

/// Files as a kernel keeps them: the last value, and for files of several lines the last of each key.
#[derive(Default)]
struct Kernel {
    files: BTreeMap<String, String>,
    keyed: BTreeMap<(String, String), String>,
}

impl Kernel {
    fn write(&mut self, write: &Write) {
        let keyed = write.file.starts_with("blkio.throttle")
            || matches!(write.file.as_str(), "io.max" | "rdma.max" | "misc.max");
        if !keyed {
            self.files.insert(write.file.clone(), write.value.clone());
            return;
        }
        let (key, value) = write.value.split_once(' ').unwrap();
        // Lines of `name=value` pairs keep what is not said.
        let old = self.keyed.entry((write.file.clone(), key.to_owned())).or_default();
        if value.contains('=') {
            let pairs = |text: &str| -> BTreeMap<String, String> {
                text.split(' ').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect()
            };
            let mut all = pairs(old);
            all.extend(pairs(value));
            *old = all.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
        } else {
            *old = value.to_owned();
        }
    }

    fn number(&self, file: &str) -> u64 {
        self.files.get(file).map_or(UNLIMITED, |value| value.parse().unwrap_or(UNLIMITED))
    }

    fn of_key(&self, file: &str, key: &str) -> Option<&str> {
        self.keyed.get(&(file.to_owned(), key.to_owned())).map(String::as_str)
    }
}

fn v2_writes(asked: &Resources, before: Option<&Resources>) -> Vec<Write> {
    v2::limits::writes(&Change::new(asked, before), "io.weight")
}

fn v1_writes(asked: &Resources, before: Option<&Resources>) -> Vec<Write> {
    let all: Option<IdList> = before.map(|_| "0-9".parse().unwrap());
    let inherited = v1::limits::Inherited { cpus: all.clone(), mems: all };
    v1::limits::writes(&Change::new(asked, before), &inherited)
}

/// No limit in the kernel is above what was asked.
fn no_wider_on_v2(asked: &Resources, kernel: &Kernel) {
    let at_most = |file: &str, value: Option<u64>| {
        assert!(
            kernel.number(file) <= value.unwrap_or(UNLIMITED),
            "{file}: {:?} for {value:?}",
            kernel.files.get(file)
        );
    };
    at_most("memory.max", asked.memory.max_bytes);
    at_most("memory.high", asked.memory.high_bytes);
    at_most("memory.swap.max", asked.memory.max_bytes.map(|_| asked.memory.swap_max_bytes.unwrap_or(0)));
    at_most("pids.max", asked.pids_max);
    at_most("cpu.max.burst", asked.cpu.burst_us);
    if let Some(quota) = asked.cpu.quota_us {
        let written: Vec<u64> = kernel.files["cpu.max"].split(' ').map(|word| word.parse().unwrap()).collect();
        assert_eq!(written, [quota, asked.cpu.period_us.unwrap_or(100_000)]);
    }
    for limit in &asked.io.devices {
        let line = kernel.of_key("io.max", &limit.device.to_string()).unwrap();
        let written = flat::io_line(&format!("{} {line}", limit.device)).unwrap();
        assert_eq!(written, *limit);
    }
    the_same_in_both(asked, kernel, |size| format!("hugetlb.{size}.max"));
}

fn no_wider_on_v1(asked: &Resources, kernel: &Kernel) {
    let at_most = |file: &str, value: Option<u64>| {
        assert!(
            kernel.number(file) <= value.unwrap_or(UNLIMITED),
            "{file}: {:?} for {value:?}",
            kernel.files.get(file)
        );
    };
    at_most("memory.limit_in_bytes", asked.memory.max_bytes);
    let both = asked.memory.max_bytes.map(|max| max + asked.memory.swap_max_bytes.unwrap_or(0));
    at_most("memory.memsw.limit_in_bytes", both);
    at_most("pids.max", asked.pids_max);
    at_most("cpu.cfs_quota_us", asked.cpu.quota_us);
    at_most("cpu.cfs_burst_us", asked.cpu.burst_us);
    for limit in &asked.io.devices {
        let files = ["read_bps", "write_bps", "read_iops", "write_iops"];
        for ((_, rate), file) in resources::RATES.into_iter().zip(files) {
            let written = kernel.of_key(&format!("blkio.throttle.{file}_device"), &limit.device.to_string());
            let written = written.map(|value| value.parse().unwrap()).filter(|value: &u64| *value != 0);
            assert_eq!(written, rate(limit));
        }
    }
    the_same_in_both(asked, kernel, |size| format!("hugetlb.{size}.limit_in_bytes"));
}

fn the_same_in_both(asked: &Resources, kernel: &Kernel, huge: impl Fn(&str) -> String) {
    for limit in &asked.hugetlb {
        assert!(kernel.number(&huge(&change::size_name(limit.page_size_bytes))) <= limit.max_bytes);
    }
    for (list, file) in [(&asked.cpu.cpus, "cpuset.cpus"), (&asked.cpu.mems, "cpuset.mems")] {
        if let Some(list) = list {
            assert!(kernel.files[file].parse::<IdList>().unwrap().is_within(list));
        }
    }
    for (device, limit) in &asked.rdma {
        let line = format!("{device} {}", kernel.of_key("rdma.max", device).unwrap());
        assert_eq!(flat::rdma_line(&line), Some((device.clone(), *limit)));
    }
    for (name, max) in &asked.misc {
        assert_eq!(kernel.of_key("misc.max", name), Some(max.to_string().as_str()));
    }
}

/// Limits that are in force: in whole pages, and no swap where none was asked for.
fn as_the_kernel_says(asked: &Resources) -> Resources {
    let mut effective = asked.rounded();
    let memory = &mut effective.memory;
    memory.swap_max_bytes = memory.max_bytes.map(|_| memory.swap_max_bytes.unwrap_or(0));
    effective
}

proptest! {
    #[test]
    fn a_fresh_group_gets_what_was_asked_or_less_and_nothing_else(asked in resources()) {
        let (mut v1, mut v2) = (Kernel::default(), Kernel::default());
        v1_writes(&asked, None).iter().for_each(|write| v1.write(write));
        v2_writes(&asked, None).iter().for_each(|write| v2.write(write));
        no_wider_on_v1(&asked, &v1);
        no_wider_on_v2(&asked, &v2);
        prop_assert!(v1_writes(&Resources::default(), None).is_empty() && v2_writes(&Resources::default(), None).is_empty());
    }

    #[test]
    fn limits_that_replace_others_are_what_was_asked_or_less(first in resources(), second in resources()) {
        let (mut v1, mut v2) = (Kernel::default(), Kernel::default());
        let before = as_the_kernel_says(&first);
        v1_writes(&first, None).iter().chain(&v1_writes(&second, Some(&before))).for_each(|write| v1.write(write));
        v2_writes(&first, None).iter().chain(&v2_writes(&second, Some(&before))).for_each(|write| v2.write(write));
        no_wider_on_v1(&second, &v1);
        no_wider_on_v2(&second, &v2);
    }

    #[test]
    fn what_is_lifted_is_unlimited_again(first in resources()) {
        let (mut v1, mut v2) = (Kernel::default(), Kernel::default());
        let (before, nothing) = (as_the_kernel_says(&first), Resources::default());
        v1_writes(&first, None).iter().chain(&v1_writes(&nothing, Some(&before))).for_each(|write| v1.write(write));
        v2_writes(&first, None).iter().chain(&v2_writes(&nothing, Some(&before))).for_each(|write| v2.write(write));
        for file in ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "pids.max", "cpu.cfs_quota_us"] {
            prop_assert_eq!(v1.number(file), UNLIMITED, "{}", file);
        }
        for file in ["memory.max", "memory.high", "pids.max", "memory.swap.max"] {
            prop_assert_eq!(v2.number(file), UNLIMITED, "{}", file);
        }
        for file in ["memory.low", "memory.min", "memory.oom.group", "cpu.idle", "cpu.max.burst"] {
            prop_assert!(v2.files.get(file).is_none_or(|value| value == "0"), "{}", file);
        }
        for value in v1.keyed.values().chain(v2.keyed.values()) {
            let lifted = value == "0" || value.split(' ').all(|pair| pair.ends_with("max"));
            prop_assert!(lifted, "{}", value);
        }
    }

    #[test]
    fn the_same_limits_again_write_nothing(asked in resources()) {
        let before = as_the_kernel_says(&asked);
        prop_assert_eq!(v1_writes(&asked, Some(&before)), vec![]);
        prop_assert_eq!(v2_writes(&asked, Some(&before)), vec![]);
    }

    #[test]
    fn the_kernel_takes_every_step_of_a_change(first in resources(), second in resources()) {
        let (mut quota, mut period, mut burst) = (UNLIMITED, 100_000, 0);
        let (mut limit, mut both) = (UNLIMITED, UNLIMITED);
        let before = as_the_kernel_says(&first);
        for write in v1_writes(&first, None).iter().chain(&v1_writes(&second, Some(&before))) {
            let value = || write.value.parse().unwrap_or(UNLIMITED);
            match write.file.as_str() {
                "cpu.cfs_quota_us" => quota = value(),
                "cpu.cfs_period_us" => period = value(),
                "cpu.cfs_burst_us" => burst = value(),
                "memory.limit_in_bytes" => limit = value(),
                "memory.memsw.limit_in_bytes" => both = value(),
                _ => {}
            }
            // tg_set_cfs_bandwidth in kernel/sched/core.c, mem_cgroup_resize_max in mm/memcontrol-v1.c.
            prop_assert!(burst <= quota && limit <= both && period >= 1000, "{:?}", write);
        }
    }
}
