//! Where containers' cgroups are made: in a scope of systemd's, or in a tree of our own.
//!
//! [`Facts::gather`] looks at the host, [`decide`] makes a [`Placement`] of what it saw and of what was asked for, without touching anything.
//! What carries it out is elsewhere: the agent speaks to systemd, [`leave_base`] moves the agent out of a cgroup that it is to hand down.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::hierarchies::Mount;
use super::{CgroupError, Hierarchies, file};

/// Parent of the containers' cgroups in a tree of our own, unless one is configured.
pub const PARENT: &str = "tweendeck";
/// Where the agent goes when it sits in the cgroup that it is to hand down.
pub const AGENT_LEAF: &str = "agent";

/// What the operator asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A scope where systemd is to be had, else a tree of our own.
    Auto,
    /// A scope, or nothing.
    Systemd,
    /// A tree of our own.
    Direct,
}

/// What the agent found out about systemd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Systemd {
    /// It is not PID 1 of this PID namespace (sd_booted(3)).
    Absent,
    /// It is, and does not answer on the bus: why.
    Silent(String),
    /// It is, and answers.
    Answers,
}

/// What was seen of the v2 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unified {
    /// Whether the mount point shows the root of the hierarchy, which may have processes and hand down controllers at once. In a cgroup namespace
    /// it shows another cgroup.
    pub is_root: bool,
    /// Whether this process may make cgroups at the mount point.
    pub root_writable: bool,
    /// This process's own cgroup below the mount point, empty for the mount point itself; `None` when the mount does not show it.
    pub own: Option<String>,
    /// Whether this process may make cgroups in its own.
    pub own_writable: bool,
    /// Whether it may do so one level up.
    pub parent_writable: bool,
}

/// What [`decide`] goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Systemd.
    pub systemd: Systemd,
    /// The v2 hierarchy; `None` where no controller comes from it, so that its rules do not matter.
    pub unified: Option<Unified>,
}

/// Where containers' cgroups are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In a scope that systemd delegates: `why`.
    Scope {
        /// In a sentence's words.
        why: String,
    },
    /// In a tree of our own.
    Tree {
        /// The cgroup below the mount point that controllers are handed down from; empty is the mount point.
        base: String,
        /// Parent of the containers' cgroups, `base` or below it.
        parent: String,
        /// Whether this process sits in `base` and must leave it first ([`leave_base`]).
        leave: bool,
        /// Why, in a sentence's words.
        why: String,
        /// What may go wrong here, if anything.
        hazard: Option<String>,
    },
}

/// Why there is no place.
#[derive(Debug, thiserror::Error)]
pub enum PlacementError {
    /// A scope was asked for, and systemd is not to be had.
    #[error("cgroup.placement is systemd, but {0}; use auto, or direct")]
    NoSystemd(String),
    /// Neither the mount point nor our own cgroup can be written.
    #[error(
        "no cgroup can be made at {mount} or in this process's own cgroup {own:?}: run the agent with a writable cgroup file system, in a cgroup that is delegated to it"
    )]
    NotOurs {
        /// The v2 mount point.
        mount: PathBuf,
        /// Our own cgroup; empty if the mount does not show it.
        own: String,
    },
    /// The kernel's answer.
    #[error("look at the cgroups of this process")]
    Look(#[source] CgroupError),
    /// The agent could not leave the cgroup that it is to hand down.
    #[error("move this process into {path}")]
    Leave {
        /// Where to.
        path: PathBuf,
        /// Why.
        #[source]
        source: CgroupError,
    },
    /// Others sit in the cgroup that is to be handed down, so it cannot be (cgroup-v2.rst, "No Internal Process Constraint").
    #[error(
        "{count} other processes, the first is {first}, are in the cgroup {path}, so it can hand down no controller: start the agent alone in its cgroup, or move them into one below it"
    )]
    Occupied {
        /// Which.
        path: PathBuf,
        /// How many.
        count: usize,
        /// One of them; 0 if it is in a PID namespace that is not seen here.
        first: i32,
    },
}

