use tweendeck_proto::v1::{CpuResources, IoDeviceLimit, MemoryResources, Resources};

use super::super::tests::{execute, fate, fates, on, spec, start, told, unified, why};

fn v1(items: &[(&str, &str)]) -> Resources {
    spec(items).resources.unwrap_or_default()
}

fn v2(items: &[(&str, &str)]) -> Resources {
    on(&unified(), items).unwrap().spec.resources.unwrap_or_default()
}

fn cpu(items: &[(&str, &str)]) -> CpuResources {
    v1(items).cpu.unwrap_or_default()
}

fn memory(items: &[(&str, &str)]) -> MemoryResources {
    v2(items).memory.unwrap_or_default()
}

#[test]
fn either_versions_names_say_the_same_on_either_node() {
    let old = [("lxc.cgroup.cpu.shares", "512"), ("lxc.cgroup.memory.limit_in_bytes", "512M")];
    let new = [("lxc.cgroup2.cpu.weight", "50"), ("lxc.cgroup2.memory.max", "536870912")];
    assert_eq!(v1(&old), v1(&new));
    assert_eq!(v2(&old), v2(&new));
    assert!(fates(&old).iter().all(|fate| fate.starts_with("Honoured")));
    assert!(fates(&new).iter().all(|fate| fate.starts_with("Translated")));
    let there = on(&unified(), &old).unwrap();
    assert_eq!(told(&there.notes[0].fate), "Translated: resources.cpu.weight, which this node keeps by cgroup v2");
}

#[test]
fn cpu_time_is_thousandths_of_a_cpu() {
    let half = CpuResources { limit_millis: Some(500), period_us: Some(20_000), ..CpuResources::default() };
    assert_eq!(cpu(&[("lxc.cgroup2.cpu.max", "10000 20000")]), half);
    let both = [("lxc.cgroup.cpu.cfs_quota_us", "10000"), ("lxc.cgroup.cpu.cfs_period_us", "20000")];
    assert_eq!(cpu(&both), half);
    let burst = [("lxc.cgroup2.cpu.max", "50000"), ("lxc.cgroup2.cpu.max.burst", "1000")];
    let expected = CpuResources { limit_millis: Some(500), burst_us: Some(1000), ..CpuResources::default() };
    assert_eq!(cpu(&burst), expected);
    for none in ["max", "max 50000"] {
        assert_eq!(v1(&[("lxc.cgroup2.cpu.max", none)]), Resources::default(), "{none}");
    }
    assert_eq!(v1(&[("lxc.cgroup.cpu.cfs_quota_us", "-1")]), Resources::default());
    assert!(fate(&[("lxc.cgroup.cpu.cfs_period_us", "50000")]).contains("without a quota"));
    let rounded = fate(&[("lxc.cgroup.cpu.cfs_quota_us", "33333")]);
    assert!(rounded.contains("333: 33300 of 33333"), "{rounded}");
    assert!(why(&[("lxc.cgroup2.cpu.max", "1000 10000"), ("lxc.cgroup2.cpu.max.burst", "1001")]).contains("1000"));
}

#[test]
fn cpus_and_shares_are_taken_as_they_are() {
    let found = cpu(&[("lxc.cgroup.cpuset.cpus", "0-3, 5"), ("lxc.cgroup.cpuset.mems", "0")]);
    assert_eq!((found.cpus.as_str(), found.mems.as_str()), ("0-3,5", "0"));
    for (shares, weight) in [("2", 1), ("1024", 100), ("1234", 121), ("262144", 10_000)] {
        assert_eq!(cpu(&[("lxc.cgroup.cpu.shares", shares)]).weight, Some(weight), "{shares}");
    }
    assert_eq!(cpu(&[("lxc.cgroup.cpu.idle", "1")]).idle, Some(true));
    assert!(why(&[("lxc.cgroup.cpu.idle", "1"), ("lxc.cgroup.cpu.shares", "2")]).contains("no weight"));
}

#[test]
fn swap_is_a_sum_in_one_version_and_itself_in_the_other() {
    let max = ("lxc.cgroup.memory.limit_in_bytes", "64M");
    let expected = |swap| MemoryResources { max_bytes: Some(64 << 20), swap_max_bytes: swap, ..Default::default() };
    assert_eq!(memory(&[max]), expected(None));
    assert_eq!(memory(&[max, ("lxc.cgroup.memory.memsw.limit_in_bytes", "96M")]), expected(Some(32 << 20)));
    assert_eq!(memory(&[max, ("lxc.cgroup2.memory.swap.max", "32M")]), expected(Some(32 << 20)));
    assert_eq!(memory(&[max, ("lxc.cgroup2.memory.swap.max", "max")]), expected(Some(1 << 60)));
    assert_eq!(memory(&[max, ("lxc.cgroup.memory.memsw.limit_in_bytes", "-1")]), expected(Some(1 << 60)));
    let agreeing = [max, ("lxc.cgroup.memory.memsw.limit_in_bytes", "96M"), ("lxc.cgroup2.memory.swap.max", "32M")];
    assert_eq!(memory(&agreeing), expected(Some(32 << 20)));
    assert!(why(&[max, ("lxc.cgroup.memory.memsw.limit_in_bytes", "32M")]).contains("at least"));
    assert!(why(&[("lxc.cgroup.memory.memsw.limit_in_bytes", "32M")]).contains("limit_in_bytes"));
    assert!(why(&[max, agreeing[1], ("lxc.cgroup2.memory.swap.max", "1M")]).contains("contradicts"));
    assert_eq!(memory(&[("lxc.cgroup2.memory.swap.max", "max")]), MemoryResources::default());
}

