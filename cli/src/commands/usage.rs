//! Two readings of what containers use, as a table.

use std::time::{Duration, SystemTime};

use tweendeck_proto::v1::{CpuUsage, DeviceIoUsage, GetStatsResponse, MemoryUsage, PidsUsage, Pressure, Resources};

use crate::output::{Table, cpu_time, left, percent, right, since, size};

/// A row for each container of `now`. What is per interval is taken against `before`, and left out without it.
pub(super) fn table(before: &[GetStatsResponse], now: &[GetStatsResponse]) -> Table<11> {
    let mut table = Table::new([
        left("NAME"),
        right("CPU TIME"),
        right("CPU %"),
        right("THROTTLED"),
        right("MEMORY"),
        right("PEAK"),
        right("READ/S"),
        right("WRITE/S"),
        right("PIDS"),
        right("OOM"),
        right("STALLED"),
    ]);
    for reading in now {
        // A container that was made anew, or started again, counts from zero.
        let earlier = before.iter().find(|earlier| earlier.uid == reading.uid);
        table.row(row(earlier, reading));
    }
    table
}

fn row(earlier: Option<&GetStatsResponse>, reading: &GetStatsResponse) -> [String; 11] {
    let cpu = cpu(reading);
    let usage = reading.usage.as_ref();
    let memory = usage.and_then(|usage| usage.memory).unwrap_or_default();
    let per_second = |bytes| earlier.and_then(|earlier| per_second(earlier, reading, bytes)).unwrap_or_default();
    [
        reading.name.clone(),
        cpu.usage_ns.map(cpu_time).unwrap_or_default(),
        earlier.and_then(|earlier| cpu_percent(earlier, reading)).unwrap_or_default(),
        earlier.and_then(|earlier| throttled(&self::cpu(earlier), &cpu)).unwrap_or_default(),
        memory_cell(&memory, reading.effective.as_ref()),
        memory.peak_bytes.map(size).unwrap_or_default(),
        per_second(|io| io.read_bytes),
        per_second(|io| io.write_bytes),
        pids_cell(usage.and_then(|usage| usage.pids.as_ref()), reading.effective.as_ref()),
        memory.oom_kills.map(|count| count.to_string()).unwrap_or_default(),
        usage.and_then(|usage| stalled(usage.pressure.as_ref()?)).unwrap_or_default(),
    ]
}

fn cpu(reading: &GetStatsResponse) -> CpuUsage {
    reading.usage.as_ref().and_then(|usage| usage.cpu).unwrap_or_default()
}

/// Bytes a second, of all devices together; `None` if none was used, the counters went back or no time passed.
fn per_second(
    earlier: &GetStatsResponse,
    reading: &GetStatsResponse,
    bytes: fn(&DeviceIoUsage) -> Option<u64>,
) -> Option<String> {
    let all = |reading: &GetStatsResponse| {
        let devices = reading.usage.iter().flat_map(|usage| &usage.io);
        devices.filter_map(bytes).reduce(u64::saturating_add)
    };
    let moved = all(reading)?.checked_sub(all(earlier).unwrap_or(0))?;
    let rate = (u128::from(moved) * 1_000_000_000).checked_div(passed(earlier, reading)?.as_nanos())?;
    Some(size(u64::try_from(rate).unwrap_or(u64::MAX)))
}

/// What was waited for most in the last 10 s, and for which share of them.
fn stalled(pressure: &Pressure) -> Option<String> {
    let waits = [("cpu", pressure.cpu), ("memory", pressure.memory), ("io", pressure.io)];
    let shares = waits.into_iter().filter_map(|(what, stall)| Some((stall?.some?.avg10_basis_points, what)));
    // Of equal ones the first.
    let (share, what) = shares.rev().max_by_key(|(share, _)| *share)?;
    let percent = percent(share.into(), 10_000)?;
    Some(if share == 0 { percent } else { format!("{what} {percent}") })
}

/// CPU time over the time between the readings; `None` if the counter went back or no time passed.
fn cpu_percent(earlier: &GetStatsResponse, reading: &GetStatsResponse) -> Option<String> {
    let used = cpu(reading).usage_ns?.checked_sub(cpu(earlier).usage_ns?)?;
    let passed = passed(earlier, reading)?;
    percent(used, u64::try_from(passed.as_nanos()).ok()?)
}

fn passed(earlier: &GetStatsResponse, reading: &GetStatsResponse) -> Option<Duration> {
    let now = SystemTime::try_from(reading.time?).ok()?;
    Some(since(earlier.time.as_ref()?, now))
}

/// The share of periods in which the limit was reached; `None` if no period passed, as without a limit.
fn throttled(earlier: &CpuUsage, now: &CpuUsage) -> Option<String> {
    let throttled = now.throttled_periods?.checked_sub(earlier.throttled_periods?)?;
    percent(throttled, now.periods?.checked_sub(earlier.periods?)?)
}