impl Facts {
    /// What this host has; `systemd` is what the agent found out. Without systemd on the bus nothing here needs it.
    ///
    /// # Errors
    /// [`PlacementError::Look`].
    pub fn gather(hierarchies: &Hierarchies, systemd: Systemd) -> Result<Self, PlacementError> {
        let Some((mount, _)) = hierarchies.v2() else {
            return Ok(Self { systemd, unified: None });
        };
        let read = |name| file::read(Path::new("/proc/self"), name).map_err(PlacementError::Look);
        let own = own_cgroup(&read("cgroup")?, &mount_root(&read("mountinfo")?, mount));
        let directory = own.as_ref().map(|own| mount.join(own));
        let up = own.as_ref().filter(|own| !own.is_empty()).and(directory.as_ref()).and_then(|own| own.parent());
        let unified = Unified {
            // "cgroup.type: … exists on non-root cgroups" (cgroup-v2.rst, Core Interface Files).
            is_root: !mount.join("cgroup.type").exists(),
            root_writable: writable(mount),
            own_writable: directory.as_deref().is_some_and(writable),
            parent_writable: up.is_some_and(writable),
            own,
        };
        Ok(Self { systemd, unified: Some(unified) })
    }
}

/// Whether systemd is PID 1 of this PID namespace. The second question matters in a container that was given the host's `/run`: PIDs that are told
/// to the host's systemd would be other processes there.
#[must_use]
pub fn systemd_is_here() -> bool {
    let first = fs::read_to_string("/proc/1/comm").unwrap_or_default();
    Path::new("/run/systemd/system").is_dir() && first.trim_end() == "systemd"
}

/// Where containers' cgroups go. `parent` is the configured one; it counts before everything else.
///
/// # Errors
/// [`PlacementError::NoSystemd`] and [`PlacementError::NotOurs`].
pub fn decide(facts: &Facts, mode: Mode, parent: Option<&str>, mount: &Path) -> Result<Placement, PlacementError> {
    if let Some(parent) = parent {
        let why = "cgroup.parent is set".to_owned();
        let leave = facts.unified.as_ref().is_some_and(sits_at_mount);
        let (base, parent) = (String::new(), parent.to_owned());
        return Ok(Placement::Tree { base, parent, leave, why, hazard: hazard(facts) });
    }
    match (mode, &facts.systemd) {
        (Mode::Direct, _) => own_tree(facts, mount, "cgroup.placement is direct"),
        (Mode::Auto, Systemd::Answers) => Ok(Placement::Scope { why: "systemd answers on the bus".to_owned() }),
        (Mode::Systemd, Systemd::Answers) => Ok(Placement::Scope { why: "cgroup.placement is systemd".to_owned() }),
        (Mode::Auto, Systemd::Absent) => own_tree(facts, mount, "systemd is not PID 1 here"),
        (Mode::Auto, Systemd::Silent(why)) => own_tree(facts, mount, &format!("systemd does not answer: {why}")),
        (Mode::Systemd, Systemd::Absent) => Err(PlacementError::NoSystemd("it is not PID 1 here".to_owned())),
        (Mode::Systemd, Systemd::Silent(why)) => Err(PlacementError::NoSystemd(format!("it does not answer: {why}"))),
    }
}

fn own_tree(facts: &Facts, mount: &Path, why: &str) -> Result<Placement, PlacementError> {
    let tree = |base: &str, leave, why: String| {
        let parent = if base.is_empty() { PARENT.to_owned() } else { format!("{base}/{PARENT}") };
        Ok(Placement::Tree { base: base.to_owned(), parent, leave, why, hazard: hazard(facts) })
    };
    let Some(unified) = &facts.unified else {
        return tree("", false, why.to_owned());
    };
    if unified.root_writable {
        return tree("", sits_at_mount(unified), why.to_owned());
    }
    let own = unified.own.as_deref().unwrap_or_default();
    let delegated = || format!("{why}, and only this process's own cgroup can be written");
    // An agent that an earlier one started is in its leaf already.
    if let Some((base, AGENT_LEAF)) = own.rsplit_once('/')
        && unified.parent_writable
    {
        return tree(base, false, delegated());
    }
    if unified.own_writable && !own.is_empty() {
        return tree(own, true, delegated());
    }
    Err(PlacementError::NotOurs { mount: mount.to_owned(), own: own.to_owned() })
}

/// In a cgroup namespace the mount point is a cgroup like any other, and this process may be in it.
fn sits_at_mount(unified: &Unified) -> bool {
    !unified.is_root && unified.own.as_deref() == Some("")
}

