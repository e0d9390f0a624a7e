//! What a name of one version of cgroups means on the other. Pure: texts in, texts out.
//!
//! Only what means the same is translated. `cpu.shares` and `cpu.weight` follow the same line as limits do (100 is 1024), so a number that stands between
//! two of the other scale comes back rounded. Everything else is refused with the reason.

use super::Key;
use crate::cgroup::file;
use crate::cgroup::oci::{shares, weight};

/// What v1's memory files say when there is no limit: the largest page-aligned number.
const V1_UNLIMITED: u64 = 0x7FFF_FFFF_FFFF_F000;

/// Why a text is not a value of its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Empty, too long, or with characters that no value has.
    #[error("must be 1 to 4096 bytes on one line, without control characters")]
    Text,
    /// Not what the key takes.
    #[error("must be {0}")]
    Expected(&'static str),
    /// A translated name that can only be read.
    #[error("can only be read on this host, where {0} stands for it")]
    ReadOnly(String),
    /// The kernel's file holds something else than its documents say.
    #[error("{file} holds {content:?}")]
    Malformed {
        /// Which.
        file: String,
        /// Its beginning.
        content: String,
    },
}

/// The files that a key stands for here, and how its value becomes theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    files: Vec<String>,
    by: Conversion,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conversion {
    /// The text as it is.
    Same,
    /// The text as it is, only read.
    Read,
    /// `cpu.shares` from `cpu.weight`.
    SharesOfWeight,
    /// `cpu.weight` from `cpu.shares`.
    WeightOfShares,
    /// `cpu.cfs_quota_us` from `cpu.max`.
    QuotaOfMax,
    /// `cpu.cfs_period_us` from `cpu.max`.
    PeriodOfMax,
    /// `cpu.max` from `cpu.cfs_quota_us` and `cpu.cfs_period_us`.
    MaxOfCfs,
    /// A limit of v1 in bytes from one of v2.
    BytesOfMax,
    /// A limit of v2 from one of v1 in bytes.
    MaxOfBytes,
    /// `freezer.state` from `cgroup.freeze` and `cgroup.events`.
    StateOfFreeze,
    /// `cgroup.freeze` from `freezer.state`.
    FreezeOfState,
    /// `memory.failcnt` from `memory.events`.
    FailuresOfEvents,
    /// `cpuacct.usage` from `cpu.stat`.
    UsageOfStat,
}

impl Translation {
    /// A key that this host has.
    pub(super) fn none(key: &Key) -> Self {
        Self { files: vec![key.name().to_owned()], by: Conversion::Same }
    }