#[test]
fn protection_is_of_one_version_only() {
    let items = [
        ("lxc.cgroup2.memory.high", "32M"),
        ("lxc.cgroup2.memory.low", "16M"),
        ("lxc.cgroup2.memory.min", "0"),
        ("lxc.cgroup2.memory.oom.group", "1"),
    ];
    let expected = MemoryResources {
        high_bytes: Some(32 << 20),
        low_bytes: Some(16 << 20),
        oom_group: Some(true),
        ..Default::default()
    };
    assert_eq!(memory(&items), expected);
    assert_eq!(start(&items, &[]).unwrap_err().len(), 3);
    assert!(why(&[("lxc.cgroup.memory.soft_limit_in_bytes", "1M")]).contains("memory.low"));
}

#[test]
fn disks_have_rates_and_shares() {
    let expected = IoDeviceLimit {
        major: 8,
        minor: 0,
        read_bytes_per_second: Some(1 << 20),
        write_operations_per_second: Some(100),
        ..IoDeviceLimit::default()
    };
    let new =
        v2(&[("lxc.cgroup2.io.max", "8:0 rbps=1048576 wbps=max wiops=100"), ("lxc.cgroup2.io.weight", "default 50")]);
    let new = new.io.unwrap();
    assert_eq!((new.devices, new.weight), (vec![expected], Some(50)));
    let old = v1(&[
        ("lxc.cgroup.blkio.throttle.read_bps_device", "8:0 1048576"),
        ("lxc.cgroup.blkio.throttle.write_iops_device", "8:0  100"),
        ("lxc.cgroup.blkio.throttle.write_bps_device", "8:0 0"),
        ("lxc.cgroup.blkio.throttle.read_bps_device", "8:16 4096"),
        ("lxc.cgroup.blkio.weight", "500"),
    ]);
    let old = old.io.unwrap();
    assert_eq!((old.devices.len(), old.devices[0], old.weight), (2, expected, Some(100)));
    assert_eq!(v1(&[("lxc.cgroup.blkio.bfq.weight", "200")]).io.unwrap().weight, Some(200));
}

#[test]
fn counts_of_other_things() {
    let found = v2(&[
        ("lxc.cgroup.pids.max", "100"),
        ("lxc.cgroup.hugetlb.2MB.limit_in_bytes", "4M"),
        ("lxc.cgroup2.hugetlb.1GB.max", "0"),
        ("lxc.cgroup2.rdma.max", "mlx5_0 hca_handle=2 hca_object=max"),
        ("lxc.cgroup2.misc.max", "sev 5"),
    ]);
    assert_eq!(found.pids.unwrap().max, Some(100));
    let pages: Vec<_> = found.hugetlb.iter().map(|limit| (limit.page_size_bytes, limit.max_bytes)).collect();
    assert_eq!(pages, [(2 << 20, 4 << 20), (1 << 30, 0)]);
    assert_eq!((found.rdma[0].hca_handles, found.rdma[0].hca_objects), (Some(2), None));
    assert_eq!((found.misc[0].resource.as_str(), found.misc[0].max), ("sev", 5));
}

#[test]
fn the_later_counts_and_versions_must_agree() {
    let later = [("lxc.cgroup.pids.max", "10"), ("lxc.cgroup.pids.max", "20")];
    assert_eq!(v1(&later).pids.unwrap().max, Some(20));
    assert!(fates(&later)[0].contains("later"));
    let agreeing = [("lxc.cgroup.memory.limit_in_bytes", "1G"), ("lxc.cgroup2.memory.max", "1024M")];
    assert_eq!(memory(&agreeing).max_bytes, Some(1 << 30));
    let refused = why(&[("lxc.cgroup.memory.limit_in_bytes", "1G"), ("lxc.cgroup2.memory.max", "2G")]);
    assert!(refused.contains("lxc.cgroup.memory.limit_in_bytes (config:1)"), "{refused}");
}

#[test]
fn an_init_needs_room() {
    assert!(start(&[("lxc.cgroup.pids.max", "1")], &[]).is_ok());
    assert!(execute(&[("lxc.cgroup.pids.max", "1")], &["a"]).unwrap_err()[0].why.contains("at least 2"));
    assert!(fate(&[("lxc.cgroup.pids.max", "max")]).contains("no limit"));
}

#[test]
fn what_no_field_keeps_or_nobody_can_read_is_refused() {
    for (file, value) in [
        ("memory.swappiness", "10"),
        ("memory.kmem.limit_in_bytes", "1M"),
        ("cpu.rt_runtime_us", "1000"),
        ("freezer.state", "THAWED"),
        ("net_cls.classid", "0x1"),
        ("hugetlb.2MB.rsvd.max", "1M"),
        ("no.such", "1"),
        ("cpu.shares", "1"),
        ("cpu.shares", "512\u{41c}"),
        ("cpu.cfs_quota_us", "999"),
        ("cpu.max", "5000 10 3"),
        ("cpu.max", ""),
        ("memory.max", "512\u{41c}"),
        ("memory.max", "1K"),
        ("memory.low", "max"),
        ("pids.max", "0"),
        ("cpuset.cpus", "3-0"),
        ("cpuset.cpus", "a"),
        ("io.max", "8:0"),
        ("io.max", "8:0 x=1"),
        ("io.max", "8 rbps=5000"),
        ("io.weight", "8:0 100"),
        ("blkio.throttle.read_bps_device", "8:0"),
        ("blkio.throttle.read_bps_device", "8:0 100"),
        ("rdma.max", "mlx"),
        ("misc.max", "sev"),
    ] {
        for prefix in ["lxc.cgroup.", "lxc.cgroup2."] {
            why(&[(&format!("{prefix}{file}"), value)]);
        }
    }
}
