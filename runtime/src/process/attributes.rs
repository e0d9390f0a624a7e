//! What the command is given besides its identity: resource limits, priorities, an execution domain.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use oci_spec::runtime::{
    IOPriorityClass, LinuxIOPriority, LinuxPersonality, LinuxPersonalityDomain, LinuxSchedulerFlag,
    LinuxSchedulerPolicy, PosixRlimit, PosixRlimitType, Process, Scheduler, Spec,
};

use super::channel::StartFailure;
use crate::sys::{self, SchedulingAttributes};

/// Where the class begins in an I/O priority (linux/ioprio.h).
const CLASS_SHIFT: i32 = 13;
/// `SCHED_FLAG_RESET_ON_FORK`, `_RECLAIM`, `_DL_OVERRUN` (linux/sched.h).
const RESET_ON_FORK: u64 = 1;
const RECLAIM: u64 = 2;
const DEADLINE_OVERRUN: u64 = 4;
/// Longest domain name, bytes (`__NEW_UTS_LEN`).
const DOMAIN_MAX: usize = 64;

/// As plain numbers, checked.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    rlimits: Vec<(Resource, u64, u64)>,
    io_priority: Option<i32>,
    scheduling: Option<SchedulingAttributes>,
    personality: Option<u32>,
}

/// Every field that is out of range or refused, with the reason.
pub(super) fn check(spec: &Spec) -> Vec<String> {
    let (_, mut refused) = read(spec);
    let domain = spec.domainname().as_deref().unwrap_or_default();
    if domain.len() > DOMAIN_MAX || domain.contains('\0') {
        refused.push(format!("domainname must be at most {DOMAIN_MAX} bytes"));
    }
    let score = spec.process().as_ref().and_then(Process::oom_score_adj);
    if score.is_some_and(|score| !(-1000..=1000).contains(&score)) {
        refused.push("process.oomScoreAdj must be -1000 to 1000".to_owned());
    }
    refused
}

impl Attributes {
    /// Of a specification that was checked.
    pub(super) fn of(spec: &Spec) -> Self {
        read(spec).0
    }

    /// Takes effect. Before the user changes: most of it takes capabilities.
    pub(super) fn assume(&self) -> Result<(), StartFailure> {
        let step = |stage: &str, result: io::Result<()>| result.map_err(|error| StartFailure::new(stage, "", &error));
        if let Some(domain) = self.personality {
            step("set the personality", sys::set_personality(domain).and_then(|now| same(now, domain)))?;
        }
        if let Some(priority) = self.io_priority {
            step("set the I/O priority", sys::set_io_priority(priority).and_then(|now| same(now, priority)))?;
        }
        if let Some(asked) = self.scheduling {
            step("set the scheduling policy", schedule(asked))?;
        }
        for (resource, soft, hard) in &self.rlimits {
            limit(*resource, *soft, *hard)?;
        }
        Ok(())
    }
}

fn read(spec: &Spec) -> (Attributes, Vec<String>) {
    let mut refused = Vec::new();
    let mut attributes = Attributes::default();
    if let Some(process) = spec.process() {
        for given in process.rlimits().iter().flatten() {
            let resource = resource(given.typ());
            if attributes.rlimits.iter().any(|(known, ..)| *known == resource) {
                refused.push(format!("process.rlimits has {resource:?} twice"));
            }
            if given.soft() > given.hard() {
                refused.push(format!(
                    "process.rlimits {resource:?} must have a soft limit that is not above the hard one"
                ));
            }
            attributes.rlimits.push(limits(given));
        }
        attributes.io_priority = process.io_priority().as_ref().and_then(|given| io_priority(given, &mut refused));
        attributes.scheduling = process.scheduler().as_ref().map(|given| scheduling(given, &mut refused));
    }
    let personality = spec.linux().as_ref().and_then(|linux| linux.personality().as_ref());
    attributes.personality = personality.map(|given| domain(given, &mut refused));
    (attributes, refused)
}

fn limits(given: &PosixRlimit) -> (Resource, u64, u64) {
    (resource(given.typ()), given.soft(), given.hard())
}

