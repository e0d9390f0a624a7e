//! Which controller lives where on this host.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::CgroupError;

/// How cgroups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Each controller in a hierarchy of its own.
    V1,
    /// One hierarchy.
    V2,
    /// v1 controllers, and a v2 hierarchy beside them.
    Hybrid,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "cgroup v1",
            Self::V2 => "cgroup v2",
            Self::Hybrid => "cgroup hybrid",
        })
    }
}

/// A controller that containers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// CPU weight and quota.
    Cpu,
    /// CPU time used; v1 only, v2 counts without a controller.
    CpuAcct,
    /// Memory.
    Memory,
    /// Processes.
    Pids,
    /// Freezing; v1 only, v2 can without a controller.
    Freezer,
    /// Use of devices. A controller on v1 only; on v2 it is a program of the cgroup's, and no file names it.
    Devices,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Cpu, Self::CpuAcct, Self::Memory, Self::Pids, Self::Freezer, Self::Devices];

    /// The kernel's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::CpuAcct => "cpuacct",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Freezer => "freezer",
            Self::Devices => "devices",
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a controller lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// A v1 hierarchy mounted here.
    V1(PathBuf),
    /// The v2 hierarchy mounted here.
    V2(PathBuf),
}

/// The cgroup hierarchies of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchies {
    v1: BTreeMap<Controller, PathBuf>,
    v2: Option<PathBuf>,
    v2_controllers: Vec<Controller>,
}

impl Hierarchies {
    /// The hierarchies of this host.
    ///
    /// # Errors
    /// [`CgroupError::NotMounted`] when there is none, [`CgroupError::Read`] when `/proc` cannot be read.
    pub fn detect() -> Result<Self, CgroupError> {
        // Anybody who can mount (FUSE) can name a mount point in bytes that are no text; that is no reason to find no hierarchy.
        let mountinfo = super::file::read_lossy(Path::new("/proc/self"), "mountinfo")?;
        let mut found = Self::parse(&mountinfo, "");
        if let Some(v2) = &found.v2 {
            found.v2_controllers = controllers(&super::file::read(v2, "cgroup.controllers")?);
        }
        // cgroups-rs looks at the file system's magic number under /sys/fs/cgroup; where that says "unified", a v1 mount
        // elsewhere (as some tools make for one legacy controller) is not ours to use.
        if found.v2.is_some() && cgroups_rs::fs::hierarchies::is_cgroup2_unified_mode() {
            found.v1.clear();
        }
        if found.v1.is_empty() && found.v2.is_none() { Err(CgroupError::NotMounted) } else { Ok(found) }
    }