fn hazard(facts: &Facts) -> Option<String> {
    match facts.systemd {
        Systemd::Absent => None,
        Systemd::Silent(_) | Systemd::Answers => facts.unified.as_ref().map(|_| {
            "systemd takes controllers away from cgroups that it does not know at its next daemon-reload, and limits with them".to_owned()
        }),
    }
}

/// Moves this process into a leaf of `base`, so that `base` can hand down controllers.
///
/// # Errors
/// [`PlacementError::Leave`], and [`PlacementError::Occupied`] when others are left in it.
pub fn leave_base(mount: &Path, base: &str) -> Result<(), PlacementError> {
    let base = mount.join(base);
    let leaf = base.join(AGENT_LEAF);
    let failed = |source| PlacementError::Leave { path: leaf.clone(), source };
    file::make(&base, AGENT_LEAF).map_err(failed)?;
    // Of a process with threads all of them go.
    file::write(&leaf, "cgroup.procs", "0").map_err(failed)?;
    let left = file::read(&base, "cgroup.procs").map_err(PlacementError::Look)?;
    let mut left = left.lines().map(|line| line.parse().unwrap_or(0));
    match left.next() {
        None => Ok(()),
        Some(first) => Err(PlacementError::Occupied { path: base, count: left.count() + 1, first }),
    }
}

/// A cgroup that another process names (`/proc/PID/cgroup`, a unit's `ControlGroup`), as a path below the v2 mount point.
///
/// # Errors
/// [`PlacementError::Look`].
pub fn below_mount(hierarchies: &Hierarchies, cgroup: &str) -> Result<Option<String>, PlacementError> {
    let mountinfo = file::read(Path::new("/proc/self"), "mountinfo").map_err(PlacementError::Look)?;
    let mount = hierarchies.unified().or_else(|| hierarchies.mounts().first().copied());
    Ok(mount.and_then(|mount| strip(cgroup, &mount_root(&mountinfo, mount))))
}

/// Our own v2 cgroup below the mount point, of a `/proc/PID/cgroup` (cgroups(7)).
fn own_cgroup(text: &str, mount_root: &str) -> Option<String> {
    strip(text.lines().find_map(|line| line.strip_prefix("0::"))?, mount_root)
}

/// What of the file system a mount point shows.
fn mount_root(mountinfo: &str, point: &Path) -> String {
    let mounts = mountinfo.lines().filter_map(Mount::parse);
    mounts.into_iter().find(|mount| mount.point == point).map_or_else(|| "/".to_owned(), |mount| mount.root)
}

/// A path with `..` lies outside of the cgroup namespace, and so outside of what is mounted.
fn strip(cgroup: &str, mount_root: &str) -> Option<String> {
    let rest = Path::new(cgroup).strip_prefix(mount_root).ok()?.to_str()?;
    (!rest.split('/').any(|name| name == "..")).then(|| rest.to_owned())
}

