//! Whether limits are in range, and whether this host can enforce them; asked before anything has an effect.

use super::devices::{self, RULES_MAX, Rule};
use super::{CgroupError, Controller, Hierarchies, Home, Resources};

/// Everything that is wrong with `resources` on this host.
///
/// # Errors
/// [`CgroupError::OutOfRange`] and [`CgroupError::UnsupportedOnHost`], all that apply.
pub fn check(hierarchies: &Hierarchies, resources: &Resources) -> Result<(), Vec<CgroupError>> {
    let mut errors = Vec::new();
    ranges(resources, &mut errors);
    let fields = [
        ("cpu_weight", Controller::Cpu, resources.cpu_weight.is_some()),
        ("cpu_quota_us", Controller::Cpu, resources.cpu_quota_us.is_some()),
        ("cpu_period_us", Controller::Cpu, resources.cpu_period_us.is_some()),
        ("memory_max_bytes", Controller::Memory, resources.memory_max_bytes.is_some()),
        ("pids_max", Controller::Pids, resources.pids_max.is_some()),
        ("devices", Controller::Devices, resources.devices.is_some()),
    ];
    for (field, controller, asked) in fields {
        if asked && hierarchies.home(controller).is_none() {
            errors.push(CgroupError::UnsupportedOnHost { field, controller, version: hierarchies.version() });
        }
    }
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
            version: hierarchies.version(),
        }),
        Some(Home::V2(_)) | None => {}
    }
}

fn ranges(resources: &Resources, errors: &mut Vec<CgroupError>) {
    let mut within = |field, value: Option<u64>, min: u64, max: u64, range| {
        if let Some(value) = value.filter(|value| !(min..=max).contains(value)) {
            errors.push(CgroupError::OutOfRange { field, value, range });
        }
    };
    within("cpu_weight", resources.cpu_weight.map(u64::from), 1, 10_000, "1 to 10000");
    // MAX_BW in kernel/sched: more than 2^44 ns of quota is EINVAL.
    within("cpu_quota_us", resources.cpu_quota_us, 1_000, (1 << 44) / 1000, "1000 to 17592186044 microseconds");
    within("cpu_period_us", resources.cpu_period_us, 1_000, 1_000_000, "1000 to 1000000 microseconds");
    within("memory_max_bytes", resources.memory_max_bytes, 4096, 1 << 60, "4096 to 2^60 bytes");
    within("pids_max", resources.pids_max, 1, 4_194_304, "1 to 4194304");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_named_at_once() {
        let host = Hierarchies::parse("31 30 0:27 / /c rw - cgroup cgroup rw,cpu", "");
        let asked = Resources {
            cpu_weight: Some(0),
            cpu_quota_us: Some(5),
            cpu_period_us: Some(7),
            memory_max_bytes: Some(1 << 20),
            pids_max: Some(0),
            devices: Some(devices::default_rules()),
        };
        let errors = check(&host, &asked).unwrap_err();
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "cpu_weight is 0, it must be 1 to 10000",
                "cpu_quota_us is 5, it must be 1000 to 17592186044 microseconds",
                "cpu_period_us is 7, it must be 1000 to 1000000 microseconds",
                "pids_max is 0, it must be 1 to 4194304",
                "memory_max_bytes needs the memory controller, which this cgroup v1 host does not have",
                "pids_max needs the pids controller, which this cgroup v1 host does not have",
                "devices needs the devices controller, which this cgroup v1 host does not have",
            ]
        );
    }
}
