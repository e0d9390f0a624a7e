//! How output is to be kept.

use tweendeck_proto::v1::{LogOptions, LogPolicy};
use tweendeck_runtime::bundle;

use super::Violations;
use crate::workload::LOG_BURST;

const FILE_MIN: u64 = 4096;
/// A compressed file is read from its beginning.
const PACKED_MAX: u64 = 64 << 20;
const RATE: std::ops::RangeInclusive<u64> = 4096..=1 << 40;

/// Ranges, the node's among them; and what needs a rate has one.
pub(super) fn logs(node: &bundle::LogPolicy, asked: &LogOptions, violations: &mut Violations) {
    let (most, files) = (node.max_file_bytes, node.max_files);
    if !asked.max_file_bytes.is_none_or(|bytes| (FILE_MIN..=most).contains(&bytes)) {
        let text = format!("must be 4096 to {most} (limits.max_log_bytes_per_file of this node)");
        violations.add("spec.logs.max_file_bytes", text);
    }
    if !asked.max_files.is_none_or(|count| (1..=files).contains(&count)) {
        let text = format!("must be 1 to {files} (limits.max_log_files of this node)");
        violations.add("spec.logs.max_files", text);
    }
    let small = asked.max_file_bytes.unwrap_or(most) <= PACKED_MAX;
    let text = "needs files of at most 67108864 bytes: set max_file_bytes";
    violations.require(small || !asked.compress, "spec.logs.compress", text);
    let rate = asked.rate_bytes_per_second;
    let text = "must be 4096 to 1099511627776 bytes a second";
    violations.require(rate.is_none_or(|rate| RATE.contains(&rate)), "spec.logs.rate_bytes_per_second", text);
    let burst = asked.burst_bytes;
    let text = "must be 65536 to 1073741824 bytes";
    violations.require(burst.is_none_or(|burst| LOG_BURST.contains(&burst)), "spec.logs.burst_bytes", text);
    let text = "needs rate_bytes_per_second";
    violations.require(burst.is_none() || rate.is_some(), "spec.logs.burst_bytes", text);
    match LogPolicy::try_from(asked.policy) {
        Ok(LogPolicy::Unspecified) => {}
        Ok(LogPolicy::Block | LogPolicy::DropOldest | LogPolicy::DropNewest) => {
            violations.require(rate.is_some(), "spec.logs.policy", text);
        }
        Err(_) => violations.add("spec.logs.policy", "is not a value this version knows"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(asked: &LogOptions) -> Vec<String> {
        let mut violations = Violations::default();
        logs(&bundle::LogPolicy::plain(1 << 30, 5), asked, &mut violations);
        violations.fields().into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn ranges_have_ends_and_what_needs_a_rate_has_one() {
        let good = LogOptions {
            max_file_bytes: Some(4096),
            max_files: Some(5),
            compress: true,
            rate_bytes_per_second: Some(4096),
            burst_bytes: Some(65_536),
            policy: LogPolicy::Block.into(),
        };
        assert_eq!(wrong(&good), Vec::<String>::new());
        assert_eq!(wrong(&LogOptions::default()), Vec::<String>::new());
        let field = |name: &str| vec![format!("spec.logs.{name}")];
        for bytes in [4095, (1 << 30) + 1] {
            assert_eq!(
                wrong(&LogOptions { max_file_bytes: Some(bytes), ..Default::default() }),
                field("max_file_bytes")
            );
        }
        for files in [0, 6] {
            assert_eq!(wrong(&LogOptions { max_files: Some(files), ..good }), field("max_files"));
        }
        for rate in [4095, (1 << 40) + 1] {
            assert_eq!(
                wrong(&LogOptions { rate_bytes_per_second: Some(rate), ..good }),
                field("rate_bytes_per_second")
            );
        }
        for burst in [65_535, (1 << 30) + 1] {
            assert_eq!(wrong(&LogOptions { burst_bytes: Some(burst), ..good }), field("burst_bytes"));
        }
        assert_eq!(wrong(&LogOptions { max_file_bytes: None, ..good }), field("compress"));
        assert_eq!(wrong(&LogOptions { policy: 9, ..good }), field("policy"));
        let unlimited = LogOptions { rate_bytes_per_second: None, ..good };
        assert_eq!(wrong(&unlimited), ["burst_bytes", "policy"].map(|name| format!("spec.logs.{name}")));
    }
}
