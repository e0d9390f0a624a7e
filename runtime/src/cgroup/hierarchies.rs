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
    /// CPUs and memory nodes.
    Cpuset,
    /// Block I/O.
    Io,
    /// Huge pages.
    Hugetlb,
    /// RDMA.
    Rdma,
    /// Countable things of the machine's, such as encrypted address spaces.
    Misc,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Cpu,
        Self::CpuAcct,
        Self::Memory,
        Self::Pids,
        Self::Freezer,
        Self::Devices,
        Self::Cpuset,
        Self::Io,
        Self::Hugetlb,
        Self::Rdma,
        Self::Misc,
    ];

    /// The kernel's name on v1.
    #[must_use]
    pub fn v1_name(self) -> &'static str {
        match self {
            Self::Io => "blkio",
            Self::Cpu
            | Self::CpuAcct
            | Self::Memory
            | Self::Pids
            | Self::Freezer
            | Self::Devices
            | Self::Cpuset
            | Self::Hugetlb
            | Self::Rdma
            | Self::Misc => self.name(),
        }
    }

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
            Self::Cpuset => "cpuset",
            Self::Io => "io",
            Self::Hugetlb => "hugetlb",
            Self::Rdma => "rdma",
            Self::Misc => "misc",
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

impl Home {
    /// The mount point.
    #[must_use]
    pub fn mount(&self) -> &Path {
        match self {
            Self::V1(mount) | Self::V2(mount) => mount,
        }
    }
}

/// The cgroup hierarchies of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchies {
    v1: BTreeMap<Controller, PathBuf>,
    v2: Option<PathBuf>,
    v2_controllers: Vec<Controller>,
    /// What is ours to write in begins below this, a path below the v2 mount point.
    base: String,
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

    /// The same hierarchies for cgroups below `base`, a path below the v2 mount point; empty means the mount point itself. A cgroup hands down what its
    /// own `cgroup.controllers` lists (cgroup-v2.rst, "Enabling and Disabling"), which may be less than the mount point has; what lies above it is
    /// another's to decide. What is at the mount point has been read already.
    ///
    /// # Errors
    /// [`CgroupError::Read`] when there is no such cgroup. Beside v1 it may be absent: then nothing comes from v2.
    pub fn below(mut self, base: &str) -> Result<Self, CgroupError> {
        if let Some(v2) = self.v2.as_ref().filter(|_| base != self.base) {
            let directory = v2.join(base);
            self.base = base.to_owned();
            self.v2_controllers = match self.version() {
                Version::V2 => controllers(&super::file::read(&directory, "cgroup.controllers")?),
                Version::V1 | Version::Hybrid => {
                    let listed = super::file::read_optional(&directory, "cgroup.controllers")?;
                    controllers(&listed.unwrap_or_default())
                }
            };
        }
        Ok(self)
    }

    /// What [`Hierarchies::below`] was given.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The v2 mount point, whether or not controllers come from it.
    #[must_use]
    pub fn unified(&self) -> Option<&Path> {
        self.v2.as_deref()
    }

    /// The hierarchies that a `/proc/PID/mountinfo` (proc_pid_mountinfo(5)) shows, with the controllers that the v2
    /// hierarchy's `cgroup.controllers` lists.
    #[must_use]
    pub fn parse(mountinfo: &str, v2_controllers: &str) -> Self {
        let mut found =
            Self { v1: BTreeMap::new(), v2: None, v2_controllers: controllers(v2_controllers), base: String::new() };
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
            Controller::Cpu
            | Controller::Memory
            | Controller::Pids
            | Controller::Cpuset
            | Controller::Io
            | Controller::Hugetlb
            | Controller::Rdma
            | Controller::Misc => self.v2_controllers.contains(&controller),
        };
        self.v2.clone().filter(|_| core).map(Home::V2)
    }

    /// The version that has a controller; of one that this host does not have, how cgroups are mounted.
    #[must_use]
    pub fn version_of(&self, controller: Controller) -> Version {
        match self.home(controller) {
            Some(Home::V1(_)) => Version::V1,
            Some(Home::V2(_)) => Version::V2,
            None => self.version(),
        }
    }

    /// Whether a group has a file of a controller, which depends on the kernel's version and configuration. Groups that are there are looked at; only
    /// where no group has the controller is one made, and removed again.
    #[must_use]
    pub fn has_file(&self, controller: Controller, name: &str) -> bool {
        match self.home(controller) {
            None => false,
            // Roots of v1 have (nearly) all of them.
            Some(Home::V1(mount)) => mount.join(name).exists(),
            Some(Home::V2(mount)) => super::probe::has_file(&mount, controller, name),
        }
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
    pub(crate) fn mounts(&self) -> Vec<&Path> {
        let mut mounts: Vec<&Path> = self.v1.values().map(PathBuf::as_path).collect();
        mounts.extend(self.v2().map(|(mount, _)| mount));
        mounts.sort_unstable();
        mounts.dedup();
        mounts
    }
}

