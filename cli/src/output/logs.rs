//! How output is kept, and what of it was dropped, in a line each.

use tweendeck_proto::v1::{LogOptions, LogPolicy, LogStreamStatus};

use super::{moment, size, word};

/// `1234 bytes of stdout, last 2026-07-01T12:00:00Z: no space`.
pub(crate) fn dropped(stream: &LogStreamStatus) -> String {
    let name = word(stream.stream().as_str_name(), "LOG_STREAM_");
    let why = word(stream.last_drop_reason().as_str_name(), "LOG_DROP_REASON_");
    let last = moment(stream.last_drop_time.as_ref());
    format!("{} bytes of {name}, last {last}: {why}", stream.dropped_bytes)
}

/// `1.0 MiB/s at most, others wait; files of 4.0 MiB, 3 rotated, compressed`.
pub(crate) fn kept(logs: &LogOptions) -> String {
    let over = match logs.policy() {
        LogPolicy::Block => "more waits",
        LogPolicy::DropOldest => "the oldest of more is dropped",
        LogPolicy::DropNewest | LogPolicy::Unspecified => "more is dropped",
    };
    let rate = logs.rate_bytes_per_second.map(|rate| format!("{}/s at most, {over}", size(rate)));
    let file = logs.max_file_bytes.map(|bytes| format!("files of {}", size(bytes)));
    let files = logs.max_files.map(|count| format!("{count} rotated"));
    let compressed = logs.compress.then(|| "compressed".to_owned());
    [rate, file, files, compressed].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_is_one_line() {
        let all = LogOptions {
            max_file_bytes: Some(4 << 20),
            max_files: Some(3),
            compress: true,
            rate_bytes_per_second: Some(1 << 20),
            burst_bytes: None,
            policy: LogPolicy::Block.into(),
        };
        assert_eq!(kept(&all), "1.0 MiB/s at most, more waits, files of 4.0 MiB, 3 rotated, compressed");
        assert_eq!(kept(&LogOptions::default()), "");
    }
}
