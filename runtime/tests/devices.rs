//! Device rules against the real kernel: the controller of v1 where it is mounted, the program of v2 wherever a unified hierarchy is, if only beside v1.
//! Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics is a test that fails")]

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tweendeck_runtime::cgroup::devices::{Access, Kind, Rule, default_rules};
use tweendeck_runtime::cgroup::{self, Cgroup, CgroupError, Controller, Hierarchies, Home, Resources};

const READ: &str = "true </dev/zero";
const WRITE: &str = "true >/dev/zero";

/// A cgroup of its own in one hierarchy, gone when it is dropped.
struct Group {
    hosts: Hierarchies,
    parent: String,
    cgroup: Cgroup,
    directory: PathBuf,
}

impl Group {
    /// In the unified hierarchy, whatever else is mounted.
    fn v2() -> Self {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let line = mountinfo.lines().find(|line| line.contains(" - cgroup2 "));
        let line = line.expect("a unified hierarchy is mounted, if only beside v1");
        Self::at(Hierarchies::parse(line, ""), line.split(' ').nth(4).unwrap().into())
    }

    /// Where this host keeps devices.
    fn of_host() -> Self {
        let hosts = Hierarchies::detect().unwrap();
        let (Home::V1(mount) | Home::V2(mount)) = hosts.home(Controller::Devices).unwrap();
        Self::at(hosts, mount)
    }

    fn at(hosts: Hierarchies, mount: PathBuf) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let parent = format!("tweendeck-test-devices-{}-{number}", std::process::id());
        let path = format!("{parent}/box");
        let cgroup = cgroup::open(&hosts, &path).unwrap();
        cgroup.create().unwrap();
        Self { directory: mount.join(&path), hosts, parent, cgroup }
    }

    fn apply(&self, rules: &[Rule]) -> Result<(), CgroupError> {
        let resources = Resources { devices: Some(rules.to_vec()), ..Default::default() };
        self.cgroup.apply(&resources).map(drop)
    }

    /// Starts a script inside.
    fn spawn(&self, script: &str) -> Child {
        let procs = self.directory.join("cgroup.procs");
        let script = format!("echo 0 >{} || exit 99; {script}", procs.display());
        Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// Whether a script inside ends well.
    fn can(&self, script: &str) -> bool {
        let status = self.spawn(&format!("exec 2>/dev/null; {script}")).wait().unwrap();
        assert_ne!(status.code(), Some(99), "it could not enter");
        status.success()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.cgroup.remove().unwrap();
        assert!(cgroup::remove_if_empty(&self.hosts, &self.parent).unwrap());
    }
}

fn rule(allow: bool, minor: u32, access: &str) -> Rule {
    Rule { allow, kind: Kind::Char, major: Some(1), minor: Some(minor), access: Access::parse(access).unwrap() }
}

/// Nothing but the null device, which the shell needs, and what is added.
fn only(more: &[Rule]) -> Vec<Rule> {
    let deny = Rule { allow: false, kind: Kind::Any, major: None, minor: None, access: Access::ALL };
    [&[deny, rule(true, 3, "rwm")], more].concat()
}

/// The rules are what the kernel enforces, in every combination.
fn is_enforced(group: &Group, version: &str) {
    group.apply(&only(&[])).unwrap();
    assert!(!group.can(READ) && !group.can(WRITE), "what is in no rule is denied");
    group.apply(&only(&[rule(true, 5, "rw")])).unwrap();
    assert!(group.can(READ) && group.can(WRITE));
    group.apply(&only(&[rule(true, 5, "r")])).unwrap();
    assert!(group.can(READ) && !group.can(WRITE), "read-only");
    group.apply(&only(&[rule(true, 5, "w")])).unwrap();
    assert!(!group.can(READ) && group.can(WRITE), "write-only");
    group.apply(&only(&[rule(true, 5, "rw"), rule(false, 5, "w")])).unwrap();
    assert!(group.can(READ) && !group.can(WRITE), "the last rule wins");
    group.apply(&default_rules()).unwrap();
    assert!(group.can(READ) && group.can("true </dev/urandom && true </dev/full") && !group.can("true </dev/kmsg"));
    let everything = Rule { allow: true, kind: Kind::Any, major: None, minor: None, access: Access::ALL };
    group.apply(&[everything, rule(false, 5, "w")]).unwrap();
    assert!(group.can(READ) && !group.can(WRITE), "everything but");
    group.apply(&only(&[])).unwrap();
    assert!(!group.can(READ), "back from everything");
    println!("LIMIT devices | devices | {version} | enforced | 9 lists, each read back");
}