fn controllers(names: &str) -> Vec<Controller> {
    let known = |name| Controller::ALL.into_iter().find(|known| known.name() == name || known.v1_name() == name);
    names.split_whitespace().filter_map(known).collect()
}

pub(super) struct Mount<'a> {
    /// The directory of the file system that is seen at the mount point.
    pub(super) root: String,
    pub(super) point: PathBuf,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let root = unescape(before.next()?);
        let point = unescape(before.next()?);
        let mut after = after.split(' ');
        let kind = after.next()?;
        let options = after.nth(1)?;
        Some(Self { root, point: PathBuf::from(point), kind, options })
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
        let found = Hierarchies::parse(HYBRID, "perf_event");
        assert_eq!(found.version(), Version::Hybrid);
        assert_eq!(found.home(Controller::Memory), Some(Home::V1("/sys/fs/cgroup/memory".into())));
        assert_eq!(found.home(Controller::Freezer), None);
        assert_eq!(found.v2(), None);
        assert_eq!(Hierarchies::parse(HYBRID, "hugetlb").version_of(Controller::Hugetlb), Version::V2);
        assert_eq!(found.version_of(Controller::Hugetlb), Version::Hybrid);
        let split = Hierarchies::parse(&HYBRID.replace("rw,pids", "rw,net_cls"), "pids perf_event");
        assert_eq!(split.home(Controller::Pids), Some(Home::V2("/sys/fs/cgroup/unified".into())));
        assert_eq!(split.v2(), Some((Path::new("/sys/fs/cgroup/unified"), vec![Controller::Pids])));
    }

    #[test]
    fn a_unified_host_has_one_hierarchy() {
        let mountinfo = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
        let found = Hierarchies::parse(mountinfo, "cpuset cpu io memory hugetlb pids rdma misc");
        assert_eq!(found.version(), Version::V2);
        for controller in Controller::ALL {
            assert_eq!(found.home(controller), Some(Home::V2("/sys/fs/cgroup".into())), "{controller}");
        }
        assert_eq!(found.mounts(), [Path::new("/sys/fs/cgroup")]);
    }

    #[test]
    fn a_cgroup_has_the_controllers_that_it_was_given() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a.slice/b.scope")).unwrap();
        std::fs::write(root.path().join("cgroup.controllers"), "cpu memory pids").unwrap();
        std::fs::write(root.path().join("a.slice/b.scope/cgroup.controllers"), "memory pids").unwrap();
        let mountinfo = format!("30 23 0:26 / {} rw - cgroup2 cgroup2 rw", root.path().display());
        let host = Hierarchies::parse(&mountinfo, "cpu memory pids");
        assert!(host.clone().below("").unwrap().home(Controller::Cpu).is_some());
        let below = host.clone().below("a.slice/b.scope").unwrap();
        assert_eq!(below.home(Controller::Cpu), None);
        assert!(below.home(Controller::Memory).is_some());
        assert!(host.below("gone.scope").is_err());
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
        let found = Hierarchies::parse(&format!("{mountinfo}\n32 30 0:28 / /b rw - cgroup cgroup rw,blkio"), "");
        assert_eq!(found.home(Controller::Cpu), Some(Home::V1(r"/mnt/a b\c".into())));
        assert_eq!(found.home(Controller::Io), Some(Home::V1("/b".into())));
    }

    proptest::proptest! {
        #[test]
        fn no_mountinfo_makes_it_panic(text in ".{0,400}") {
            let _ = Hierarchies::parse(&text, &text);
        }
    }
}
