//! Limits: what was asked, beside what is in effect.

use tweendeck_proto::v1::{DeviceRule, DeviceType, Resources};

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
    row("cpus", |resources| resources.cpu?.limit_millis.map(cpu::cpus));
    row("cpu period", |resources| resources.cpu?.period_us.map(period));
    row("cpu weight", |resources| resources.cpu?.weight.map(|weight| weight.to_string()));
    row("memory", |resources| resources.memory?.max_bytes.map(size));
    row("pids", |resources| resources.pids?.max.map(|max| max.to_string()));
    for device in asked.into_iter().flat_map(|resources| &resources.devices) {
        // No container runs whose devices are not held.
        let held = effective.map(|_| "held".to_owned()).unwrap_or_default();
        table.row(["device".to_owned(), text(device), held]);
    }
    table
}

fn text(device: &DeviceRule) -> String {
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
            cpu: Some(CpuResources { weight: None, limit_millis: Some(500), period_us: None }),
            memory: Some(MemoryResources { max_bytes: Some(100_000_000) }),
            pids: None,
            devices: vec![
                DeviceRule { path: "/dev/fuse".to_owned(), ..Default::default() },
                DeviceRule {
                    r#type: DeviceType::Block.into(),
                    major: Some(8),
                    access: "r".to_owned(),
                    ..Default::default()
                },
            ],
        };
        let effective = Resources {
            cpu: Some(CpuResources { weight: Some(100), limit_millis: Some(500), period_us: Some(100_000) }),
            memory: Some(MemoryResources { max_bytes: Some(99_999_744) }),
            pids: Some(PidsResources { max: Some(64) }),
            devices: Vec::new(),
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
