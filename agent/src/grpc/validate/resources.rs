//! Limits: in range, and something this host can enforce.

use tonic_types::FieldViolation;
use tweendeck_proto::v1;
use tweendeck_runtime::cgroup::devices::default_rules;
use tweendeck_runtime::cgroup::{self, CgroupError, Hierarchies, Resources};

use super::super::status::Refusal;
use super::Violations;
use crate::workload::limits;

const MIB: u64 = 1 << 20;
/// The kernel's ceiling for PIDs on 64-bit machines (proc_sys_kernel(5), `pid_max`).
const PID_MAX: u64 = 4_194_304;
/// The kernel's least CPU time per period, microseconds (sched-bwc.rst).
const QUOTA_MIN_US: u64 = 1_000;

/// Ranges of a specification's limits.
pub(in crate::grpc) fn resources(resources: &v1::Resources, memory_bytes: u64, violations: &mut Violations) {
    if let Some(cpu) = &resources.cpu {
        cpu_limits(cpu, violations);
    }
    if let Some(max) = resources.memory.and_then(|memory| memory.max_bytes) {
        let allowed = MIB..=memory_bytes;
        if !allowed.contains(&max) {
            let text = format!("must be {MIB} (1 MiB) to {memory_bytes} bytes, the memory of this node; it is {max}");
            violations.add("spec.resources.memory.max_bytes", text);
        }
    }
    if let Some(max) = resources.pids.and_then(|pids| pids.max) {
        let allowed = (1..=PID_MAX).contains(&max);
        violations.require(allowed, "spec.resources.pids.max", "must be 1 to 4194304");
    }
}

fn cpu_limits(cpu: &v1::CpuResources, violations: &mut Violations) {
    let within = |value: Option<u32>, min, max| value.is_none_or(|value| (min..=max).contains(&value));
    violations.require(within(cpu.weight, 1, 10_000), "spec.resources.cpu.weight", "must be 1 to 10000");
    let period_ok = within(cpu.period_us, 1_000, 1_000_000);
    violations.require(period_ok, "spec.resources.cpu.period_us", "must be 1000 to 1000000 microseconds");
    violations.require(
        cpu.period_us.is_none() || cpu.limit_millis.is_some(),
        "spec.resources.cpu.period_us",
        "means nothing without limit_millis; set both or neither",
    );
    let limit_ok = within(cpu.limit_millis, 1, 1_000_000);
    violations.require(limit_ok, "spec.resources.cpu.limit_millis", "must be 1 to 1000000 thousandths of a CPU");
    let quota = limits(Some(&v1::Resources { cpu: Some(*cpu), ..Default::default() })).cpu_quota_us;
    if limit_ok && period_ok && quota.is_some_and(|quota| quota < QUOTA_MIN_US) {
        let text = "gives less than the kernel's least, 1000 microseconds per period; raise it, or lengthen period_us";
        violations.add("spec.resources.cpu.limit_millis", text);
    }
}

/// Whether this host can enforce the limits. Asked after the ranges, so that what is left is the host's lack.
pub(in crate::grpc) fn supported(host: &Hierarchies, resources: Option<&v1::Resources>) -> Result<(), Refusal> {
    // Every container has a list of devices, also one whose caller asks for none.
    let asked = Resources { devices: Some(default_rules()), ..limits(resources) };
    let Err(errors) = cgroup::check(host, &asked) else {
        return Ok(());
    };
    let mut controllers = Vec::new();
    let mut version = String::new();
    let violations = errors
        .into_iter()
        .map(|error| {
            if let CgroupError::UnsupportedOnHost { field, controller, version: found } = &error {
                controllers.push(controller.to_string());
                version = found.to_string();
                return FieldViolation::new(api_field(field), error.to_string());
            }
            FieldViolation::new("spec.resources", error.to_string())
        })
        .collect();
    Err(Refusal::Unsupported { violations, controller: controllers.join(","), cgroup_version: version })
}

