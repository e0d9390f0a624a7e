//! Block I/O of each device: `io.stat` of v2, and the files of v1 that have its bytes and its operations.

use super::{DeviceIo, Stats};
use crate::cgroup::Device;

/// `io.stat`: `MAJOR:MINOR rbytes=N wbytes=N rios=N wios=N dbytes=N dios=N`, a line for each device that was used (cgroup-v2.rst). Some kernels leave the
/// end of line out behind a device that has no figures, so the last device of a line is the one that it is about.
pub(in crate::cgroup) fn io_stat(stats: &mut Stats, text: &str) -> Option<()> {
    let devices = stats.io.get_or_insert_default();
    for line in text.lines() {
        let mut of = None;
        for word in line.split_whitespace() {
            match word.split_once('=') {
                None => of = word.parse::<Device>().ok(),
                Some((name, value)) => {
                    let (Some(of), Ok(value)) = (of, value.parse()) else { continue };
                    if let Some(figure) = figure(name) {
                        *figure(devices.entry(of).or_default()) = Some(value);
                    }
                }
            }
        }
    }
    Some(())
}

type Figure = fn(&mut DeviceIo) -> &mut Option<u64>;

/// What `name` counts; `None` for figures of the policies (`cost.…`, `depth`, …).
fn figure(name: &str) -> Option<Figure> {
    match name {
        "rbytes" => Some(|io| &mut io.read_bytes),
        "wbytes" => Some(|io| &mut io.write_bytes),
        "dbytes" => Some(|io| &mut io.discard_bytes),
        "rios" => Some(|io| &mut io.read_ops),
        "wios" => Some(|io| &mut io.write_ops),
        "dios" => Some(|io| &mut io.discard_ops),
        _ => None,
    }
}

/// `blkio.throttle.io_service_bytes` and `blkio.bfq.io_service_bytes`: `MAJOR:MINOR Read|Write|Discard|… BYTES`, and a line `Total BYTES`
/// (cgroup-v1/blkio-controller.rst). Either counts a device only since it is in charge of it: BFQ as its scheduler, the throttle (since Linux 6.10) from the
/// first limit that was ever set on it in any cgroup. So the higher figure is the true one, and none goes back when another takes charge.
pub(in crate::cgroup) fn io_service_bytes(stats: &mut Stats, text: &str) -> Option<()> {
    blkio(stats, text, ["rbytes", "wbytes", "dbytes"])
}

/// `blkio.throttle.io_serviced` and `blkio.bfq.io_serviced`: the same for operations.
pub(in crate::cgroup) fn io_serviced(stats: &mut Stats, text: &str) -> Option<()> {
    blkio(stats, text, ["rios", "wios", "dios"])
}

fn blkio(stats: &mut Stats, text: &str, [read, write, discard]: [&str; 3]) -> Option<()> {
    let devices = stats.io.get_or_insert_default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(device) = words.next().and_then(|word| word.parse().ok()) else { continue };
        let name = match words.next() {
            Some("Read") => read,
            Some("Write") => write,
            Some("Discard") => discard,
            // Sums of them.
            Some(_) | None => continue,
        };
        let (Some(figure), Some(value)) = (figure(name), words.next().and_then(|word| word.parse().ok())) else {
            continue;
        };
        let figure = figure(devices.entry(device).or_default());
        *figure = Some(value).max(*figure);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn read(parse: fn(&mut Stats, &str) -> Option<()>, text: &str) -> BTreeMap<Device, DeviceIo> {
        let mut stats = Stats::default();
        parse(&mut stats, text).unwrap();
        stats.io.unwrap()
    }

    const VDA: Device = Device { major: 254, minor: 0 };

    #[test]
    fn a_line_of_v2_is_one_device_and_may_begin_with_others() {
        let text = "7:7 7:6 254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.vrate=100.00 depth=max\n7:1 \n";
        let expected = DeviceIo {
            read_bytes: Some(1),
            write_bytes: Some(2),
            read_ops: Some(3),
            write_ops: Some(4),
            discard_bytes: Some(5),
            discard_ops: Some(6),
        };
        assert_eq!(read(io_stat, text), BTreeMap::from([(VDA, expected)]));
        assert_eq!(read(io_stat, "").len(), 0, "counted, and nothing used");
    }

    #[test]
    fn bytes_and_operations_of_v1_are_brought_together() {
        let bytes =
            "254:0 Read 10\n254:0 Write 20\n254:0 Sync 30\n254:0 Async 0\n254:0 Discard 5\n254:0 Total 35\nTotal 35\n";
        let mut stats = Stats::default();
        io_service_bytes(&mut stats, bytes).unwrap();
        io_service_bytes(&mut stats, "254:0 Read 9\n254:0 Write 20\n").unwrap();
        io_serviced(&mut stats, "254:0 Read 1\n254:0 Write 2\n7:0 Read 9\nTotal 12\n").unwrap();
        let io = stats.io.unwrap();
        let expected = DeviceIo {
            read_bytes: Some(10),
            write_bytes: Some(20),
            discard_bytes: Some(5),
            read_ops: Some(1),
            write_ops: Some(2),
            discard_ops: None,
        };
        assert_eq!(io[&VDA], expected);
        assert_eq!(io[&Device { major: 7, minor: 0 }], DeviceIo { read_ops: Some(9), ..Default::default() });
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(?s)([0-9]{0,4}:[0-9]{0,3} ?|rbytes=|Read |[0-9]{1,21}\n?|.){0,40}") {
            for parse in [io_stat, io_service_bytes, io_serviced] {
                let _ = read(parse, &text);
            }
        }

        #[test]
        fn what_was_written_is_read(figures in proptest::collection::btree_map((0_u32..300, 0_u32..9), any::<[u64; 3]>(), 0..5)) {
            let (mut v2, mut v1) = (String::new(), String::new());
            for ((major, minor), [reads, writes, discards]) in &figures {
                v2.push_str(&format!("{major}:{minor} rbytes={reads} wbytes={writes} dbytes={discards}\n"));
                v1.push_str(&format!("{major}:{minor} Read {reads}\n{major}:{minor} Write {writes}\n{major}:{minor} Discard {discards}\n"));
            }
            let expected: BTreeMap<Device, DeviceIo> = figures.iter().map(|((major, minor), [reads, writes, discards])| {
                let io = DeviceIo {
                    read_bytes: Some(*reads), write_bytes: Some(*writes), discard_bytes: Some(*discards), ..Default::default()
                };
                (Device { major: *major, minor: *minor }, io)
            }).collect();
            prop_assert_eq!(&read(io_stat, &v2), &expected);
            prop_assert_eq!(&read(io_service_bytes, &v1), &expected);
        }
    }
}