    /// What a key of the other version stands for.
    ///
    /// # Errors
    /// Why there is nothing it stands for.
    pub fn of(key: &Key) -> Result<Self, &'static str> {
        use Conversion as C;
        let to = |files: &[&str], by| Ok(Self { files: files.iter().map(|file| (*file).to_owned()).collect(), by });
        match key.name() {
            "cpu.shares" => to(&["cpu.weight"], C::SharesOfWeight),
            "cpu.weight" => to(&["cpu.shares"], C::WeightOfShares),
            "cpu.cfs_quota_us" => to(&["cpu.max"], C::QuotaOfMax),
            "cpu.cfs_period_us" => to(&["cpu.max"], C::PeriodOfMax),
            "cpu.max" => to(&["cpu.cfs_quota_us", "cpu.cfs_period_us"], C::MaxOfCfs),
            "cpu.cfs_burst_us" => to(&["cpu.max.burst"], C::Same),
            "cpu.max.burst" => to(&["cpu.cfs_burst_us"], C::Same),
            "cpuacct.usage" => to(&["cpu.stat"], C::UsageOfStat),
            "memory.limit_in_bytes" => to(&["memory.max"], C::BytesOfMax),
            "memory.max" => to(&["memory.limit_in_bytes"], C::MaxOfBytes),
            "memory.usage_in_bytes" => to(&["memory.current"], C::Read),
            "memory.current" => to(&["memory.usage_in_bytes"], C::Read),
            "memory.max_usage_in_bytes" => to(&["memory.peak"], C::Read),
            "memory.peak" => to(&["memory.max_usage_in_bytes"], C::Read),
            "memory.failcnt" => to(&["memory.events"], C::FailuresOfEvents),
            "cpuset.effective_cpus" => to(&["cpuset.cpus.effective"], C::Read),
            "cpuset.cpus.effective" => to(&["cpuset.effective_cpus"], C::Read),
            "cpuset.effective_mems" => to(&["cpuset.mems.effective"], C::Read),
            "cpuset.mems.effective" => to(&["cpuset.effective_mems"], C::Read),
            "freezer.state" => to(&["cgroup.freeze", "cgroup.events"], C::StateOfFreeze),
            "cgroup.freeze" => to(&["freezer.state"], C::FreezeOfState),
            name => match hugetlb(name) {
                Some((file, by)) => to(&[&file], by),
                None => Err(why_not(key)),
            },
        }
    }

    /// The files, all of which must be there.
    #[must_use]
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// The key's value, from the contents of its files.
    ///
    /// # Errors
    /// [`ValueError::Malformed`].
    pub fn value(&self, contents: &[String]) -> Result<String, ValueError> {
        use Conversion as C;
        let text = |index: usize| contents.get(index).map_or("", |content| content.trim_end_matches('\n'));
        let malformed =
            || ValueError::Malformed { file: self.files.join(" and "), content: text(0).chars().take(80).collect() };
        let number = |index: usize| text(index).trim().parse::<u64>().ok();
        let value = match self.by {
            C::Same | C::Read => Some(text(0).to_owned()),
            C::SharesOfWeight => {
                number(0).and_then(|value| u32::try_from(value).ok()).map(|value| shares(value).to_string())
            }
            C::WeightOfShares => number(0).map(|value| weight(value).to_string()),
            C::QuotaOfMax => {
                cpu_max(text(0)).map(|(quota, _)| quota.map_or_else(|| "-1".to_owned(), |quota| quota.to_string()))
            }
            C::PeriodOfMax => cpu_max(text(0)).map(|(_, period)| period.to_string()),
            C::MaxOfCfs => number(1).map(|period| {
                // -1, and nothing else that is no number, means unlimited.
                number(0).map_or_else(|| format!("max {period}"), |quota| format!("{quota} {period}"))
            }),
            C::BytesOfMax if text(0) == "max" => Some(V1_UNLIMITED.to_string()),
            C::BytesOfMax => number(0).map(|bytes| bytes.to_string()),
            C::MaxOfBytes => {
                number(0).map(|bytes| if bytes >= V1_UNLIMITED { "max".to_owned() } else { bytes.to_string() })
            }
            C::StateOfFreeze => {
                crate::cgroup::Freezer::from_files(text(0), text(1)).map(|state| state.name().to_owned())
            }
            C::FreezeOfState => crate::cgroup::Freezer::from_state(text(0))
                .map(|state| u8::from(state != crate::cgroup::Freezer::Thawed).to_string()),
            C::FailuresOfEvents => file::keyed(text(0), "max").map(|count| count.to_string()),
            C::UsageOfStat => file::keyed(text(0), "usage_usec").map(|us| us.saturating_mul(1000).to_string()),
        };
        value.ok_or_else(malformed)
    }

    /// What is to be written to which file, in this order, so that the key has `value`. `contents` is what the files hold now.
    ///
    /// # Errors
    /// [`ValueError`].
    pub fn writes(&self, value: &str, contents: &[String]) -> Result<Vec<(String, String)>, ValueError> {
        use Conversion as C;
        let now = contents.first().map_or("", |content| content.trim());
        let one = |text: String| Ok(self.files.first().map(|file| (file.clone(), text)).into_iter().collect());
        let (quota_now, period_now) = cpu_max(now).unwrap_or((None, 100_000));
        match self.by {
            C::Same => one(value.to_owned()),
            C::SharesOfWeight => one(weight(number(value, 2..=262_144, "2 to 262144")?).to_string()),
            C::WeightOfShares => {
                let weight = number(value, 1..=10_000, "1 to 10000")?;
                one(shares(u32::try_from(weight).unwrap_or(10_000)).to_string())
            }
            C::QuotaOfMax if value == "-1" => one(format!("max {period_now}")),
            C::QuotaOfMax => {
                one(format!("{} {period_now}", number(value, 1_000..=QUOTA, "-1, or microseconds from 1000")?))
            }
            C::PeriodOfMax => {
                let period = number(value, 1_000..=1_000_000, "microseconds from 1000 to 1000000")?;
                one(quota_now.map_or_else(|| format!("max {period}"), |quota| format!("{quota} {period}")))
            }
            C::MaxOfCfs => max_of_cfs(value, contents),
            C::BytesOfMax if value == "-1" => one("max".to_owned()),
            // v1 takes the suffixes of memparse() in lib/cmdline.c, and so does v2.
            C::BytesOfMax => one(value.to_owned()),
            C::MaxOfBytes if value == "max" => one("-1".to_owned()),
            C::MaxOfBytes => one(value.to_owned()),
            C::Read | C::StateOfFreeze | C::FreezeOfState | C::FailuresOfEvents | C::UsageOfStat => {
                Err(ValueError::ReadOnly(self.files.join(" and ")))
            }
        }
    }
}