/// The API's name of a field of the runtime's resource model.
fn api_field(field: &str) -> &'static str {
    match field {
        "cpu_weight" => "spec.resources.cpu.weight",
        "cpu_quota_us" => "spec.resources.cpu.limit_millis",
        "cpu_period_us" => "spec.resources.cpu.period_us",
        "memory_max_bytes" => "spec.resources.memory.max_bytes",
        "pids_max" => "spec.resources.pids.max",
        "devices" => "spec.resources.devices",
        _ => "spec.resources",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: u64 = 1 << 30;

    fn wrong(resources: &v1::Resources) -> Vec<String> {
        let mut violations = Violations::default();
        super::resources(resources, MEMORY, &mut violations);
        violations.fields().into_iter().map(str::to_owned).collect()
    }

    fn cpu(weight: Option<u32>, limit_millis: Option<u32>, period_us: Option<u32>) -> v1::Resources {
        v1::Resources { cpu: Some(v1::CpuResources { weight, limit_millis, period_us }), ..Default::default() }
    }

    #[test]
    fn absurd_limits_are_all_named() {
        let absurd = v1::Resources {
            memory: Some(v1::MemoryResources { max_bytes: Some(MEMORY + 1) }),
            pids: Some(v1::PidsResources { max: Some(0) }),
            ..cpu(Some(0), Some(0), Some(1))
        };
        let fields = ["cpu.weight", "cpu.period_us", "cpu.limit_millis", "memory.max_bytes", "pids.max"];
        assert_eq!(wrong(&absurd), fields.map(|field| format!("spec.resources.{field}")));
    }

    #[test]
    fn a_limit_below_what_the_kernel_can_do_is_refused_and_the_least_is_not() {
        assert_eq!(wrong(&cpu(None, Some(9), None)), ["spec.resources.cpu.limit_millis"]);
        assert_eq!(wrong(&cpu(None, Some(10), None)), Vec::<String>::new());
        assert_eq!(wrong(&cpu(None, Some(1), Some(1_000_000))), Vec::<String>::new());
        assert_eq!(wrong(&cpu(None, None, Some(50_000))), ["spec.resources.cpu.period_us"]);
    }

    #[test]
    fn a_limit_whose_controller_is_absent_is_unsupported_by_name() {
        let host = Hierarchies::parse("31 30 0:27 / /c rw - cgroup cgroup rw,cpu,devices", "");
        let asked = v1::Resources {
            memory: Some(v1::MemoryResources { max_bytes: Some(MEMORY) }),
            ..cpu(Some(100), Some(500), None)
        };
        let status = tonic::Status::from(supported(&host, Some(&asked)).unwrap_err());
        let details = tonic_types::StatusExt::get_error_details(&status);
        let info = details.error_info().unwrap();
        assert_eq!((status.code(), info.reason.as_str()), (tonic::Code::FailedPrecondition, "UNSUPPORTED_ON_HOST"));
        let expected =
            [("field", "spec.resources.memory.max_bytes"), ("controller", "memory"), ("cgroup_version", "cgroup v1")];
        for (key, value) in expected {
            assert_eq!(info.metadata.get(key).map(String::as_str), Some(value));
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_accepted_the_runtime_accepts(
            weight: Option<u32>, millis in proptest::option::of(0_u32..2_000_000), period in proptest::option::of(0_u32..2_000_000),
            memory: Option<u64>, pids: Option<u64>,
        ) {
            let resources = v1::Resources {
                memory: Some(v1::MemoryResources { max_bytes: memory }),
                pids: Some(v1::PidsResources { max: pids }),
                ..cpu(weight, millis, period)
            };
            if wrong(&resources).is_empty() {
                let mountinfo = "30 23 0:26 / /c rw - cgroup2 cgroup2 rw";
                let host = tweendeck_runtime::cgroup::Hierarchies::parse(mountinfo, "cpu memory pids");
                proptest::prop_assert!(cgroup::check(&host, &limits(Some(&resources))).is_ok());
            }
        }
    }
}
