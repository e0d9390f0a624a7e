//! The label that a security module of the kernel gives a process when it executes the command (AppArmor's profile, SELinux' context).

use std::fs::{self, File};
use std::io::{self, Write as _};

use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use oci_spec::runtime::Process;

const MAX_BYTES: usize = 4096;

/// A security module that has labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// Profiles, by name.
    AppArmor,
    /// Contexts, `user:role:type:level`.
    SeLinux,
}

/// Whether the kernel has it, and it is switched on.
fn has(module: Module) -> bool {
    match module {
        Module::AppArmor => {
            fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with('Y'))
        }
        // Registered only when it is (security/selinux/selinuxfs.c).
        Module::SeLinux => fs::read_to_string("/proc/filesystems")
            .is_ok_and(|text| text.lines().any(|line| line.ends_with("\tselinuxfs"))),
    }
}

/// Why a process cannot be labelled so on this machine; a sentence without its subject.
#[must_use]
pub fn refusal(module: Module, text: &str) -> Option<String> {
    if !is_text(text) {
        return Some(format!("must be 1 to {MAX_BYTES} bytes without control characters"));
    }
    let name = match module {
        Module::AppArmor => "AppArmor",
        Module::SeLinux => "SELinux",
    };
    (!has(module)).then(|| format!("needs {name}, which this kernel does not have switched on; leave it out"))
}

/// What the command is to be labelled with.
#[derive(Debug)]
pub(crate) struct Label {
    module: Module,
    text: String,
}

impl Label {
    /// The label of a process that has been checked. There is at most one, because a machine has one of the modules.
    pub(crate) fn of(process: &Process) -> Option<Self> {
        Self::all(process).next().map(|(_, label)| label)
    }

    fn all(process: &Process) -> impl Iterator<Item = (&'static str, Self)> {
        let of = |module, text: &Option<String>| text.clone().map(|text| Self { module, text });
        let apparmor = of(Module::AppArmor, process.apparmor_profile()).map(|label| ("process.apparmorProfile", label));
        let selinux = of(Module::SeLinux, process.selinux_label()).map(|label| ("process.selinuxLabel", label));
        apparmor.into_iter().chain(selinux)
    }

    /// Why labels cannot be given, by field.
    pub(crate) fn refusals(process: &Process) -> Vec<String> {
        Self::all(process)
            .filter_map(|(field, label)| refusal(label.module, &label.text).map(|why| format!("{field} {why}")))
            .collect()
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Asks for it at the next execve(2) (proc_pid_attr(5)).
    pub(crate) fn take_at_exec(&self) -> io::Result<()> {
        let (mut file, text) = match self.module {
            // Apart from other modules' since Linux 5.8.
            Module::AppArmor => (open("/proc/thread-self/attr/apparmor/exec")?, format!("exec {}", self.text)),
            Module::SeLinux => (open("/proc/thread-self/attr/exec")?, self.text.clone()),
        };
        file.write_all(text.as_bytes())
    }
}

/// A file of the kernel's, not one that an image has put in its place.
fn open(path: &str) -> io::Result<File> {
    let file = File::options().write(true).open(path)?;
    if fstatfs(&file)?.filesystem_type() == PROC_SUPER_MAGIC {
        Ok(file)
    } else {
        Err(io::Error::other("/proc is not the kernel's in this container: mount it"))
    }
}

/// Whether it can be a label at all.
fn is_text(text: &str) -> bool {
    (1..=MAX_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}
