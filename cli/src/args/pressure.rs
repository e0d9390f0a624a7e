//! The option for stalls that are too long.

use std::time::Duration;

use clap::Args;
use tweendeck_proto::v1::{ContainerSpec, PressureResource, PressureStall, PressureThreshold, PressureThresholds};

use super::value;

const RULE: &str = "must be RESOURCE=KIND:STALL/WINDOW, such as memory=some:100ms/1s; a resource is cpu, memory or io, a kind some or full";

/// When waiting is too long.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pressure")]
pub(super) struct PressureArgs {
    /// Count how often some (or all: full) of its processes wait longer than STALL within WINDOW, 500ms to 10s, for cpu, memory or io, such as
    /// memory=some:100ms/1s; may be repeated, the last of a resource and kind counts (cgroup v2).
    #[arg(long, value_parser = threshold, value_name = "RESOURCE=KIND:STALL/WINDOW")]
    pressure: Vec<Threshold>,
}

/// One threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Threshold {
    resource: PressureResource,
    stall: PressureStall,
    threshold: PressureThreshold,
}

impl PressureArgs {
    pub(super) fn into_spec(self, spec: &mut ContainerSpec) {
        let mut all = PressureThresholds::default();
        for Threshold { resource, stall, threshold } in self.pressure {
            let stalls = match resource {
                PressureResource::Cpu => &mut all.cpu,
                PressureResource::Memory => &mut all.memory,
                PressureResource::Io | PressureResource::Unspecified => &mut all.io,
            };
            let stalls = stalls.get_or_insert_default();
            match stall {
                PressureStall::Full => stalls.full = Some(threshold),
                PressureStall::Some | PressureStall::Unspecified => stalls.some = Some(threshold),
            }
        }
        spec.pressure = (all != PressureThresholds::default()).then_some(all);
    }
}

fn threshold(text: &str) -> Result<Threshold, String> {
    let rule = || RULE.to_owned();
    let (resource, rest) = text.split_once('=').ok_or_else(rule)?;
    let (stall, rest) = rest.split_once(':').ok_or_else(rule)?;
    let (length, window) = rest.split_once('/').ok_or_else(rule)?;
    let resource = match resource {
        "cpu" => PressureResource::Cpu,
        "memory" => PressureResource::Memory,
        "io" => PressureResource::Io,
        _ => return Err(rule()),
    };
    let stall = match stall {
        "some" => PressureStall::Some,
        "full" => PressureStall::Full,
        _ => return Err(rule()),
    };
    let threshold = PressureThreshold { stall_us: microseconds(length)?, window_us: microseconds(window)? };
    Ok(Threshold { resource, stall, threshold })
}

/// Ranges are the agent's to know; what it could not be told is refused.
fn microseconds(text: &str) -> Result<u32, String> {
    let whole = |duration: Duration| duration.subsec_nanos().is_multiple_of(1000).then_some(duration.as_micros());
    let micros = whole(value::duration(text)?).and_then(|micros| u32::try_from(micros).ok());
    micros.ok_or_else(|| format!("{text} must be whole microseconds, at most 10s"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tweendeck_proto::v1::StallThresholds;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        pressure: PressureArgs,
    }

    fn spec(line: &str) -> Option<PressureThresholds> {
        let words = std::iter::once("x").chain(line.split_whitespace());
        let mut spec = ContainerSpec::default();
        Line::try_parse_from(words).unwrap().pressure.into_spec(&mut spec);
        spec.pressure
    }

    #[test]
    fn every_threshold_arrives() {
        let threshold = |stall_us, window_us| Some(PressureThreshold { stall_us, window_us });
        let line = "--pressure memory=some:100ms/1s --pressure memory=full:0.5ms/500ms --pressure cpu=some:1s/10s --pressure cpu=some:2s/10s";
        let memory = StallThresholds { some: threshold(100_000, 1_000_000), full: threshold(500, 500_000) };
        let cpu = StallThresholds { some: threshold(2_000_000, 10_000_000), full: None };
        assert_eq!(spec(line), Some(PressureThresholds { cpu: Some(cpu), memory: Some(memory), io: None }));
        assert_eq!(spec(""), None);
    }

    #[test]
    fn what_is_no_threshold_is_refused_with_the_rule() {
        for bad in ["memory", "memory=some", "memory=some:100ms", "disk=some:1ms/1s", "io=all:1ms/1s", "io:some=1ms/1s"]
        {
            assert_eq!(threshold(bad), Err(RULE.to_owned()), "{bad}");
        }
        for bad in ["io=some:1/1s", "io=some:1ms/2h", "io=some:0.0001ms/1s"] {
            assert!(threshold(bad).is_err(), "{bad}");
        }
    }
}
