//! Stalls that last too long: triggers of pressure stall information (Documentation/accounting/psi.rst, "Monitoring for pressure thresholds").
//!
//! The kernel keeps it for each cgroup of v2 and none of v1. A container is in a cgroup of v2 on some hybrid hosts, depending on what it is limited by;
//! so it is had only where everything is on v2.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write as _;

use serde::{Deserialize, Serialize};

use super::{Cgroup, CgroupError, Controller, Hierarchies, Version};

/// Shortest and longest window, microseconds (WINDOW_MIN_US and WINDOW_MAX_US in kernel/sched/psi.c).
pub const WINDOW_US: (u32, u32) = (500_000, 10_000_000);

/// What processes wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pressed {
    /// CPU time.
    Cpu,
    /// Memory that is being reclaimed.
    Memory,
    /// Block I/O.
    Io,
}

/// Who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stall {
    /// At least one process.
    Some,
    /// All processes that are not idle, at once.
    Full,
}

/// When a stall is too long: so much of any window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// What for.
    pub resource: Pressed,
    /// Who.
    pub stall: Stall,
    /// How long together, 1 to `window_us` microseconds.
    pub stall_us: u32,
    /// Within how long, [`WINDOW_US`] microseconds.
    pub window_us: u32,
}

impl Trigger {
    /// The field of a specification that asks for it.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match (self.resource, self.stall) {
            (Pressed::Cpu, Stall::Some) => "pressure.cpu.some",
            (Pressed::Cpu, Stall::Full) => "pressure.cpu.full",
            (Pressed::Memory, Stall::Some) => "pressure.memory.some",
            (Pressed::Memory, Stall::Full) => "pressure.memory.full",
            (Pressed::Io, Stall::Some) => "pressure.io.some",
            (Pressed::Io, Stall::Full) => "pressure.io.full",
        }
    }

    fn file(&self) -> &'static str {
        match self.resource {
            Pressed::Cpu => "cpu.pressure",
            Pressed::Memory => "memory.pressure",
            Pressed::Io => "io.pressure",
        }
    }

    fn controller(&self) -> Controller {
        match self.resource {
            Pressed::Cpu => Controller::Cpu,
            Pressed::Memory => Controller::Memory,
            Pressed::Io => Controller::Io,
        }
    }

    fn in_range(&self) -> Result<(), CgroupError> {
        let field = self.field();
        if !(WINDOW_US.0..=WINDOW_US.1).contains(&self.window_us) {
            let range = "500000 to 10000000 microseconds (window_us)";
            return Err(CgroupError::OutOfRange { field, value: self.window_us.into(), range });
        }
        if !(1..=self.window_us).contains(&self.stall_us) {
            let range = "1 to window_us microseconds (stall_us)";
            return Err(CgroupError::OutOfRange { field, value: self.stall_us.into(), range });
        }
        Ok(())
    }
}

impl fmt::Display for Trigger {
    /// As the kernel takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stall = match self.stall {
            Stall::Some => "some",
            Stall::Full => "full",
        };
        write!(f, "{stall} {} {}", self.stall_us, self.window_us)
    }
}

/// Everything that is wrong with `triggers` on this host.
///
/// # Errors
/// [`CgroupError::OutOfRange`] and [`CgroupError::UnsupportedOnHost`], all that apply.
pub fn check_pressure(hierarchies: &Hierarchies, triggers: &[Trigger]) -> Result<(), Vec<CgroupError>> {
    let mut errors: Vec<_> = triggers.iter().filter_map(|trigger| trigger.in_range().err()).collect();
    for trigger in triggers {
        if let Some(lacks) = lacks(hierarchies, trigger) {
            let (field, controller, version) = (trigger.field(), trigger.controller(), hierarchies.version());
            errors.push(CgroupError::UnsupportedOnHost { field, controller, version, lacks });
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// What the host lacks for it. Without pressure stall information no cgroup has the files (CFTYPE_PRESSURE in kernel/cgroup/cgroup.c).
fn lacks(hierarchies: &Hierarchies, trigger: &Trigger) -> Option<String> {
    match hierarchies.unified().filter(|_| hierarchies.version() == Version::V2) {
        None => Some(format!("{} of cgroup v2", trigger.file())),
        Some(mount) if mount.join(trigger.file()).exists() => None,
        Some(_) => Some(format!("{} (CONFIG_PSI, and psi=1 where it is off by default)", trigger.file())),
    }
}

impl Cgroup {
    /// Has the kernel watch for a stall. The file becomes ready (`EPOLLPRI`) when it has lasted too long, at most once a window, and watches for as long as
    /// it is open.
    ///
    /// # Errors
    /// [`CgroupError::Write`].
    pub fn watch_pressure(&self, trigger: &Trigger) -> Result<File, CgroupError> {
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let directory = self.sides().find_map(|side| side.directory_of(trigger.file())).unwrap_or_default();
        let path = directory.join(trigger.file());
        let value = trigger.to_string();
        let file = if directory.as_os_str().is_empty() {
            Err(missing())
        } else {
            OpenOptions::new().read(true).write(true).open(&path)
        };
        // One write, with the NUL that the kernel puts in place of the last byte.
        let watched = file.and_then(|mut file| file.write_all(format!("{value}\0").as_bytes()).map(|()| file));
        watched.map_err(|source| CgroupError::Write { path, value, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trigger(stall_us: u32, window_us: u32) -> Trigger {
        Trigger { resource: Pressed::Memory, stall: Stall::Full, stall_us, window_us }
    }

    #[test]
    fn a_trigger_is_what_the_kernel_takes() {
        assert_eq!(trigger(100_000, 1_000_000).to_string(), "full 100000 1000000");
        for (stall_us, window_us, good) in [
            (1, 500_000, true),
            (500_000, 500_000, true),
            (10_000_000, 10_000_000, true),
            (0, 500_000, false),
            (500_001, 500_000, false),
            (1, 499_999, false),
            (1, 10_000_001, false),
        ] {
            assert_eq!(trigger(stall_us, window_us).in_range().is_ok(), good, "{stall_us} of {window_us}");
        }
    }

    #[test]
    fn what_has_no_pressure_says_what_it_lacks() {
        let told = |host: &Hierarchies, asked: &[Trigger]| {
            let errors = check_pressure(host, asked).err().unwrap_or_default();
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let asked = [trigger(1, 500_000)];
        let hybrid = "31 30 0:27 / /c rw - cgroup cgroup rw,memory\n32 30 0:28 / /u rw - cgroup2 cgroup2 rw";
        assert_eq!(
            told(&Hierarchies::parse(hybrid, "hugetlb"), &asked),
            ["pressure.memory.full needs memory.pressure of cgroup v2, which this host (cgroup hybrid) does not have"]
        );
        let dir = tempfile::tempdir().unwrap();
        let unified = format!("32 30 0:28 / {} rw - cgroup2 cgroup2 rw", dir.path().display());
        let host = Hierarchies::parse(&unified, "memory");
        assert!(told(&host, &asked)[0].contains("psi=1"));
        std::fs::write(dir.path().join("memory.pressure"), "").unwrap();
        assert!(told(&host, &asked).is_empty());
        assert!(told(&host, &[trigger(0, 500_000)])[0].contains("stall_us"));
    }
}
