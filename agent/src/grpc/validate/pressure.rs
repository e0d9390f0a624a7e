//! Thresholds of pressure: in range, and something this host can watch for.

use tweendeck_proto::v1::{PressureThreshold, PressureThresholds};
use tweendeck_runtime::cgroup::{self, Hierarchies, WINDOW_US};

use super::super::status::Refusal;
use super::Violations;
use super::resources::refusal;
use crate::workload::triggers;

/// Ranges; and what asks for nothing is a mistake.
pub(super) fn pressure(asked: &PressureThresholds, violations: &mut Violations) {
    let PressureThresholds { cpu, memory, io } = asked;
    let given = cpu.or(*memory).or(*io).is_some();
    violations.require(given, "spec.pressure", "names no resource: cpu, memory or io; or leave it out");
    for (resource, stalls) in [("cpu", cpu), ("memory", memory), ("io", io)] {
        let Some(stalls) = stalls else { continue };
        let field = format!("spec.pressure.{resource}");
        violations.require(stalls.some.or(stalls.full).is_some(), &field, "has neither some nor full");
        for (kind, threshold) in [("some", stalls.some), ("full", stalls.full)] {
            let Some(PressureThreshold { stall_us, window_us }) = threshold else { continue };
            let window_ok = (WINDOW_US.0..=WINDOW_US.1).contains(&window_us);
            let text = "must be 500000 to 10000000 microseconds";
            violations.require(window_ok, &format!("{field}.{kind}.window_us"), text);
            let text = "must be 1 to window_us microseconds";
            violations.require((1..=window_us).contains(&stall_us), &format!("{field}.{kind}.stall_us"), text);
        }
    }
}

/// Whether this host can watch for them. Asked after the ranges.
pub(in crate::grpc) fn watchable(
    at: &str,
    host: &Hierarchies,
    asked: Option<&PressureThresholds>,
) -> Result<(), Refusal> {
    cgroup::check_pressure(host, &triggers(asked)).map_err(|errors| refusal(at, errors))
}

#[cfg(test)]
mod tests {
    use tweendeck_proto::v1::StallThresholds;

    use super::*;

    fn memory(some: Option<(u32, u32)>, full: Option<(u32, u32)>) -> PressureThresholds {
        let threshold = |(stall_us, window_us)| PressureThreshold { stall_us, window_us };
        let stalls = StallThresholds { some: some.map(threshold), full: full.map(threshold) };
        PressureThresholds { memory: Some(stalls), ..Default::default() }
    }

    fn wrong(asked: &PressureThresholds) -> Vec<String> {
        let mut violations = Violations::default();
        pressure(asked, &mut violations);
        violations.fields().into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn the_kernels_ranges_are_ours() {
        for good in [(1, 500_000), (500_000, 500_000), (10_000_000, 10_000_000)] {
            assert!(wrong(&memory(Some(good), Some(good))).is_empty(), "{good:?}");
        }
        let window = "spec.pressure.memory.some.window_us";
        assert_eq!(wrong(&memory(Some((1, 499_999)), None)), [window]);
        assert_eq!(wrong(&memory(Some((1, 10_000_001)), None)), [window]);
        assert_eq!(wrong(&memory(None, Some((0, 500_000)))), ["spec.pressure.memory.full.stall_us"]);
        assert_eq!(wrong(&memory(None, Some((500_001, 500_000)))), ["spec.pressure.memory.full.stall_us"]);
        assert_eq!(wrong(&memory(None, None)), ["spec.pressure.memory"]);
        assert_eq!(wrong(&PressureThresholds::default()), ["spec.pressure"]);
    }

    #[test]
    fn v1_is_refused_by_name() {
        let host = Hierarchies::parse("31 30 0:27 / /c rw - cgroup cgroup rw,memory", "");
        let refused = watchable("spec", &host, Some(&memory(None, Some((1, 500_000))))).unwrap_err();
        let Refusal::Unsupported { violations, controller, cgroup_version } = refused else { panic!() };
        assert_eq!((controller.as_str(), cgroup_version.as_str()), ("memory", "cgroup v1"));
        assert_eq!(violations[0].field, "spec.pressure.memory.full");
        assert!(watchable("spec", &host, None).is_ok());
    }
}
