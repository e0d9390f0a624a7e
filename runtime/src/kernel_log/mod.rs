//! The kernel's log, as `/dev/kmsg` gives it (Documentation/ABI/testing/dev-kmsg): a record a read, `prefix,sequence,time,flags;text`.
//!
//! [`KernelLog`] reads, [`OomReports`] understands. Only what the kernel itself has said counts: whoever may write to the device can say
//! anything, but not as facility 0, which the kernel replaces (`devkmsg_write` in kernel/printk/printk.c).

mod oom;
mod record;

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;

pub use oom::OomReports;
pub use record::Record;

/// Records taken at a look. An OOM kill has about a hundred.
const AT_ONCE: usize = 4096;

/// A place in the kernel's log.
///
/// It is kept for a container's life, at the cost of 4 KiB of the kernel's (20 before Linux 6.3): what is read from it was said since, so that a kill of an
/// earlier container in a cgroup of the same name cannot be mistaken for this one's, and no record is read twice. (Times in the log are of a clock
/// that userspace cannot read.)
#[derive(Debug)]
pub(crate) struct KernelLog(File);

impl KernelLog {
    /// The end of the log; `None` where it is not to be had: in a container, say.
    pub(crate) fn end() -> Option<Self> {
        let mut file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open("/dev/kmsg").ok()?;
        file.seek(SeekFrom::End(0)).ok()?;
        Some(Self(file))
    }

    /// Gives what has been said since to `reports`, of much only a part; whether that was all.
    pub(crate) fn read(&mut self, buffer: &mut [u8], reports: &mut OomReports) -> bool {
        for _ in 0..AT_ONCE {
            match self.0.read(buffer) {
                Ok(0) => return true,
                Ok(length) => {
                    if let Some(record) = buffer.get(..length).and_then(Record::parse) {
                        reports.take(&record);
                    }
                }
                // What was next has been overwritten meanwhile (EPIPE); what comes is the oldest there is.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => reports.gap(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
        false
    }
}