    /// The hierarchies that a `/proc/PID/mountinfo` (proc_pid_mountinfo(5)) shows, with the controllers that the v2
    /// hierarchy's `cgroup.controllers` lists.
    #[must_use]
    pub fn parse(mountinfo: &str, v2_controllers: &str) -> Self {
        let mut found = Self { v1: BTreeMap::new(), v2: None, v2_controllers: controllers(v2_controllers) };
        for mount in mountinfo.lines().filter_map(Mount::parse) {
            match mount.kind {
                "cgroup2" if found.v2.is_none() => found.v2 = Some(mount.point),
                "cgroup" => {
                    for controller in controllers(&mount.options.replace(',', " ")) {
                        found.v1.entry(controller).or_insert_with(|| mount.point.clone());
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// How cgroups are mounted.
    #[must_use]
    pub fn version(&self) -> Version {
        match (self.v1.is_empty(), &self.v2) {
            (true, _) => Version::V2,
            (false, None) => Version::V1,
            (false, Some(_)) => Version::Hybrid,
        }
    }

    /// Where a controller lives; `None` if this host does not have it. On v2, `cpuacct` and `freezer` are part of the core.
    #[must_use]
    pub fn home(&self, controller: Controller) -> Option<Home> {
        if let Some(mount) = self.v1.get(&controller) {
            return Some(Home::V1(mount.clone()));
        }
        let core = match controller {
            Controller::CpuAcct | Controller::Freezer => self.version() == Version::V2,
            // A v2 hierarchy beside v1 takes programs, too.
            Controller::Devices => true,
            Controller::Cpu | Controller::Memory | Controller::Pids => self.v2_controllers.contains(&controller),
        };
        self.v2.clone().filter(|_| core).map(Home::V2)
    }

    /// v1 controllers and their mount points.
    pub(super) fn v1(&self) -> &BTreeMap<Controller, PathBuf> {
        &self.v1
    }

    /// The v2 mount point and its controllers (devices among them), less those that v1 has.
    pub(super) fn v2(&self) -> Option<(&Path, Vec<Controller>)> {
        let free = |controller: &Controller| !self.v1.contains_key(controller);
        let own = self.v2_controllers.iter().copied();
        let controllers: Vec<_> = own.chain([Controller::Devices]).filter(free).collect();
        let used = self.version() == Version::V2 || !controllers.is_empty();
        self.v2.as_deref().filter(|_| used).map(|mount| (mount, controllers))
    }

    /// Every mount point a container's cgroup may have a directory under.
    pub(super) fn mounts(&self) -> Vec<&Path> {
        let mut mounts: Vec<&Path> = self.v1.values().map(PathBuf::as_path).collect();
        mounts.extend(self.v2().map(|(mount, _)| mount));
        mounts.sort_unstable();
        mounts.dedup();
        mounts
    }
}

fn controllers(names: &str) -> Vec<Controller> {
    let known = |name| Controller::ALL.into_iter().find(|controller| controller.name() == name);
    names.split_whitespace().filter_map(known).collect()
}

struct Mount<'a> {
    point: PathBuf,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let point = unescape(before.split(' ').nth(4)?);
        let mut after = after.split(' ');
        let kind = after.next()?;
        let options = after.nth(1)?;
        Some(Self { point: PathBuf::from(point), kind, options })
    }
}

/// Blanks and backslashes stand as `\ooo` in mountinfo.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(char::from(byte));
                plain.push_str(part.get(3..).unwrap_or_default());
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 23 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu rw,relatime shared:1 - cgroup cgroup rw,cpu
32 30 0:28 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
33 30 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
34 30 0:30 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
35 30 0:31 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
37 30 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
36 30 0:32 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";

    #[test]
    fn a_hybrid_host_is_taken_controller_by_controller() {
        let found = Hierarchies::parse(HYBRID, "hugetlb");
        assert_eq!(found.version(), Version::Hybrid);
        assert_eq!(found.home(Controller::Memory), Some(Home::V1("/sys/fs/cgroup/memory".into())));
        assert_eq!(found.home(Controller::Freezer), None);
        assert_eq!(found.v2(), None);
        let split = Hierarchies::parse(&HYBRID.replace("rw,pids", "rw,net_cls"), "pids hugetlb");
        assert_eq!(split.home(Controller::Pids), Some(Home::V2("/sys/fs/cgroup/unified".into())));
        assert_eq!(split.v2(), Some((Path::new("/sys/fs/cgroup/unified"), vec![Controller::Pids])));
    }

    #[test]
    fn a_unified_host_has_one_hierarchy() {
        let mountinfo = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
        let found = Hierarchies::parse(mountinfo, "cpuset cpu io memory pids");
        assert_eq!(found.version(), Version::V2);
        for controller in Controller::ALL {
            assert_eq!(found.home(controller), Some(Home::V2("/sys/fs/cgroup".into())), "{controller}");
        }
        assert_eq!(found.mounts(), [Path::new("/sys/fs/cgroup")]);
    }

    #[test]
    fn controllers_mounted_together_share_a_mount_point() {
        let mountinfo = "31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct";
        let found = Hierarchies::parse(mountinfo, "");
        assert_eq!(found.version(), Version::V1);
        assert_eq!(found.mounts(), [Path::new("/sys/fs/cgroup/cpu,cpuacct")]);
        assert_eq!(found.home(Controller::Memory), None);
    }

    #[test]
    fn a_mount_point_with_a_blank_is_read() {
        let mountinfo = r"31 30 0:27 / /mnt/a\040b\134c rw - cgroup cgroup rw,cpu";
        let found = Hierarchies::parse(mountinfo, "");
        assert_eq!(found.home(Controller::Cpu), Some(Home::V1(r"/mnt/a b\c".into())));
    }

    proptest::proptest! {
        #[test]
        fn no_mountinfo_makes_it_panic(text in ".{0,400}") {
            let _ = Hierarchies::parse(&text, &text);
        }
    }
}