fn writable(directory: &Path) -> bool {
    let may = |path: &Path, how| access(path, how).is_ok();
    may(directory, AccessFlags::W_OK | AccessFlags::X_OK)
        && may(&directory.join("cgroup.procs"), AccessFlags::W_OK)
        && may(&directory.join("cgroup.subtree_control"), AccessFlags::W_OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unified(own: &str) -> Unified {
        Unified {
            is_root: true,
            root_writable: true,
            own: Some(own.to_owned()),
            own_writable: true,
            parent_writable: true,
        }
    }

    fn choose(systemd: Systemd, unified: Option<Unified>, mode: Mode, parent: Option<&str>) -> String {
        let facts = Facts { systemd, unified };
        match decide(&facts, mode, parent, Path::new("/c")) {
            Ok(Placement::Scope { why }) => format!("scope: {why}"),
            Ok(Placement::Tree { base, parent, leave, why, hazard }) => {
                format!(
                    "{base:?} {parent}{}{}: {why}",
                    if leave { " leave" } else { "" },
                    hazard.map_or("", |_| " hazard")
                )
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn systemd_that_answers_is_asked_for_a_scope() {
        let at = || Some(unified("system.slice/tweendeckd.service"));
        assert_eq!(choose(Systemd::Answers, at(), Mode::Auto, None), "scope: systemd answers on the bus");
        assert_eq!(choose(Systemd::Answers, None, Mode::Systemd, None), "scope: cgroup.placement is systemd");
        let direct = choose(Systemd::Answers, at(), Mode::Direct, None);
        assert_eq!(direct, "\"\" tweendeck hazard: cgroup.placement is direct");
        let silent = choose(Systemd::Silent("no bus".into()), at(), Mode::Auto, None);
        assert_eq!(silent, "\"\" tweendeck hazard: systemd does not answer: no bus");
        let must = choose(Systemd::Silent("no bus".into()), at(), Mode::Systemd, None);
        assert_eq!(must, "cgroup.placement is systemd, but it does not answer: no bus; use auto, or direct");
        let must = choose(Systemd::Absent, at(), Mode::Systemd, None);
        assert_eq!(must, "cgroup.placement is systemd, but it is not PID 1 here; use auto, or direct");
    }

    #[test]
    fn a_configured_parent_counts_before_everything() {
        let set = |systemd, unified| choose(systemd, unified, Mode::Auto, Some("a/b"));
        assert_eq!(set(Systemd::Answers, Some(unified("x"))), "\"\" a/b hazard: cgroup.parent is set");
        assert_eq!(set(Systemd::Absent, None), "\"\" a/b: cgroup.parent is set");
        let inside = Unified { is_root: false, ..unified("") };
        assert_eq!(set(Systemd::Absent, Some(inside)), "\"\" a/b leave: cgroup.parent is set");
    }

    #[test]
    fn without_systemd_the_tree_begins_where_we_may_write() {
        let at = |unified| choose(Systemd::Absent, unified, Mode::Auto, None);
        assert_eq!(at(None), "\"\" tweendeck: systemd is not PID 1 here");
        assert_eq!(at(Some(unified(""))), "\"\" tweendeck: systemd is not PID 1 here");
        // A container with a cgroup namespace: the mount point is the cgroup we sit in.
        let inside = || Unified { is_root: false, ..unified("") };
        assert_eq!(at(Some(inside())), "\"\" tweendeck leave: systemd is not PID 1 here");
        assert_eq!(
            at(Some(Unified { own: Some("agent".into()), ..inside() })),
            "\"\" tweendeck: systemd is not PID 1 here"
        );
        // A sub-tree that is delegated to us, below a root that is not.
        let delegated = |own| Unified { root_writable: false, ..unified(own) };
        let why = "systemd is not PID 1 here, and only this process's own cgroup can be written";
        assert_eq!(at(Some(delegated("user/job"))), format!("\"user/job\" user/job/tweendeck leave: {why}"));
        assert_eq!(at(Some(delegated("user/job/agent"))), format!("\"user/job\" user/job/tweendeck: {why}"));
        let none = Unified { own_writable: false, parent_writable: false, ..delegated("user/job") };
        assert!(at(Some(none)).starts_with("no cgroup can be made at /c or in this process's own cgroup \"user/job\""));
    }

    #[test]
    fn a_cgroup_is_found_below_what_the_mount_shows() {
        assert_eq!(strip("/system.slice/a.service", "/").as_deref(), Some("system.slice/a.service"));
        assert_eq!(strip("/pod/x/inner", "/pod/x").as_deref(), Some("inner"));
        assert_eq!(strip("/pod/x", "/pod/x").as_deref(), Some(""));
        assert_eq!(strip("/elsewhere", "/pod/x"), None);
        assert_eq!(strip("/../other", "/"), None);
        assert_eq!(own_cgroup("4:memory:/m\n0::/a/b\n", "/a").as_deref(), Some("b"));
        assert_eq!(own_cgroup("4:memory:/m\n", "/"), None);
        let mountinfo = "30 23 0:26 /pod/x /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw";
        assert_eq!(mount_root(mountinfo, Path::new("/sys/fs/cgroup")), "/pod/x");
    }

    #[test]
    fn gathering_touches_nothing_and_answers_on_this_host() {
        let hierarchies = Hierarchies::detect().unwrap();
        let facts = Facts::gather(&hierarchies, Systemd::Absent).unwrap();
        assert!(decide(&facts, Mode::Direct, None, Path::new("/")).is_ok(), "{facts:?}");
    }
}
