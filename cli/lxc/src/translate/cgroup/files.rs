//! What files of cgroups say: names of either version, texts in, fields out. `None` limits are told as [`Value::Unlimited`].

use super::super::paths::bytes;
use super::field::{Field, Rate, Value};

type Said = Vec<(Field, Value)>;

/// What v1's memory files say when there is no limit: the largest page-aligned number.
const V1_UNLIMITED: u64 = 0x7FFF_FFFF_FFFF_F000;
/// The range of `cpu.shares` in the kernel, and the one that weight 100 is.
const SHARES: (u64, u64, u64) = (2, 262_144, 1024);
/// Most bytes that a limit can be, and what the fields take as least.
const BYTES_MAX: u64 = 1 << 60;
const MEMORY_MIN: u64 = 1 << 20;
const RATE_MIN: u64 = 4096;
const OPERATIONS_MAX: u64 = 0xFFFF_FFFE;
const PIDS_MAX: u64 = 4_194_304;
/// The default of `blkio.weight`, which was CFQ's; that of the others is 100.
const CFQ_DEFAULT: u64 = 500;

/// The fields that a file says.
pub(super) fn read(file: &str, text: &str) -> Result<Said, String> {
    let text = text.trim();
    match file {
        "cpu.shares" => weight(text),
        "cpu.weight" => one(Field::Weight, number(text, 1, 10_000)?),
        "cpu.cfs_quota_us" if text == "-1" => one(Field::Quota, Value::Unlimited),
        "cpu.cfs_quota_us" => one(Field::Quota, number(text, 1_000, BYTES_MAX)?),
        "cpu.cfs_period_us" => one(Field::Period, number(text, 1_000, 1_000_000)?),
        "cpu.cfs_burst_us" | "cpu.max.burst" => one(Field::Burst, number(text, 0, BYTES_MAX)?),
        "cpu.max" => cpu_max(text),
        "cpu.idle" => one(Field::Idle, number(text, 0, 1)?),
        "cpuset.cpus" => one(Field::Cpus, list(text)?),
        "cpuset.mems" => one(Field::Mems, list(text)?),
        "memory.limit_in_bytes" | "memory.max" => one(Field::Max, limit(text, MEMORY_MIN)?),
        "memory.memsw.limit_in_bytes" => one(Field::Sum, limit(text, MEMORY_MIN)?),
        "memory.swap.max" => one(Field::Swap, limit(text, 0)?),
        "memory.high" => one(Field::High, limit(text, MEMORY_MIN)?),
        "memory.low" => one(Field::Low, size(text, 0)?),
        "memory.min" => one(Field::Min, size(text, 0)?),
        "memory.oom.group" => one(Field::OomGroup, number(text, 0, 1)?),
        "pids.max" if text == "max" => one(Field::Pids, Value::Unlimited),
        "pids.max" => one(Field::Pids, number(text, 1, PIDS_MAX)?),
        "io.weight" => io_weight(text, 10_000),
        "io.bfq.weight" | "blkio.bfq.weight" => io_weight(text, 1_000),
        "blkio.weight" => cfq_weight(text),
        "io.max" => io_max(text),
        "rdma.max" => rdma(text),
        "misc.max" => misc(text),
        _ => match file.strip_prefix("blkio.throttle.").and_then(throttled) {
            Some(rate) => throttle(rate, text),
            None => hugetlb(file, text),
        },
    }
}

fn one(field: Field, value: Value) -> Result<Said, String> {
    Ok(vec![(field, value)])
}

fn number(text: &str, min: u64, max: u64) -> Result<Value, String> {
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    number.map(Value::Number).ok_or_else(|| format!("{text:?} must be {min} to {max}"))
}

/// Bytes, perhaps with K, M, G and the like.
fn size(text: &str, min: u64) -> Result<Value, String> {
    let size = bytes(text).filter(|size| (min..=BYTES_MAX).contains(size));
    size.map(Value::Number)
        .ok_or_else(|| format!("{text:?} must be {min} to {BYTES_MAX} bytes, as a number that may end in K, M or G"))
}

