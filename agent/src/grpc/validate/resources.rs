//! Limits: in range, and something this host can enforce.

use std::collections::BTreeSet;

use tonic_types::FieldViolation;
use tweendeck_proto::v1;
use tweendeck_runtime::cgroup::devices::default_rules;
use tweendeck_runtime::cgroup::{self, CgroupError, Hierarchies, IdList, Resources};

use super::super::status::Refusal;
use super::Violations;
use crate::workload::{limits, quota_us};

const MIB: u64 = 1 << 20;
/// Most of a count of bytes; far above every machine, and far below what overflows.
const BYTES_MAX: u64 = 1 << 60;
/// The kernel's ceiling for PIDs on 64-bit machines (proc_sys_kernel(5), `pid_max`).
const PID_MAX: u64 = 4_194_304;
/// The kernel's least CPU time per period, microseconds (sched-bwc.rst).
const QUOTA_MIN_US: u64 = 1_000;
/// One page a second: what is slower holds processes in the kernel, where nothing ends them, for minutes.
const RATE_MIN: u64 = 4096;
/// The kernel cuts operations off at 2^32 - 1, which means no limit.
const OPERATIONS_MAX: u64 = 0xFFFF_FFFE;
/// INT_MAX is what the kernel calls "max" of RDMA.
const RDMA_MAX: u32 = 0x7FFF_FFFE;
const ENTRIES: usize = 64;

/// Fields below one place in a request.
struct Fields<'a> {
    at: &'a str,
    violations: &'a mut Violations,
}

impl Fields<'_> {
    fn require(&mut self, holds: bool, field: &str, description: impl Into<String>) {
        if !holds {
            self.violations.add(format!("{}.{field}", self.at), description);
        }
    }
}

/// Ranges of limits. `at` is where they stand in the request: `spec.resources`, or `resources`.
pub(in crate::grpc) fn resources(at: &str, resources: &v1::Resources, memory_bytes: u64, violations: &mut Violations) {
    let mut fields = Fields { at, violations };
    if let Some(cpu) = &resources.cpu {
        cpu_limits(cpu, &mut fields);
    }
    if let Some(memory) = &resources.memory {
        memory_limits(memory, memory_bytes, &mut fields);
    }
    if let Some(max) = resources.pids.and_then(|pids| pids.max) {
        fields.require((1..=PID_MAX).contains(&max), "pids.max", "must be 1 to 4194304");
    }
    if let Some(io) = &resources.io {
        io_limits(io, &mut fields);
    }
    listed(resources, &mut fields);
}

/// A container with Tweendeck's init needs room for it.
pub(in crate::grpc) fn room_for_init(
    at: &str,
    init: v1::InitMode,
    resources: Option<&v1::Resources>,
    violations: &mut Violations,
) {
    let pids = resources.and_then(|resources| resources.pids).and_then(|pids| pids.max);
    let room = init == v1::InitMode::Direct || pids != Some(1);
    let text = "must be at least 2: Tweendeck's init is one process; or choose INIT_MODE_DIRECT";
    violations.require(room, &format!("{at}.pids.max"), text);
}

fn cpu_limits(cpu: &v1::CpuResources, fields: &mut Fields<'_>) {
    let within = |value: Option<u32>, min, max| value.is_none_or(|value| (min..=max).contains(&value));
    fields.require(within(cpu.weight, 1, 10_000), "cpu.weight", "must be 1 to 10000");
    let period_ok = within(cpu.period_us, 1_000, 1_000_000);
    fields.require(period_ok, "cpu.period_us", "must be 1000 to 1000000 microseconds");
    fields.require(
        cpu.period_us.is_none() || cpu.limit_millis.is_some(),
        "cpu.period_us",
        "means nothing without limit_millis; set both or neither",
    );
    let limit_ok = within(cpu.limit_millis, 1, 1_000_000);
    fields.require(limit_ok, "cpu.limit_millis", "must be 1 to 1000000 thousandths of a CPU");
    let quota = quota_us(cpu);
    if limit_ok && period_ok {
        let text = "gives less than the kernel's least, 1000 microseconds per period; raise it, or lengthen period_us";
        fields.require(quota.is_none_or(|quota| quota >= QUOTA_MIN_US), "cpu.limit_millis", text);
        let burst = cpu.burst_us.is_none_or(|burst| quota.is_some_and(|quota| burst <= quota));
        let text = quota.map_or_else(
            || "means nothing without limit_millis".to_owned(),
            |quota| format!("must be at most the CPU time of one period, {quota} microseconds"),
        );
        fields.require(burst, "cpu.burst_us", text);
    }
    let excluded = cpu.idle == Some(true) && cpu.weight.is_some();
    fields.require(!excluded, "cpu.idle", "excludes weight: what is idle has no share; leave one out");
    for (field, list) in [("cpu.cpus", &cpu.cpus), ("cpu.mems", &cpu.mems)] {
        if let Err(error) = list.parse::<IdList>()
            && !list.is_empty()
        {
            fields.require(false, field, error.to_string());
        }
    }
}