/// The largest quota the kernel takes (MAX_BW in kernel/sched: 2^44 ns).
const QUOTA: u64 = (1 << 44) / 1000;
const MAX_VALUES: &str =
    "a quota in microseconds or max, then perhaps a period in microseconds, as in \"50000 100000\"";

/// The kernel checks the quota against the period at each write; without a quota every period is fine.
fn max_of_cfs(value: &str, contents: &[String]) -> Result<Vec<(String, String)>, ValueError> {
    let expected = ValueError::Expected(MAX_VALUES);
    let mut words = value.split_whitespace();
    let (quota, period) = (words.next().ok_or(expected.clone())?, words.next());
    if words.next().is_some() {
        return Err(expected);
    }
    let quota = if quota == "max" { None } else { Some(number(quota, 1_000..=QUOTA, MAX_VALUES)?) };
    let now = contents.get(1).map_or("100000", |content| content.trim()).to_owned();
    let period = match period {
        Some(period) => number(period, 1_000..=1_000_000, MAX_VALUES)?.to_string(),
        None => now,
    };
    let mut writes = vec![("cpu.cfs_quota_us".to_owned(), "-1".to_owned()), ("cpu.cfs_period_us".to_owned(), period)];
    writes.extend(quota.map(|quota| ("cpu.cfs_quota_us".to_owned(), quota.to_string())));
    Ok(writes)
}

/// A value as it may be written: one line, without blanks around it.
pub(super) fn plain(value: &str) -> Result<&str, ValueError> {
    let plain = value.trim_matches([' ', '\n']);
    let fits = !plain.is_empty() && plain.len() <= super::MAX_VALUE && !plain.chars().any(char::is_control);
    if fits { Ok(plain) } else { Err(ValueError::Text) }
}

fn number(text: &str, range: std::ops::RangeInclusive<u64>, expected: &'static str) -> Result<u64, ValueError> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or(ValueError::Expected(expected))
}

/// Quota (`None`: `max`) and period of a `cpu.max`, microseconds.
fn cpu_max(text: &str) -> Option<(Option<u64>, u64)> {
    let (quota, period) = text.trim().split_once(' ')?;
    let quota = if quota == "max" { None } else { Some(quota.parse().ok()?) };
    Some((quota, period.trim().parse().ok()?))
}