fn resource(kind: PosixRlimitType) -> Resource {
    match kind {
        PosixRlimitType::RlimitCpu => Resource::RLIMIT_CPU,
        PosixRlimitType::RlimitFsize => Resource::RLIMIT_FSIZE,
        PosixRlimitType::RlimitData => Resource::RLIMIT_DATA,
        PosixRlimitType::RlimitStack => Resource::RLIMIT_STACK,
        PosixRlimitType::RlimitCore => Resource::RLIMIT_CORE,
        PosixRlimitType::RlimitRss => Resource::RLIMIT_RSS,
        PosixRlimitType::RlimitNproc => Resource::RLIMIT_NPROC,
        PosixRlimitType::RlimitNofile => Resource::RLIMIT_NOFILE,
        PosixRlimitType::RlimitMemlock => Resource::RLIMIT_MEMLOCK,
        PosixRlimitType::RlimitAs => Resource::RLIMIT_AS,
        PosixRlimitType::RlimitLocks => Resource::RLIMIT_LOCKS,
        PosixRlimitType::RlimitSigpending => Resource::RLIMIT_SIGPENDING,
        PosixRlimitType::RlimitMsgqueue => Resource::RLIMIT_MSGQUEUE,
        PosixRlimitType::RlimitNice => Resource::RLIMIT_NICE,
        PosixRlimitType::RlimitRtprio => Resource::RLIMIT_RTPRIO,
        PosixRlimitType::RlimitRttime => Resource::RLIMIT_RTTIME,
    }
}

/// Sets one limit. Raising the hard one takes CAP_SYS_RESOURCE in the host's user namespace (getrlimit(2)).
fn limit(resource: Resource, soft: u64, hard: u64) -> Result<(), StartFailure> {
    let failed = |why: &str, error: &io::Error| {
        StartFailure::new("set the resource limit", &format!("{resource:?}{why}"), error)
    };
    let kept = |()| getrlimit(resource);
    match setrlimit(resource, soft, hard).and_then(kept) {
        Ok(now) => same(now, (soft, hard)).map_err(|error| failed("", &error)),
        Err(error) => {
            let ours = getrlimit(resource).map_or(u64::MAX, |(_, ours)| ours);
            let why = format!(" {hard} is above the runtime's own hard limit {ours}, which takes CAP_SYS_RESOURCE");
            Err(failed(if hard > ours { &why } else { "" }, &error.into()))
        }
    }
}

fn io_priority(given: &LinuxIOPriority, refused: &mut Vec<String>) -> Option<i32> {
    let (class, highest) = match given.class() {
        IOPriorityClass::IoprioClassRt => (1, 7),
        IOPriorityClass::IoprioClassBe => (2, 7),
        IOPriorityClass::IoprioClassIdle => (3, 0),
    };
    let level = i32::try_from(given.priority()).ok().filter(|level| (0..=highest).contains(level));
    if level.is_none() {
        refused.push(format!("process.ioPriority.priority must be 0 to {highest} in {}", given.class()));
    }
    level.map(|level| class << CLASS_SHIFT | level)
}