fn memory_limits(memory: &v1::MemoryResources, memory_bytes: u64, fields: &mut Fields<'_>) {
    let mut within = |field: &str, value: Option<u64>, min: u64, max: u64, whose: &str| {
        if let Some(value) = value.filter(|value| !(min..=max).contains(value)) {
            fields.require(false, field, format!("must be {min} to {max} bytes, {whose}; it is {value}"));
        }
    };
    within("memory.max_bytes", memory.max_bytes, MIB, memory_bytes, "1 MiB to the memory of this node");
    let (most, whose) = match memory.max_bytes {
        Some(max) => (max, "at most max_bytes"),
        None => (memory_bytes, "at most the memory of this node"),
    };
    within("memory.high_bytes", memory.high_bytes, MIB, most, whose);
    within("memory.low_bytes", memory.low_bytes, 0, most, whose);
    within("memory.min_bytes", memory.min_bytes, 0, most, whose);
    within("memory.swap_max_bytes", memory.swap_max_bytes, 0, BYTES_MAX, "in addition to max_bytes");
    let swap = memory.swap_max_bytes.is_none() || memory.max_bytes.is_some();
    fields.require(swap, "memory.swap_max_bytes", "means nothing without max_bytes; set both or neither");
}

fn io_limits(io: &v1::IoResources, fields: &mut Fields<'_>) {
    let weight = io.weight.is_none_or(|weight| (1..=10_000).contains(&weight));
    fields.require(weight, "io.weight", "must be 1 to 10000");
    fields.require(io.devices.len() <= ENTRIES, "io.devices", "has more than 64 entries");
    let once = is_set(&io.devices, |limit| (limit.major, limit.minor));
    fields.require(once, "io.devices", "names a device twice; give all its rates in one entry");
    for limit in io.devices.iter().take(ENTRIES) {
        let device = format!("{}:{}", limit.major, limit.minor);
        let bytes = [limit.read_bytes_per_second, limit.write_bytes_per_second];
        let operations = [limit.read_operations_per_second, limit.write_operations_per_second];
        let given = bytes.iter().chain(&operations).any(Option::is_some);
        fields.require(given, "io.devices", format!("names {device} and gives no rate"));
        let within = |rates: [Option<u64>; 2], min, max| rates.iter().flatten().all(|rate| (min..=max).contains(rate));
        let text = format!("of {device} must be 4096 to {BYTES_MAX} bytes a second");
        fields.require(within(bytes, RATE_MIN, BYTES_MAX), "io.devices", text);
        let text = format!("of {device} must be 1 to {OPERATIONS_MAX} operations a second");
        fields.require(within(operations, 1, OPERATIONS_MAX), "io.devices", text);
    }
}

/// Huge pages, RDMA, misc. That a page size, a device or a resource is there is asked of the host.
fn listed(resources: &v1::Resources, fields: &mut Fields<'_>) {
    let v1::Resources { hugetlb, rdma, misc, .. } = resources;
    let once = is_set(hugetlb, |limit| limit.page_size_bytes) && hugetlb.len() <= ENTRIES;
    fields.require(once, "hugetlb", "must have at most one entry for a page size");
    let bytes = hugetlb.iter().all(|limit| limit.max_bytes <= BYTES_MAX);
    fields.require(bytes, "hugetlb", format!("must be at most {BYTES_MAX} bytes each"));
    let plain = |name: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        (1..=64).contains(&name.len()) && name.bytes().all(allowed)
    };
    let named = "must have at most 64 entries, each named once by 1 to 64 of A-Z a-z 0-9 _ . -";
    let once = is_set(rdma, |limit| &limit.device) && rdma.len() <= ENTRIES;
    fields.require(once && rdma.iter().all(|limit| plain(&limit.device)), "rdma", named);
    let given = |limit: &v1::RdmaLimit| limit.hca_handles.or(limit.hca_objects).is_some();
    fields.require(rdma.iter().all(given), "rdma", "names a device and gives no limit");
    let counts = |limit: &v1::RdmaLimit| limit.hca_handles.max(limit.hca_objects).is_none_or(|max| max <= RDMA_MAX);
    fields.require(rdma.iter().all(counts), "rdma", format!("must be at most {RDMA_MAX} each"));
    let once = is_set(misc, |limit| &limit.resource) && misc.len() <= ENTRIES;
    fields.require(once && misc.iter().all(|limit| plain(&limit.resource)), "misc", named);
    let counts = misc.iter().all(|limit| i64::try_from(limit.max).is_ok());
    fields.require(counts, "misc", "must be at most 9223372036854775807 each");
}

