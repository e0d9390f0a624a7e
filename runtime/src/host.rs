//! Facts about this host and its processes, read from the kernel.

mod clock;
mod device;
mod facts;
mod load;
mod processes;

use std::io;

pub use clock::boottime;
pub use device::{Device, device};
pub use facts::{Fact, Verdict, facts};
pub use load::{Load, load};
pub use processes::{ProcessFacts, processes};

/// The name our init gives itself (proc_pid_comm(5)).
pub const INIT_COMM: &str = "tweendeck-init";

/// What uname(2) says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// Host name.
    pub hostname: String,
    /// Kernel release, such as `6.1.0-56-amd64`.
    pub release: String,
    /// Machine, such as `x86_64`.
    pub machine: String,
}

/// What uname(2) says; empty where it says nothing.
#[must_use]
pub fn system() -> System {
    let text = |value: &std::ffi::OsStr| value.to_string_lossy().into_owned();
    match nix::sys::utsname::uname() {
        Ok(name) => {
            System { hostname: text(name.nodename()), release: text(name.release()), machine: text(name.machine()) }
        }
        Err(_) => System { hostname: String::new(), release: String::new(), machine: String::new() },
    }
}

/// The kernel's boot id: another one after every boot (proc_sys_kernel(5)).
///
/// # Errors
/// The kernel's.
pub fn boot_id() -> io::Result<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned())
}

/// The user this process acts as.
#[must_use]
pub fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Raises the number of files this process may have open to its hard limit (getrlimit(2)): every container takes a few descriptors.
/// Gives the limit that is in force then.
///
/// # Errors
/// The kernel's.
pub fn raise_open_files() -> io::Result<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// From here on, files this process makes are for its own user only (umask(2)).
pub fn keep_new_files_private() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
}