/// Bytes, or no limit in either version's words.
fn limit(text: &str, min: u64) -> Result<Value, String> {
    let unlimited = matches!(text, "max" | "-1") || bytes(text).is_some_and(|size| size >= V1_UNLIMITED);
    if unlimited { Ok(Value::Unlimited) } else { size(text, min) }
}

/// Rounded to the nearest on the line through both defaults, as the node does it.
fn weight(text: &str) -> Result<Said, String> {
    let (least, most, default) = SHARES;
    let Value::Number(shares) = number(text, least, most)? else { return Ok(Vec::new()) };
    let weight = shares.saturating_mul(100).saturating_add(default / 2) / default;
    one(Field::Weight, Value::Number(weight.clamp(1, 10_000)))
}

fn cpu_max(text: &str) -> Result<Said, String> {
    let wrong =
        || format!("{text:?} must be a quota in microseconds or max, then perhaps a period, as in \"50000 100000\"");
    let mut words = text.split_whitespace();
    let quota = match words.next().ok_or_else(wrong)? {
        "max" => Value::Unlimited,
        quota => number(quota, 1_000, BYTES_MAX)?,
    };
    let mut said = vec![(Field::Quota, quota)];
    if let Some(period) = words.next() {
        said.push((Field::Period, number(period, 1_000, 1_000_000)?));
    }
    if words.next().is_some() { Err(wrong()) } else { Ok(said) }
}

fn list(text: &str) -> Result<Value, String> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        first.parse::<u32>().is_ok_and(|first| last.parse::<u32>().is_ok_and(|last| first <= last))
    };
    let plain: String = text.chars().filter(|character| *character != ' ').collect();
    if !plain.is_empty() && plain.split(',').all(range) {
        return Ok(Value::Text(plain));
    }
    Err(format!("{text:?} must be numbers and ranges, such as 0-3,5"))
}

/// `default N`, or `N`. Weights of single devices are no field.
fn io_weight(text: &str, max: u64) -> Result<Said, String> {
    let plain = text.strip_prefix("default").map_or(text, str::trim_start);
    if plain.contains(':') {
        return Err("a weight of one device cannot be honoured; give one for all".to_owned());
    }
    one(Field::IoWeight, number(plain, 1, max)?)
}

/// The same share of its default.
fn cfq_weight(text: &str) -> Result<Said, String> {
    let Value::Number(weight) = number(text, 10, 1_000)? else { return Ok(Vec::new()) };
    let share = weight.saturating_mul(100).saturating_add(CFQ_DEFAULT / 2) / CFQ_DEFAULT;
    one(Field::IoWeight, Value::Number(share))
}

fn device(text: &str) -> Result<(u32, u32), String> {
    let numbers = text.split_once(':').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    numbers.ok_or_else(|| format!("{text:?} must be MAJOR:MINOR of a disk, such as 8:0"))
}

fn rate_of(rate: Rate, text: &str) -> Result<Value, String> {
    match rate {
        _ if text == "max" => Ok(Value::Unlimited),
        Rate::ReadBytes | Rate::WriteBytes => size(text, RATE_MIN),
        Rate::ReadOperations | Rate::WriteOperations => number(text, 1, OPERATIONS_MAX),
    }
}

fn io_max(text: &str) -> Result<Said, String> {
    let mut words = text.split_whitespace();
    let (major, minor) = device(words.next().unwrap_or_default())?;
    let mut said = Vec::new();
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let rate = match name {
            "rbps" => Rate::ReadBytes,
            "wbps" => Rate::WriteBytes,
            "riops" => Rate::ReadOperations,
            "wiops" => Rate::WriteOperations,
            _ => return Err(format!("{word:?} must be rbps=, wbps=, riops= or wiops= with a number or max")),
        };
        said.push((Field::Rate(major, minor, rate), rate_of(rate, value)?));
    }
    if said.is_empty() { Err(format!("{text:?} names a device and gives no rate")) } else { Ok(said) }
}