fn scheduling(given: &Scheduler, refused: &mut Vec<String>) -> SchedulingAttributes {
    let mut refuse = |set: bool, text: &str| {
        if set {
            refused.push(format!("process.scheduler{text}"));
        }
    };
    let policy = *given.policy();
    let fair = matches!(policy, LinuxSchedulerPolicy::SchedOther | LinuxSchedulerPolicy::SchedBatch);
    let fixed = matches!(policy, LinuxSchedulerPolicy::SchedFifo | LinuxSchedulerPolicy::SchedRr);
    let deadline = policy == LinuxSchedulerPolicy::SchedDeadline;
    refuse(policy == LinuxSchedulerPolicy::SchedIso, ".policy SCHED_ISO is not in Linux");
    let (nice, priority) = (given.nice().unwrap_or(0), given.priority().unwrap_or(0));
    refuse(!fair && nice != 0, ".nice is for SCHED_OTHER and SCHED_BATCH");
    refuse(!(-20..=19).contains(&nice), ".nice must be -20 to 19");
    refuse(!fixed && priority != 0, ".priority is for SCHED_FIFO and SCHED_RR");
    refuse(fixed && !(1..=99).contains(&priority), ".priority must be 1 to 99");
    let times = [given.runtime(), given.deadline(), given.period()].map(|time| time.unwrap_or(0));
    let [runtime, due, period] = times;
    refuse(!deadline && times != [0; 3], ".runtime, .deadline and .period are for SCHED_DEADLINE");
    let ordered = 0 < runtime && runtime <= due && (period == 0 || due <= period);
    refuse(deadline && !ordered, " must have 0 < runtime <= deadline <= period");
    let mut flags = 0;
    for flag in given.flags().iter().flatten() {
        flags |= match flag {
            LinuxSchedulerFlag::SchedResetOnFork => RESET_ON_FORK,
            LinuxSchedulerFlag::SchedFlagReclaim => RECLAIM,
            LinuxSchedulerFlag::SchedFlagDLOverrun => DEADLINE_OVERRUN,
            LinuxSchedulerFlag::SchedFlagKeepPolicy
            | LinuxSchedulerFlag::SchedFlagKeepParams
            | LinuxSchedulerFlag::SchedFlagUtilClampMin
            | LinuxSchedulerFlag::SchedFlagUtilClampMax => {
                refuse(true, &format!(".flags {flag} is not supported"));
                0
            }
        };
    }
    let priority = u32::try_from(priority).unwrap_or(0);
    SchedulingAttributes { size: 0, policy: number(policy), flags, nice, priority, runtime, deadline: due, period }
}

/// The kernel's number (sched(7), linux/sched.h).
fn number(policy: LinuxSchedulerPolicy) -> u32 {
    match policy {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIso => 4,
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
    }
}

fn schedule(asked: SchedulingAttributes) -> io::Result<()> {
    let now = sys::set_scheduling(asked)?;
    // The kernel fills in what the policy does not use.
    same((now.policy, now.priority), (asked.policy, asked.priority))?;
    let fair = matches!(asked.policy, 0 | 3);
    if fair { same(now.nice, asked.nice) } else { Ok(()) }
}

fn domain(given: &LinuxPersonality, refused: &mut Vec<String>) -> u32 {
    if given.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
        refused.push("linux.personality.flags is not supported".to_owned());
    }
    match given.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    }
}

/// What the kernel has must be what was asked.
fn same<T: PartialEq + std::fmt::Debug>(now: T, asked: T) -> io::Result<()> {
    if now == asked { Ok(()) } else { Err(io::Error::other(format!("the kernel made {now:?} of {asked:?}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(process: &str, linux: &str) -> Vec<String> {
        let json = format!(
            r#"{{"ociVersion": "1.2.0", "process": {{"cwd": "/", "user": {{"uid": 0, "gid": 0}}, {process}}}, "linux": {{{linux}}}}}"#
        );
        check(&serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        for bad in [
            r#""rlimits": [{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]"#,
            r#""rlimits": [{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}, {"type": "RLIMIT_CPU", "soft": 1, "hard": 1}]"#,
            r#""oomScoreAdj": 1001"#,
            r#""ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 1}"#,
            r#""ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}"#,
            r#""scheduler": {"policy": "SCHED_FIFO"}"#,
            r#""scheduler": {"policy": "SCHED_ISO"}"#,
            r#""scheduler": {"policy": "SCHED_OTHER", "nice": 20}"#,
            r#""scheduler": {"policy": "SCHED_IDLE", "priority": 1}"#,
            r#""scheduler": {"policy": "SCHED_DEADLINE", "runtime": 2, "deadline": 1}"#,
        ] {
            assert_eq!(refused(bad, "").len(), 1, "{bad}: {:?}", refused(bad, ""));
        }
        assert_eq!(refused(r#""oomScoreAdj": 1"#, r#""personality": {"domain": "LINUX", "flags": ["x"]}"#).len(), 1);
        assert_eq!(refused(r#""oomScoreAdj": 1000"#, r#""personality": {"domain": "LINUX32"}"#), Vec::<String>::new());
    }
}
