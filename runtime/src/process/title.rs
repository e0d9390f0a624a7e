//! What `ps` shows of a supervisor: a clone has the arguments of what it is a clone of, and writes over them.

use std::fs::OpenOptions;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

/// Bytes of the argument that is there to be written over.
pub(crate) const ROOM: usize = 512;

/// Where the kernel keeps the arguments that `/proc/PID/cmdline` shows (proc_pid_stat(5), `arg_start` and `arg_end`).
pub(super) struct Title(Range<u64>);

impl Title {
    /// The place, if there is room for a title.
    pub(super) fn find() -> Option<Self> {
        let place = arguments(&std::fs::read_to_string("/proc/self/stat").ok()?)?;
        (place.end - place.start > ROOM as u64).then_some(Self(place))
    }

    /// Shows whose supervisor this is. A last byte that is not zero says that this is a title, which is shown up to its end (`get_mm_cmdline` in fs/proc/base.c).
    pub(super) fn show(&self, container: &str) {
        let mut text = format!("tweendeck-supervisor {container}").into_bytes();
        text.truncate(ROOM);
        text.resize(usize::try_from(self.0.end - self.0.start).unwrap_or_default(), 0);
        if let Some(last) = text.last_mut() {
            *last = b'.';
        }
        // For people only.
        let memory = OpenOptions::new().write(true).open("/proc/self/mem");
        let _ = memory.and_then(|memory| memory.write_all_at(&text, self.0.start));
    }
}

fn arguments(stat: &str) -> Option<Range<u64>> {
    // After the name, which may have blanks, comes the third field.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(45);
    let (start, end) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(start..end).filter(|range| !range.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_where_the_kernel_says() {
        let place = arguments(&std::fs::read_to_string("/proc/self/stat").unwrap()).unwrap();
        let mut text = vec![0; usize::try_from(place.end - place.start).unwrap()];
        std::fs::File::open("/proc/self/mem").unwrap().read_exact_at(&mut text, place.start).unwrap();
        assert_eq!(text, std::fs::read("/proc/self/cmdline").unwrap());
        assert_eq!(arguments("1 (a b) c) R"), None);
        assert_eq!(arguments(&format!("1 (a) {} 7 7 0", "0 ".repeat(45))), None);
    }
}