/// `hugetlb.<size>.<what>`, of which there is one for each size of page.
fn hugetlb(name: &str) -> Option<(String, Conversion)> {
    let (size, what) = name.strip_prefix("hugetlb.")?.split_once('.')?;
    let (what, by) = match what {
        "limit_in_bytes" => ("max", Conversion::BytesOfMax),
        "max" => ("limit_in_bytes", Conversion::MaxOfBytes),
        "rsvd.limit_in_bytes" => ("rsvd.max", Conversion::BytesOfMax),
        "rsvd.max" => ("rsvd.limit_in_bytes", Conversion::MaxOfBytes),
        "usage_in_bytes" => ("current", Conversion::Read),
        "current" => ("usage_in_bytes", Conversion::Read),
        _ => return None,
    };
    Some((format!("hugetlb.{size}.{what}"), by))
}

fn why_not(key: &Key) -> &'static str {
    match key.name() {
        "memory.memsw.limit_in_bytes" | "memory.memsw.usage_in_bytes" => {
            "cgroup v2 counts swap alone, not together with memory: memory.swap.max, memory.swap.current"
        }
        "memory.swap.max" | "memory.swap.current" | "memory.swap.high" => {
            "cgroup v1 counts swap together with memory, if at all: memory.memsw.limit_in_bytes"
        }
        "memory.soft_limit_in_bytes" => {
            "cgroup v2 has no soft limit; memory.low protects and memory.high slows down instead"
        }
        "memory.high" | "memory.low" | "memory.min" => {
            "cgroup v1 has nothing of the kind; memory.soft_limit_in_bytes means something else"
        }
        "memory.swappiness" => "cgroup v2 has one swappiness for the whole machine",
        "blkio.weight" | "blkio.bfq.weight" | "io.weight" | "io.bfq.weight" => {
            "this host has no such file, and the scales of the two versions have no common meaning"
        }
        name if name.starts_with("blkio.") => {
            "cgroup v2 has io.max and io.stat instead, which hold all devices and directions together"
        }
        name if name.starts_with("io.") => "cgroup v1 has a file of blkio for each device limit and direction instead",
        _ => "this host's kernel has no such file for a container",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Translation {
        Translation::of(&Key::parse(name).unwrap()).unwrap()
    }

    fn read(name: &str, contents: &[&str]) -> String {
        of(name).value(&contents.iter().map(|content| (*content).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn written(name: &str, value: &str, contents: &[&str]) -> Vec<(String, String)> {
        of(name).writes(value, &contents.iter().map(|content| (*content).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn pair(file: &str, value: &str) -> (String, String) {
        (file.to_owned(), value.to_owned())
    }

    #[test]
    fn names_of_v1_are_read_on_v2() {
        assert_eq!(read("cpu.shares", &["100\n"]), "1024");
        assert_eq!(read("cpu.cfs_quota_us", &["max 100000\n"]), "-1");
        assert_eq!(read("cpu.cfs_quota_us", &["25000 100000\n"]), "25000");
        assert_eq!(read("cpu.cfs_period_us", &["25000 50000\n"]), "50000");
        assert_eq!(read("memory.limit_in_bytes", &["max\n"]), "9223372036854771712");
        assert_eq!(read("memory.usage_in_bytes", &["4096\n"]), "4096");
        assert_eq!(read("memory.failcnt", &["low 0\nhigh 0\nmax 7\n"]), "7");
        assert_eq!(read("freezer.state", &["1\n", "populated 1\nfrozen 0\n"]), "FREEZING");
        assert_eq!(read("cpuacct.usage", &["usage_usec 5\nuser_usec 3\n"]), "5000");
        assert_eq!(read("hugetlb.2MB.usage_in_bytes", &["0\n"]), "0");
    }

    #[test]
    fn names_of_v2_are_read_on_v1() {
        assert_eq!(read("cpu.weight", &["1024\n"]), "100");
        assert_eq!(read("cpu.max", &["-1\n", "100000\n"]), "max 100000");
        assert_eq!(read("cpu.max", &["5000\n", "100000\n"]), "5000 100000");
        assert_eq!(read("memory.max", &["9223372036854771712\n"]), "max");
        assert_eq!(read("cgroup.freeze", &["FROZEN\n"]), "1");
    }

    #[test]
    fn values_are_written_as_the_other_version_wants_them() {
        assert_eq!(written("cpu.shares", "512", &["100"]), [pair("cpu.weight", "50")]);
        assert_eq!(written("cpu.weight", "50", &["1024"]), [pair("cpu.shares", "512")]);
        assert_eq!(written("cpu.cfs_quota_us", "-1", &["5000 50000\n"]), [pair("cpu.max", "max 50000")]);
        assert_eq!(written("cpu.cfs_quota_us", "5000", &["max 50000\n"]), [pair("cpu.max", "5000 50000")]);
        assert_eq!(written("cpu.cfs_period_us", "10000", &["5000 50000\n"]), [pair("cpu.max", "5000 10000")]);
        assert_eq!(written("memory.limit_in_bytes", "-1", &["max"]), [pair("memory.max", "max")]);
        assert_eq!(written("memory.max", "max", &["4096"]), [pair("memory.limit_in_bytes", "-1")]);
        assert_eq!(written("memory.max", "64M", &["4096"]), [pair("memory.limit_in_bytes", "64M")]);
        let quota = |value| pair("cpu.cfs_quota_us", value);
        let (now, period) = (["-1\n", "100000\n"], |value| pair("cpu.cfs_period_us", value));
        assert_eq!(written("cpu.max", "5000 20000", &now), [quota("-1"), period("20000"), quota("5000")]);
        assert_eq!(written("cpu.max", "5000", &now), [quota("-1"), period("100000"), quota("5000")]);
        assert_eq!(written("cpu.max", "max", &now), [quota("-1"), period("100000")]);
    }

    #[test]
    fn what_means_something_else_is_refused_with_the_reason() {
        let why = |name: &str| Translation::of(&Key::parse(name).unwrap()).unwrap_err();
        assert!(why("memory.memsw.limit_in_bytes").contains("swap alone"));
        assert!(why("memory.soft_limit_in_bytes").contains("memory.high"));
        assert!(why("blkio.throttle.read_bps_device").contains("io.max"));
        assert!(why("no.such").contains("no such file"));
        let refused = of("memory.usage_in_bytes").writes("0", &[]).unwrap_err();
        assert_eq!(refused.to_string(), "can only be read on this host, where memory.current stands for it");
        for bad in ["", "x", "999", "1000 x", "1000 10 3", "-5"] {
            assert!(of("cpu.max").writes(bad, &["-1".into(), "100000".into()]).is_err(), "{bad:?}");
        }
        assert_eq!(plain(" 5\n"), Ok("5"));
        assert!(
            plain("").is_err() && plain("a\nb").is_err() && plain("a\0").is_err() && plain(&"x".repeat(4097)).is_err()
        );
    }

    proptest::proptest! {
        #[test]
        fn a_weight_that_is_written_is_read_again(weight in 1_u32..=10_000) {
            let (file, shares) = written("cpu.weight", &weight.to_string(), &["1024"]).pop().unwrap();
            proptest::prop_assert_eq!(file, "cpu.shares");
            proptest::prop_assert_eq!(read("cpu.weight", &[&shares]), weight.to_string());
        }

        #[test]
        fn a_cpu_max_that_is_written_is_read_again(quota in proptest::option::of(1_000_u64..=QUOTA), period in 1_000_u64..=1_000_000) {
            let value = quota.map_or_else(|| format!("max {period}"), |quota| format!("{quota} {period}"));
            let mut files = std::collections::HashMap::new();
            files.extend(written("cpu.max", &value, &["-1", "100000"]));
            proptest::prop_assert_eq!(read("cpu.max", &[&files["cpu.cfs_quota_us"], &files["cpu.cfs_period_us"]]), value);
        }

        #[test]
        fn nothing_makes_it_panic(name in "(cpu|memory|freezer|cgroup|hugetlb)\\.[a-z_.]{1,20}", a in ".{0,60}", b in ".{0,60}") {
            if let Ok(found) = Key::parse(&name).map_err(|_| "").and_then(|key| Translation::of(&key)) {
                let contents = [a.clone(), b];
                let _ = (found.value(&contents), found.writes(&a, &contents));
            }
        }
    }
}