fn memory_cell(memory: &MemoryUsage, limits: Option<&Resources>) -> String {
    let used = memory.working_set_bytes.or(memory.current_bytes).map(size);
    let limit = limits.and_then(|limits| limits.memory?.max_bytes).map(size);
    of(used, limit)
}

fn pids_cell(pids: Option<&PidsUsage>, limits: Option<&Resources>) -> String {
    let used = pids.and_then(|pids| pids.current).map(|count| count.to_string());
    let limit = limits.and_then(|limits| limits.pids?.max).map(|max| max.to_string());
    of(used, limit)
}

fn of(used: Option<String>, limit: Option<String>) -> String {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    format!("{} / {}", or_dash(used), or_dash(limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweendeck_proto::v1::{MemoryResources, PidsResources, Stall, StallShare, Usage};

    fn reading(name: &str, uid: &str, seconds: i64, cpu: CpuUsage) -> GetStatsResponse {
        let memory = MemoryUsage {
            current_bytes: Some(20 << 20),
            working_set_bytes: Some(12 << 20),
            peak_bytes: Some(30 << 20),
            oom_kills: Some(2),
            ..Default::default()
        };
        let pids = PidsUsage { current: Some(3), max_hits: None, peak: Some(5) };
        let io = |minor, read: u64| DeviceIoUsage {
            minor,
            read_bytes: Some(read << 20),
            write_bytes: Some(0),
            ..Default::default()
        };
        // A MiB a second from each of two devices.
        let io = vec![io(0, seconds.unsigned_abs()), io(1, seconds.unsigned_abs())];
        let wait = |avg10_basis_points| {
            let some = StallShare { avg10_basis_points, ..Default::default() };
            Some(Stall { some: Some(some), full: None })
        };
        let pressure = Some(Pressure { cpu: wait(120), memory: wait(3456), io: None });
        GetStatsResponse {
            name: name.to_owned(),
            uid: uid.to_owned(),
            time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
            usage: Some(Usage {
                cpu: Some(cpu),
                memory: Some(memory),
                pids: Some(pids),
                io,
                pressure,
                hugetlb: vec![],
            }),
            effective: Some(Resources {
                cpu: None,
                memory: Some(MemoryResources { max_bytes: Some(64 << 20), ..Default::default() }),
                pids: Some(PidsResources { max: Some(100) }),
                ..Default::default()
            }),
        }
    }

    fn cpu(usage_ns: u64, periods: u64, throttled: u64) -> CpuUsage {
        CpuUsage {
            usage_ns: Some(usage_ns),
            periods: Some(periods),
            throttled_periods: Some(throttled),
            ..Default::default()
        }
    }

    #[test]
    fn rates_are_taken_over_the_interval() {
        let bare = GetStatsResponse { name: "bare".to_owned(), uid: "4".to_owned(), ..Default::default() };
        let before = [
            reading("web", "1", 100, cpu(1_000_000_000, 10, 1)),
            reading("again", "2", 100, cpu(9_000_000_000, 50, 5)),
            bare.clone(),
        ];
        let now = [
            reading("web", "1", 102, cpu(2_000_000_000, 30, 6)),
            reading("again", "2", 102, cpu(500_000_000, 5, 0)),
            reading("new", "3", 102, cpu(0, 0, 0)),
            bare,
        ];
        let expected = "\
NAME   CPU TIME  CPU %  THROTTLED               MEMORY      PEAK   READ/S  WRITE/S     PIDS  OOM       STALLED
web      2.000s  50.0%      25.0%  12.0 MiB / 64.0 MiB  30.0 MiB  2.0 MiB      0 B  3 / 100    2  memory 34.5%
again    0.500s      -          -  12.0 MiB / 64.0 MiB  30.0 MiB  2.0 MiB      0 B  3 / 100    2  memory 34.5%
new      0.000s      -          -  12.0 MiB / 64.0 MiB  30.0 MiB        -        -  3 / 100    2  memory 34.5%
bare          -      -          -                - / -         -        -        -    - / -    -             -";
        assert_eq!(table(&before, &now).to_string(), expected);
    }

    #[test]
    fn what_is_waited_for_most_is_named() {
        let wait = |avg10_basis_points| {
            let some = StallShare { avg10_basis_points, ..Default::default() };
            Some(Stall { some: Some(some), full: None })
        };
        let cases = [
            (Pressure { cpu: wait(0), memory: wait(0), io: wait(0) }, Some("0.0%")),
            (Pressure { cpu: wait(5), memory: wait(5), io: wait(1) }, Some("cpu 0.0%")),
            (Pressure { io: wait(10_000), ..Default::default() }, Some("io 100.0%")),
            (Pressure::default(), None),
        ];
        for (pressure, expected) in cases {
            assert_eq!(stalled(&pressure).as_deref(), expected);
        }
    }
}
