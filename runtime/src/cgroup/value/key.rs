//! Names of files in a cgroup, as callers may say them.

/// Longest name, bytes.
const MAX: usize = 64;

/// The name of a file in a cgroup: a subsystem, then `.` and further words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

/// Why a name is no [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not of the form.
    #[error(
        "must be the name of a file in a cgroup, such as memory.max or cpu.shares: words of A-Z a-z 0-9 _ with '.' between them, at most 64 bytes"
    )]
    Syntax,
    /// A file of v1 that has no subsystem, and is the host's business.
    #[error("belongs to the host: processes are listed by ListProcesses, and nothing else in it is a container's")]
    Host,
}

impl Key {
    /// A name that leads to a file of the cgroup itself and to nothing else.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(name: &str) -> Result<Self, KeyError> {
        if matches!(name, "tasks" | "release_agent" | "notify_on_release") {
            return Err(KeyError::Host);
        }
        let word =
            |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let valid = name.len() <= MAX && name.contains('.') && name.split('.').all(word);
        if valid { Ok(Self(name.to_owned())) } else { Err(KeyError::Syntax) }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The subsystem: what stands before the first `.`.
    #[must_use]
    pub fn subsystem(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// Why it must not be written though the kernel would let us; `None` if it may.
    #[must_use]
    pub fn not_to_be_written(&self) -> Option<&'static str> {
        let last = self.0.rsplit('.').next().unwrap_or_default();
        match self.subsystem() {
            _ if matches!(self.name(), "cgroup.freeze") => Some("is written by FreezeContainer and ThawContainer"),
            "freezer" => Some("is written by FreezeContainer and ThawContainer"),
            "cgroup" if self.name() == "cgroup.kill" => Some("is written by KillContainer"),
            "cgroup" => {
                Some("belongs to the node: it decides what is in the container's cgroup, and is only read here")
            }
            "devices" => Some("is written from the container's specification"),
            _ if last == "pressure" => {
                Some("takes triggers, which last only as long as the file is open; it is only read here")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_nowhere_else() {
        for bad in [
            "",
            ".",
            "..",
            "memory",
            "memory.",
            ".max",
            "memory..max",
            "a/b.c",
            "../x.y",
            "memory.max\n",
            "memory.max\0",
            "mémory.max",
            "a b.c",
        ] {
            assert_eq!(Key::parse(bad), Err(KeyError::Syntax), "{bad:?}");
        }
        assert_eq!(Key::parse(&format!("a.{}", "x".repeat(63))), Err(KeyError::Syntax));
        for host in ["tasks", "release_agent", "notify_on_release"] {
            assert_eq!(Key::parse(host), Err(KeyError::Host));
        }
        for good in ["memory.max", "cpu.cfs_quota_us", "hugetlb.2MB.max", "blkio.throttle.read_bps_device"] {
            assert_eq!(Key::parse(good).unwrap().name(), good);
        }
    }

    #[test]
    fn what_would_break_the_node_is_not_written() {
        let written = |name: &str| Key::parse(name).unwrap().not_to_be_written().is_none();
        for name in [
            "cgroup.procs",
            "cgroup.threads",
            "cgroup.kill",
            "cgroup.freeze",
            "cgroup.subtree_control",
            "cgroup.type",
            "cgroup.event_control",
            "freezer.state",
            "devices.allow",
            "memory.pressure",
            "cpu.pressure",
        ] {
            assert!(!written(name), "{name}");
        }
        assert!(written("memory.max") && written("cpu.shares") && written("memory.reclaim"));
    }

    proptest::proptest! {
        #[test]
        fn no_name_leaves_its_directory(name in ".{0,80}") {
            if let Ok(key) = Key::parse(&name) {
                let path = std::path::Path::new("/cgroup").join(key.name());
                proptest::prop_assert_eq!(path.parent(), Some(std::path::Path::new("/cgroup")));
            }
        }
    }
}