fn throttled(name: &str) -> Option<Rate> {
    match name {
        "read_bps_device" => Some(Rate::ReadBytes),
        "write_bps_device" => Some(Rate::WriteBytes),
        "read_iops_device" => Some(Rate::ReadOperations),
        "write_iops_device" => Some(Rate::WriteOperations),
        _ => None,
    }
}

/// `MAJOR:MINOR RATE`; a rate of 0 is none.
fn throttle(rate: Rate, text: &str) -> Result<Said, String> {
    let wrong = || format!("{text:?} must be MAJOR:MINOR and a rate");
    let (numbers, value) = text.split_once(char::is_whitespace).ok_or_else(wrong)?;
    let (major, minor) = device(numbers)?;
    let value = value.trim();
    let value = if value == "0" { Value::Unlimited } else { rate_of(rate, value)? };
    one(Field::Rate(major, minor, rate), value)
}

fn rdma(text: &str) -> Result<Said, String> {
    let mut words = text.split_whitespace();
    let device = words.next().unwrap_or_default().to_owned();
    let mut said = Vec::new();
    for word in words {
        let (name, count) = word.split_once('=').unwrap_or((word, ""));
        let field = match name {
            "hca_handle" => Field::RdmaHandles(device.clone()),
            "hca_object" => Field::RdmaObjects(device.clone()),
            _ => return Err(format!("{word:?} must be hca_handle= or hca_object= with a number or max")),
        };
        let unlimited = count == "max";
        said.push((field, if unlimited { Value::Unlimited } else { number(count, 0, 0x7FFF_FFFE)? }));
    }
    if said.is_empty() { Err(format!("{text:?} must be a device, then hca_handle= or hca_object=")) } else { Ok(said) }
}

fn misc(text: &str) -> Result<Said, String> {
    match *text.split_whitespace().collect::<Vec<_>>().as_slice() {
        [resource, "max"] => one(Field::Misc(resource.to_owned()), Value::Unlimited),
        [resource, max] => one(Field::Misc(resource.to_owned()), number(max, 0, u64::MAX >> 1)?),
        _ => Err(format!("{text:?} must be a resource and a number or max")),
    }
}

/// `hugetlb.<size>.limit_in_bytes` or `.max`.
fn hugetlb(file: &str, text: &str) -> Result<Said, String> {
    let name = file.strip_prefix("hugetlb.").and_then(|rest| rest.split_once('.'));
    let page = name.and_then(|(size, what)| bytes(size.strip_suffix('B')?).map(|size| (size, what)));
    match page {
        Some((size, "limit_in_bytes" | "max")) => one(Field::Hugetlb(size), limit(text, 0)?),
        Some((_, "rsvd.limit_in_bytes" | "rsvd.max")) => {
            Err("the reservation has the limit of the pages, which is set without rsvd; leave it out".to_owned())
        }
        _ => Err(format!("{file}: {}", why_not(file))),
    }
}

fn why_not(file: &str) -> &'static str {
    match file {
        "memory.soft_limit_in_bytes" => "a soft limit protects nothing; memory.low and memory.high do, with cgroup v2",
        "memory.swappiness" => "one swappiness is the whole machine's with cgroup v2; leave it out",
        "memory.swap.high" => "swap has a limit and no threshold; memory.swap.max is it",
        name if name.starts_with("memory.kmem.") => "memory of the kernel's is part of memory.max; leave it out",
        name if name.starts_with("cpu.rt_") => "real-time scheduling has no limit of its own here; leave it out",
        name if name.starts_with("freezer.") || name == "cgroup.freeze" => "a container is frozen by lxc-freeze",
        name if name.starts_with("net_cls.") || name.starts_with("net_prio.") => {
            "packets are not marked by cgroup here; leave it out"
        }
        _ => "no limit of a container here is kept by this file; leave it out",
    }
}
