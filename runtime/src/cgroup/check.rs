//! Whether limits are in range, and whether this host can enforce them; asked before anything has an effect.

use std::collections::BTreeSet;
use std::path::Path;

use super::change::huge_sizes;
use super::devices::{self, RULES_MAX, Rule};
use super::{CgroupError, Controller, Hierarchies, Home, IdList, Resources, disks, flat};

/// What a limit needs of a controller.
#[derive(Clone, Copy)]
enum Needs {
    /// Nothing that may be missing.
    Nothing,
    /// A file that some kernels do not have.
    File(&'static str),
    /// What this version does not have at all.
    Never,
}
use Needs::{File, Never, Nothing};

/// A limit: its name, whether it is asked for, its controller, what it needs on v1 and on v2.
type Limit = (&'static str, fn(&Resources) -> bool, Controller, Needs, Needs);

const LIMITS: [Limit; 20] = [
    ("cpu.weight", |limits| limits.cpu.weight.is_some(), Controller::Cpu, Nothing, Nothing),
    ("cpu.quota_us", |limits| limits.cpu.quota_us.is_some(), Controller::Cpu, File("cpu.cfs_quota_us"), Nothing),
    ("cpu.period_us", |limits| limits.cpu.period_us.is_some(), Controller::Cpu, File("cpu.cfs_quota_us"), Nothing),
    (
        "cpu.burst_us",
        |limits| limits.cpu.burst_us.is_some(),
        Controller::Cpu,
        File("cpu.cfs_burst_us"),
        File("cpu.max.burst"),
    ),
    ("cpu.idle", |limits| limits.cpu.idle.is_some(), Controller::Cpu, File("cpu.idle"), File("cpu.idle")),
    ("cpu.cpus", |limits| limits.cpu.cpus.is_some(), Controller::Cpuset, Nothing, Nothing),
    ("cpu.mems", |limits| limits.cpu.mems.is_some(), Controller::Cpuset, Nothing, Nothing),
    ("memory.max_bytes", |limits| limits.memory.max_bytes.is_some(), Controller::Memory, Nothing, Nothing),
    ("memory.high_bytes", |limits| limits.memory.high_bytes.is_some(), Controller::Memory, Never, Nothing),
    // The soft limit of v1 is no protection: it only orders who is reclaimed from first.
    ("memory.low_bytes", |limits| limits.memory.low_bytes.is_some(), Controller::Memory, Never, Nothing),
    ("memory.min_bytes", |limits| limits.memory.min_bytes.is_some(), Controller::Memory, Never, Nothing),
    (
        "memory.swap_max_bytes",
        |limits| limits.memory.swap_max_bytes.is_some(),
        Controller::Memory,
        File("memory.memsw.limit_in_bytes"),
        File("memory.swap.max"),
    ),
    (
        "memory.oom_group",
        |limits| limits.memory.oom_group.is_some(),
        Controller::Memory,
        Never,
        File("memory.oom.group"),
    ),
    ("pids.max", |limits| limits.pids_max.is_some(), Controller::Pids, Nothing, Nothing),
    ("io.weight", |limits| limits.io.weight.is_some(), Controller::Io, Nothing, Nothing),
    (
        "io.devices",
        |limits| !limits.io.devices.is_empty(),
        Controller::Io,
        File("blkio.throttle.read_bps_device"),
        File("io.max"),
    ),
    ("hugetlb", |limits| !limits.hugetlb.is_empty(), Controller::Hugetlb, Nothing, Nothing),
    ("rdma", |limits| !limits.rdma.is_empty(), Controller::Rdma, Nothing, Nothing),
    ("devices", |limits| limits.devices.is_some(), Controller::Devices, Nothing, Nothing),
    ("misc", |limits| !limits.misc.is_empty(), Controller::Misc, Nothing, Nothing),
];

/// Everything that is wrong with `resources` on this host.
///
/// # Errors
/// [`CgroupError::OutOfRange`], [`CgroupError::Contradiction`], [`CgroupError::NotOfThisHost`] and [`CgroupError::UnsupportedOnHost`], all that apply.
pub fn check(hierarchies: &Hierarchies, resources: &Resources) -> Result<(), Vec<CgroupError>> {
    let mut errors = Vec::new();
    super::range::ranges(resources, &mut errors);
    for (field, asked, controller, on_v1, on_v2) in LIMITS {
        if asked(resources)
            && let Err(lacks) = can(hierarchies, controller, on_v1, on_v2)
        {
            let version = hierarchies.version_of(controller);
            errors.push(CgroupError::UnsupportedOnHost { field, controller, version, lacks });
        }
    }
    what_there_is(hierarchies, resources, &mut errors);
    if let Some(rules) = &resources.devices {
        device_rules(hierarchies, rules, &mut errors);
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn device_rules(hierarchies: &Hierarchies, rules: &[Rule], errors: &mut Vec<CgroupError>) {
    if rules.len() > RULES_MAX {
        return errors.push(CgroupError::TooManyDevices { count: rules.len(), max: RULES_MAX });
    }
    let checked = rules.iter().enumerate().map(|(index, rule)| (index, rule.check()));
    errors
        .extend(checked.filter_map(|(index, checked)| checked.err().map(|why| CgroupError::DeviceRule { index, why })));
    match hierarchies.home(Controller::Devices) {
        Some(Home::V1(_)) => errors.extend(devices::v1::check(rules).err()),
        Some(Home::V2(_)) if !devices::v2::supported() => errors.push(CgroupError::UnsupportedOnHost {
            field: "devices",
            controller: Controller::Devices,
            version: hierarchies.version_of(Controller::Devices),
            lacks: "device programs (CONFIG_CGROUP_BPF)".to_owned(),
        }),
        Some(Home::V2(_)) | None => {}
    }
}

/// Whether the host has what a limit needs; else what it lacks.
fn can(hierarchies: &Hierarchies, controller: Controller, on_v1: Needs, on_v2: Needs) -> Result<(), String> {
    let Some(home) = hierarchies.home(controller) else { return Err(format!("the {controller} controller")) };
    let (needs, other) = match &home {
        Home::V1(_) => (on_v1, on_v2),
        Home::V2(_) => (on_v2, on_v1),
    };
    match needs {
        Nothing => Ok(()),
        File(name) if hierarchies.has_file(controller, name) => Ok(()),
        File(name) => Err(format!("{name} of the {controller} controller")),
        Never => Err(match other {
            File(name) => format!("{name} of the {controller} controller"),
            Nothing | Never => format!("the {controller} controller of cgroup v2"),
        }),
    }
}

/// What limits refer to must be on this host.
fn what_there_is(hierarchies: &Hierarchies, resources: &Resources, errors: &mut Vec<CgroupError>) {
    cpuset(hierarchies, resources, errors);
    let mut missing = |field: &'static str, what: String| errors.push(CgroupError::NotOfThisHost { field, what });
    let devices = resources.io.devices.iter().map(|limit| limit.device);
    for device in devices.filter(|device| !disks::is_whole(*device)) {
        missing("io.devices", format!("block device {device} (a whole one, no partition)"));
    }
    let huge = if resources.hugetlb.is_empty() { Vec::new() } else { huge_sizes() };
    for limit in resources.hugetlb.iter().filter(|limit| !huge.contains(&limit.page_size_bytes)) {
        missing("hugetlb", format!("huge pages of {} bytes", limit.page_size_bytes));
    }
    for device in resources.rdma.keys().filter(|device| !Path::new("/sys/class/infiniband").join(device).exists()) {
        missing("rdma", format!("RDMA device {device:?}"));
    }
    let home = hierarchies.home(Controller::Misc).filter(|_| !resources.misc.is_empty());
    if let Some(mount) = home.as_ref().map(Home::mount) {
        let capacity = super::file::read(mount, "misc.capacity").unwrap_or_default();
        let known: BTreeSet<String> = capacity.lines().filter_map(flat::misc_line).map(|(name, _)| name).collect();
        for name in resources.misc.keys().filter(|name| !known.contains(*name)) {
            missing("misc", format!("resource {name:?} in misc.capacity"));
        }
    }
    if let (Some(weight), Some(home)) = (resources.io.weight, hierarchies.home(Controller::Io)) {
        weight_is_kept(hierarchies, weight, &home, errors);
    }
}

fn weight_is_kept(hierarchies: &Hierarchies, weight: u32, home: &Home, errors: &mut Vec<CgroupError>) {
    if let Some(lacks) = disks::without_keeper(home) {
        let (controller, version) = (Controller::Io, hierarchies.version_of(Controller::Io));
        errors.push(CgroupError::UnsupportedOnHost { field: "io.weight", controller, version, lacks });
    } else if weight > disks::highest_weight(home) {
        let range = "1 to 1000 on this host, whose weights are BFQ's";
        errors.push(CgroupError::OutOfRange { field: "io.weight", value: u64::from(weight), range });
    }
}

/// A list with a CPU that is not there would be narrowed by v1, and by v2 widened to the parent's when nothing of it is left.
fn cpuset(hierarchies: &Hierarchies, resources: &Resources, errors: &mut Vec<CgroupError>) {
    let Some(home) = hierarchies.home(Controller::Cpuset) else { return };
    let files = match &home {
        Home::V1(_) => ["cpuset.effective_cpus", "cpuset.effective_mems"],
        Home::V2(_) => ["cpuset.cpus.effective", "cpuset.mems.effective"],
    };
    let lists: [(_, Option<&IdList>, _); 2] =
        [("cpu.cpus", resources.cpu.cpus.as_ref(), "CPUs"), ("cpu.mems", resources.cpu.mems.as_ref(), "memory nodes")];
    for ((field, asked, what), file) in lists.into_iter().zip(files) {
        let Some(asked) = asked else { continue };
        if let Ok(Some(present)) = flat::list(home.mount(), file)
            && !asked.is_within(&present)
        {
            errors.push(CgroupError::NotOfThisHost {
                field,
                what: format!("all of the {what} {asked}: it has {present}"),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cpu, Memory};
    use super::*;

    #[test]
    fn all_problems_are_named_at_once() {
        let host = Hierarchies::parse("31 30 0:27 / /c rw - cgroup cgroup rw,cpu", "");
        let asked = Resources {
            cpu: Cpu { weight: Some(0), quota_us: None, period_us: Some(7), ..Default::default() },
            memory: Memory { max_bytes: Some(1 << 20), ..Default::default() },
            pids_max: Some(0),
            devices: Some(devices::default_rules()),
            ..Default::default()
        };
        let errors = check(&host, &asked).unwrap_err();
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "cpu.weight is 0, it must be 1 to 10000",
                "cpu.period_us is 7, it must be 1000 to 1000000 microseconds",
                "pids.max is 0, it must be 1 to 4194304",
                "cpu.period_us needs cpu.cfs_quota_us of the cpu controller, which this host (cgroup v1) does not have",
                "memory.max_bytes needs the memory controller, which this host (cgroup v1) does not have",
                "pids.max needs the pids controller, which this host (cgroup v1) does not have",
                "devices needs the devices controller, which this host (cgroup v1) does not have",
            ]
        );
    }

    #[test]
    fn v1_has_no_levels_of_memory_and_says_so() {
        let host = Hierarchies::parse("31 30 0:27 / /c rw - cgroup cgroup rw,memory", "");
        let memory =
            Memory { high_bytes: Some(1 << 20), low_bytes: Some(4096), oom_group: Some(true), ..Default::default() };
        let errors = check(&host, &Resources { memory, ..Default::default() }).unwrap_err();
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let lacks = "needs the memory controller of cgroup v2, which this host (cgroup v1) does not have";
        assert_eq!(
            text,
            [
                format!("memory.high_bytes {lacks}"),
                format!("memory.low_bytes {lacks}"),
                "memory.oom_group needs memory.oom.group of the memory controller, which this host (cgroup v1) does not have".to_owned(),
            ]
        );
    }
}