/// A loop opens a device that is in every list, while the lists are exchanged under it.
fn is_exchanged_without_a_gap(group: &Group, version: &str) {
    let (a, b) = (only(&[rule(true, 5, "rw")]), only(&[rule(true, 7, "rw"), rule(true, 5, "r"), rule(true, 9, "r")]));
    group.apply(&a).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (go, ready) = (directory.path().join("go"), directory.path().join("ready"));
    fs::write(&go, "").unwrap();
    let script = format!(
        "n=0; bad=0; while [ -e {} ]; do n=$((n+1)); {READ} || bad=$((bad+1)); [ $n = 1 ] && : >{}; done; echo $n $bad",
        go.display(),
        ready.display()
    );
    let opener = group.spawn(&script);
    let deadline = Instant::now() + Duration::from_secs(30);
    while !ready.exists() {
        assert!(Instant::now() < deadline, "the loop does not run");
        std::thread::yield_now();
    }
    let (began, mut exchanges) = (Instant::now(), 0);
    while exchanges < 2000 || began.elapsed() < Duration::from_secs(2) {
        group.apply(if exchanges % 2 == 0 { &b } else { &a }).unwrap();
        exchanges += 1;
    }
    let each = began.elapsed() / exchanges;
    fs::remove_file(&go).unwrap();
    let output = String::from_utf8(opener.wait_with_output().unwrap().stdout).unwrap();
    let (opens, refused) = output.trim().split_once(' ').unwrap();
    assert_eq!(refused, "0", "of {opens} opens during {exchanges} exchanges");
    assert!(opens.parse::<u64>().unwrap() > 500, "{opens} opens are too few to tell");
    println!(
        "LIMIT devices | devices | {version} | enforced | {opens} opens during {exchanges} exchanges, {each:?} each, 0 refused"
    );
}

fn version_of(group: &Group) -> &'static str {
    match group.hosts.home(Controller::Devices) {
        Some(Home::V1(_)) => "v1",
        Some(Home::V2(_)) | None => "v2",
    }
}

#[test]
fn a_program_on_v2_enforces_the_rules() {
    let group = Group::v2();
    is_enforced(&group, "v2");
}

#[test]
fn a_program_on_v2_is_exchanged_without_a_gap() {
    let group = Group::v2();
    is_exchanged_without_a_gap(&group, "v2");
}

#[test]
fn this_host_enforces_the_rules() {
    let group = Group::of_host();
    is_enforced(&group, version_of(&group));
}

#[test]
fn this_hosts_lists_are_exchanged_without_a_gap() {
    let group = Group::of_host();
    is_exchanged_without_a_gap(&group, version_of(&group));
}

/// Another process than the one that attached the program finds it and puts its own in its place: `apply` remembers nothing, so a second handle is one.
#[test]
fn a_program_is_found_again_and_replaced_not_added_to() {
    let group = Group::v2();
    group.apply(&only(&[rule(true, 5, "r")])).unwrap();
    let again = cgroup::open(&group.hosts, group.cgroup.path()).unwrap();
    let wider = Resources { devices: Some(only(&[rule(true, 5, "rw")])), ..Default::default() };
    again.apply(&wider).unwrap();
    // Two programs must both agree: with the first one left, writing would be refused.
    assert!(group.can(WRITE));
}

#[test]
fn a_cgroup_that_is_made_anew_has_no_program_of_its_predecessor() {
    let group = Group::v2();
    group.apply(&only(&[])).unwrap();
    assert!(!group.can(READ));
    group.cgroup.remove().unwrap();
    group.cgroup.create().unwrap();
    assert!(group.can(READ));
}

#[test]
fn a_program_of_the_longest_list_is_taken_by_the_verifier() {
    let group = Group::v2();
    let mut rules = only(&[rule(true, 5, "r")]);
    let other = |number: u32| Rule {
        allow: number.is_multiple_of(2),
        kind: if number.is_multiple_of(3) { Kind::Block } else { Kind::Char },
        major: Some(100 + number),
        minor: (!number.is_multiple_of(5)).then_some(number),
        access: Access::parse(if number.is_multiple_of(7) { "rwm" } else { "rm" }).unwrap(),
    };
    rules.extend((0..253).map(other));
    group.apply(&rules).unwrap();
    assert!(group.can(READ) && !group.can(WRITE));
    rules.push(other(0));
    rules.push(other(1));
    let error = group.apply(&rules).unwrap_err();
    assert!(matches!(error, CgroupError::TooManyDevices { count: 258 | 257, max: 256 }), "{error}");
}

/// v1 keeps a child within its parent.
#[test]
fn a_parent_that_denies_is_named_when_its_child_may_not_have_a_device() {
    let group = Group::of_host();
    if version_of(&group) == "v2" {
        // There the parent's program is asked too, and nothing has to be written.
        return;
    }
    let parent = group.directory.parent().unwrap();
    group.apply(&only(&[])).unwrap();
    for name in ["b *:* rwm", "c 1:5 rwm"] {
        // The parent allows everything; an exception below it is what it denies.
        fs::OpenOptions::new()
            .write(true)
            .open(parent.join("devices.deny"))
            .unwrap()
            .write_all(name.as_bytes())
            .unwrap();
    }
    let error = group.apply(&only(&[rule(true, 5, "r")])).unwrap_err();
    assert!(matches!(&error, CgroupError::Write { value, .. } if value == "c 1:5 r"), "{error}");
}