fn is_set<'a, T, K: Ord>(entries: &'a [T], key: impl Fn(&'a T) -> K) -> bool {
    entries.iter().map(key).collect::<BTreeSet<K>>().len() == entries.len()
}

/// Whether this host can enforce the limits, and has what they refer to. Asked after the ranges. Every container has a list of devices, also one whose
/// caller asks for none.
pub(in crate::grpc) fn supported(
    at: &str,
    host: &Hierarchies,
    resources: Option<&v1::Resources>,
) -> Result<(), Refusal> {
    let asked = limits(resources)
        .map(|limits| Resources { devices: Some(default_rules()), ..limits })
        .map_err(|error| Refusal::Fields(vec![FieldViolation::new(format!("{at}.cpu"), error.to_string())]))?;
    cgroup::check(host, &asked).map_err(|errors| refusal(at, errors))
}

/// What is wrong, as fields below `at`.
pub(super) fn refusal(at: &str, errors: Vec<CgroupError>) -> Refusal {
    let mut controllers = Vec::new();
    let mut version = String::new();
    let mut violations = Vec::new();
    // What the host cannot do stands first: the refusal's metadata is about it.
    let (unsupported, others): (Vec<_>, Vec<_>) =
        errors.into_iter().partition(|error| matches!(error, CgroupError::UnsupportedOnHost { .. }));
    for error in unsupported.iter().chain(&others) {
        if let CgroupError::UnsupportedOnHost { controller, version: found, .. } = error {
            controllers.push(controller.to_string());
            version = found.to_string();
        }
        let field = api_field(error).map_or_else(|| at.to_owned(), |field| format!("{at}.{field}"));
        violations.push(FieldViolation::new(field, error.to_string()));
    }
    if unsupported.is_empty() {
        return Refusal::Fields(violations);
    }
    controllers.dedup();
    Refusal::Unsupported { violations, controller: controllers.join(","), cgroup_version: version }
}

