//! Limits: what was asked, beside what is in effect.

use tweendeck_proto::v1::{DeviceRule, DeviceType, IoDeviceLimit, Resources};

use super::size::size;
use super::table::{Table, left, right};
use super::{cpu, exact, printable};

/// A table of limits. `effective` is absent while there is no cgroup.
pub(crate) fn limits(asked: Option<&Resources>, effective: Option<&Resources>) -> Table<3> {
    let mut table = Table::new([left("LIMIT"), right("ASKED"), right("IN EFFECT")]);
    let mut row = |name: &str, of: fn(&Resources) -> Option<String>| {
        let cell = |resources: Option<&Resources>| resources.and_then(of).unwrap_or_default();
        table.row([name.to_owned(), cell(asked), cell(effective)]);
    };
    row("cpus", |resources| resources.cpu.as_ref()?.limit_millis.map(cpu::cpus));
    row("cpu period", |resources| resources.cpu.as_ref()?.period_us.map(period));
    row("cpu weight", |resources| resources.cpu.as_ref()?.weight.map(|weight| weight.to_string()));
    row("memory", |resources| resources.memory?.max_bytes.map(size));
    row("pids", |resources| resources.pids?.max.map(|max| max.to_string()));
    let mut seldom = |name: &str, of: fn(&Resources) -> Option<String>| {
        let (asked, effective) = (asked.and_then(of), effective.and_then(of));
        if asked.is_some() || effective.is_some() {
            table.row([name.to_owned(), asked.unwrap_or_default(), effective.unwrap_or_default()]);
        }
    };
    let [burst, idle, cpus, mems]: [Show; 4] = [
        |resources| resources.cpu.as_ref()?.burst_us.filter(|burst| *burst > 0).map(|burst| format!("{burst}us")),
        |resources| resources.cpu.as_ref()?.idle.filter(|idle| *idle).map(|_| "yes".to_owned()),
        |resources| Some(resources.cpu.as_ref()?.cpus.clone()).filter(|list| !list.is_empty()),
        |resources| Some(resources.cpu.as_ref()?.mems.clone()).filter(|list| !list.is_empty()),
    ];
    seldom("cpu burst", burst);
    seldom("cpu idle", idle);
    seldom("cpuset cpus", cpus);
    seldom("cpuset mems", mems);
    seldom("memory high", |resources| resources.memory?.high_bytes.map(size));
    seldom("memory low", |resources| resources.memory?.low_bytes.filter(|low| *low > 0).map(size));
    seldom("memory min", |resources| resources.memory?.min_bytes.filter(|min| *min > 0).map(size));
    seldom("swap", |resources| resources.memory?.swap_max_bytes.map(size));
    seldom("oom group", |resources| resources.memory?.oom_group.filter(|group| *group).map(|_| "yes".to_owned()));
    seldom("io weight", |resources| resources.io.as_ref()?.weight.map(|weight| weight.to_string()));
    seldom("io devices", |resources| listed(&resources.io.as_ref()?.devices, device));
    seldom("huge pages", |resources| {
        listed(&resources.hugetlb, |limit| format!("{}={}", size(limit.page_size_bytes), size(limit.max_bytes)))
    });
    seldom("rdma", |resources| listed(&resources.rdma, |limit| limit.device.clone()));
    seldom("misc", |resources| listed(&resources.misc, |limit| format!("{}={}", limit.resource, limit.max)));
    for device in asked.into_iter().flat_map(|resources| &resources.devices) {
        // No container runs whose devices are not held.
        let held = effective.map(|_| "held".to_owned()).unwrap_or_default();
        table.row(["device".to_owned(), rule(device), held]);
    }
    table
}

/// How a limit is shown; nothing when it is not set.
type Show = fn(&Resources) -> Option<String>;

fn listed<T>(limits: &[T], show: impl Fn(&T) -> String) -> Option<String> {
    (!limits.is_empty()).then(|| limits.iter().map(show).collect::<Vec<_>>().join(" "))
}

/// `254:0 read 5.0 MiB/s`.
fn device(limit: &IoDeviceLimit) -> String {
    let bytes = |what: &str, rate: Option<u64>| rate.map(|rate| format!(" {what} {}/s", size(rate)));
    let operations = |what: &str, rate: Option<u64>| rate.map(|rate| format!(" {what} {rate}/s"));
    let rates = [
        bytes("read", limit.read_bytes_per_second),
        bytes("write", limit.write_bytes_per_second),
        operations("reads", limit.read_operations_per_second),
        operations("writes", limit.write_operations_per_second),
    ];
    format!("{}:{}{}", limit.major, limit.minor, rates.into_iter().flatten().collect::<String>())
}

fn rule(device: &DeviceRule) -> String {
    let access = if device.access.is_empty() { "rwm" } else { &device.access };
    let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
    match device.r#type() {
        _ if !device.path.is_empty() => format!("{} {access}", printable(&device.path)),
        DeviceType::Block => format!("b {}:{} {access}", number(device.major), number(device.minor)),
        DeviceType::Char | DeviceType::Unspecified => {
            format!("c {}:{} {access}", number(device.major), number(device.minor))
        }
    }
}

fn period(microseconds: u32) -> String {
    match microseconds % 1000 {
        0 => exact(std::time::Duration::from_micros(microseconds.into())),
        _ => format!("{microseconds}us"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweendeck_proto::v1::{CpuResources, MemoryResources, PidsResources};

    #[test]
    fn what_was_asked_stands_beside_what_is_in_effect() {
        let asked = Resources {
            cpu: Some(CpuResources { limit_millis: Some(500), ..Default::default() }),
            memory: Some(MemoryResources { max_bytes: Some(100_000_000), ..Default::default() }),
            devices: vec![
                DeviceRule { path: "/dev/fuse".to_owned(), ..Default::default() },
                DeviceRule {
                    r#type: DeviceType::Block.into(),
                    major: Some(8),
                    access: "r".to_owned(),
                    ..Default::default()
                },
            ],
            ..Default::default()
        };
        let effective = Resources {
            cpu: Some(CpuResources {
                weight: Some(100),
                limit_millis: Some(500),
                period_us: Some(100_000),
                burst_us: Some(0),
                ..Default::default()
            }),
            memory: Some(MemoryResources { max_bytes: Some(99_999_744), ..Default::default() }),
            pids: Some(PidsResources { max: Some(64) }),
            ..Default::default()
        };
        let expected = "\
LIMIT               ASKED  IN EFFECT
cpus                 0.50       0.50
cpu period              -      100ms
cpu weight              -        100
memory           95.3 MiB   95.3 MiB
pids                    -         64
device      /dev/fuse rwm       held
device            b 8:* r       held";
        assert_eq!(limits(Some(&asked), Some(&effective)).to_string(), expected);
    }

    #[test]
    fn without_a_cgroup_nothing_is_in_effect() {
        assert_eq!(limits(None, None).to_string().lines().nth(1), Some("cpus            -          -"));
        assert_eq!(period(1500), "1500us");
    }
}