/// The API's name of the field an error is about.
fn api_field(error: &CgroupError) -> Option<&'static str> {
    match error {
        CgroupError::UnsupportedOnHost { field, .. }
        | CgroupError::OutOfRange { field, .. }
        | CgroupError::NotOfThisHost { field, .. }
        | CgroupError::Contradiction { field, .. } => {
            Some(if *field == "cpu.quota_us" { "cpu.limit_millis" } else { *field })
        }
        CgroupError::DeviceRule { .. }
        | CgroupError::TooManyDevices { .. }
        | CgroupError::DeviceHole { .. }
        | CgroupError::DevicesNotEnforced { .. }
        | CgroupError::Bpf { .. } => Some("devices"),
        CgroupError::NotMounted
        | CgroupError::BadPath(_)
        | CgroupError::UnsupportedField(_)
        | CgroupError::InUse { .. }
        | CgroupError::NotEnforced { .. }
        | CgroupError::Create { .. }
        | CgroupError::Write { .. }
        | CgroupError::Read { .. }
        | CgroupError::Malformed { .. }
        | CgroupError::Remove { .. }
        | CgroupError::NoFreezer
        | CgroupError::NotFrozen { .. }
        | CgroupError::StillFrozen { .. }
        | CgroupError::NotEmpty { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: u64 = 1 << 30;

    fn wrong(resources: &v1::Resources) -> Vec<String> {
        let mut violations = Violations::default();
        super::resources("spec.resources", resources, MEMORY, &mut violations);
        violations.fields().into_iter().map(str::to_owned).collect()
    }

    fn cpu(weight: Option<u32>, limit_millis: Option<u32>, period_us: Option<u32>) -> v1::Resources {
        let cpu = v1::CpuResources { weight, limit_millis, period_us, ..Default::default() };
        v1::Resources { cpu: Some(cpu), ..Default::default() }
    }

    #[test]
    fn absurd_limits_are_all_named() {
        let absurd = v1::Resources {
            memory: Some(v1::MemoryResources { max_bytes: Some(MEMORY + 1), ..Default::default() }),
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
            memory: Some(v1::MemoryResources { max_bytes: Some(MEMORY), ..Default::default() }),
            ..cpu(Some(100), None, None)
        };
        let status = tonic::Status::from(supported("spec.resources", &host, Some(&asked)).unwrap_err());
        let details = tonic_types::StatusExt::get_error_details(&status);
        let info = details.error_info().unwrap();
        assert_eq!((status.code(), info.reason.as_str()), (tonic::Code::FailedPrecondition, "UNSUPPORTED_ON_HOST"));
        let expected =
            [("field", "spec.resources.memory.max_bytes"), ("controller", "memory"), ("cgroup_version", "cgroup v1")];
        for (key, value) in expected {
            assert_eq!(info.metadata.get(key).map(String::as_str), Some(value));
        }
    }

    #[test]
    fn absurd_limits_of_every_kind_are_named() {
        let device =
            |read: u64| v1::IoDeviceLimit { major: 8, read_bytes_per_second: Some(read), ..Default::default() };
        let absurd = v1::Resources {
            cpu: Some(v1::CpuResources {
                weight: Some(5),
                idle: Some(true),
                burst_us: Some(1),
                cpus: "1-0".into(),
                mems: "x".into(),
                ..Default::default()
            }),
            memory: Some(v1::MemoryResources {
                high_bytes: Some(1),
                low_bytes: Some(u64::MAX),
                swap_max_bytes: Some(1),
                ..Default::default()
            }),
            io: Some(v1::IoResources {
                weight: Some(0),
                devices: vec![device(1), device(5000), v1::IoDeviceLimit::default()],
            }),
            hugetlb: vec![v1::HugetlbLimit::default(); 2],
            rdma: vec![v1::RdmaLimit { device: "a b".into(), ..Default::default() }],
            misc: vec![v1::MiscLimit { resource: "sev".into(), max: u64::MAX }],
            pids: None,
            devices: Vec::new(),
        };
        let fields = [
            "cpu.burst_us",
            "cpu.idle",
            "cpu.cpus",
            "cpu.mems",
            "memory.high_bytes",
            "memory.low_bytes",
            "memory.swap_max_bytes",
            "io.weight",
            "io.devices",
            "io.devices",
            "io.devices",
            "hugetlb",
            "rdma",
            "rdma",
            "misc",
        ];
        assert_eq!(wrong(&absurd), fields.map(|field| format!("spec.resources.{field}")));
    }

    #[test]
    fn what_is_not_on_this_host_is_a_wrong_field() {
        let host = Hierarchies::parse("31 30 0:27 / /c rw - cgroup cgroup rw,hugetlb,devices", "");
        let hugetlb = vec![v1::HugetlbLimit { page_size_bytes: 3 << 20, max_bytes: 0 }];
        let asked = v1::Resources { hugetlb, ..Default::default() };
        let Err(Refusal::Fields(violations)) = supported("resources", &host, Some(&asked)) else { panic!() };
        assert_eq!(violations[0].field, "resources.hugetlb");
    }

    proptest::proptest! {
        #[test]
        fn what_is_accepted_the_runtime_accepts(
            weight in proptest::option::of(0_u32..12_000), millis in proptest::option::of(0_u32..1_200_000),
            period in proptest::option::of(500_u32..1_200_000), burst in proptest::option::of(0_u64..200_000), idle: Option<bool>,
            memory in proptest::option::of(0..=MEMORY + 1), high in proptest::option::of(0..=MEMORY), low in proptest::option::of(0..=MEMORY),
            swap in proptest::option::of(0..=u64::MAX), pids in proptest::option::of(0..=PID_MAX + 1), cpus in "[0-9,-]{0,4}",
        ) {
            let memory = v1::MemoryResources {
                max_bytes: memory, high_bytes: high, low_bytes: low, min_bytes: low, swap_max_bytes: swap, oom_group: None,
            };
            let cpu = v1::CpuResources {
                weight, limit_millis: millis, period_us: period, burst_us: burst, idle, cpus, mems: String::new(),
            };
            let resources = v1::Resources {
                cpu: Some(cpu), memory: Some(memory), pids: Some(v1::PidsResources { max: pids }), ..Default::default()
            };
            if wrong(&resources).is_empty() {
                let host = Hierarchies::parse("30 23 0:26 / /c rw - cgroup2 cgroup2 rw", "cpu cpuset memory pids");
                // There is no such host, so files are missing; nothing else may be.
                let errors = cgroup::check(&host, &limits(Some(&resources)).unwrap()).err().unwrap_or_default();
                let absent = |error: &CgroupError| matches!(error, CgroupError::UnsupportedOnHost { .. });
                proptest::prop_assert!(errors.iter().all(absent), "{:?}", errors);
            }
        }
    }
}
