//! `info`: one container in detail.

use std::time::{Duration, SystemTime};

use tweendeck_proto::v1::{
    Container, ContainerSpec, ContainerStatus, ExitStatus, GetContainerRequest, InitMode, NetworkMode, OomEvent,
    PressureHits, RootFilesystem, Terminal, User, root_filesystem::Source,
};

use super::supervision::supervision;
use crate::agent::Agent;
use crate::args::InfoArgs;
use crate::exit;
use crate::failure::Failure;
use crate::output::{Details, Printer, age, command_line, cpu_time, dropped, exact, kept, limits, moment, size, word};
use crate::signal;

pub(super) async fn run(args: InfoArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let answer = agent.call(GetContainerRequest { name: args.name }).await?;
    let container = answer.container.as_ref().ok_or(Failure::Incomplete("container"))?;
    out.answer(&answer, |_| text(container, SystemTime::now()))?;
    Ok(exit::OK)
}

fn text(container: &Container, now: SystemTime) -> String {
    let spec = container.spec.clone().unwrap_or_default();
    let status = container.status.clone().unwrap_or_default();
    let mut details = Details::default();
    details.fact("Name", &container.name);
    details.fact("UID", &container.uid);
    life(&mut details, container, &status, now);
    if let Some(exit) = &status.exit {
        details.fact("Last exit", ended(exit));
        details.fact("", used(exit));
    }
    supervision(&mut details, &spec, &status);
    asked(&mut details, &spec);
    details.fact("Cgroup", &status.cgroup_path);
    details.fact("Output", &status.log_dir);
    details.fact("", spec.logs.as_ref().map(kept).unwrap_or_default());
    details.fact("Revision", container.revision.to_string());
    details.fact("Etag", &container.etag);
    format!("{details}\n\n{}", limits(spec.resources.as_ref(), status.effective.as_ref()))
}

fn life(details: &mut Details, container: &Container, status: &ContainerStatus, now: SystemTime) {
    let mut state = word(status.state().as_str_name(), "CONTAINER_STATE_");
    if status.deleting {
        state.push_str(", being deleted");
    }
    details.fact("State", state);
    details.fact("Message", &status.message);
    let ago = |time: Option<&prost_types::Timestamp>| match time {
        Some(_) => format!("{} ({} ago)", moment(time), age(time, now)),
        None => String::new(),
    };
    details.fact("Created", ago(container.create_time.as_ref()));
    details.fact("Started", ago(status.start_time.as_ref()));
    details.fact("Changed", ago(container.update_time.as_ref()));
    if status.attempt > 0 {
        details.fact("Starts", status.attempt.to_string());
    }
    if status.pid > 0 {
        details.fact("PID", status.pid.to_string());
    }
    if status.supervisor_pid > 0 {
        details.fact("Supervisor", status.supervisor_pid.to_string());
    }
    incidents(details, status);
}

/// What befell the current or last run.
fn incidents(details: &mut Details, status: &ContainerStatus) {
    if status.oom_kills > 0 {
        details.fact("OOM kills", status.oom_kills.to_string());
        details.fact("", status.last_oom.as_ref().map(last_oom).unwrap_or_default());
    }
    if status.pids_max_hits > 0 {
        details.fact("Forks", format!("{} refused by the limit on processes", status.pids_max_hits));
    }
    details.facts("Pressure", status.pressure.iter().map(pressure));
    let streams = status.logs.iter().flat_map(|logs| &logs.streams);
    details.facts("Dropped", streams.filter(|stream| stream.dropped_bytes > 0).map(dropped));
}

/// `last 2026-07-01T12:00:00Z: dd (PID 4711) with 30.0 MiB, when 32.0 MiB of 32.0 MiB were in use`.
fn last_oom(oom: &OomEvent) -> String {
    let victim = oom.victim_pid.map(|pid| {
        let rss = oom.rss_bytes.map(|bytes| format!(" with {}", size(bytes))).unwrap_or_default();
        format!(": {} (PID {pid}){rss}", oom.comm())
    });
    let memory = oom.usage_bytes.zip(oom.limit_bytes);
    let memory = memory.map(|(usage, limit)| format!(", when {} of {} were in use", size(usage), size(limit)));
    format!("last {}{}{}", moment(oom.time.as_ref()), victim.unwrap_or_default(), memory.unwrap_or_default())
}

/// `memory some: 3 times, last 2026-07-01T12:00:00Z`.
fn pressure(hits: &PressureHits) -> String {
    let resource = word(hits.resource().as_str_name(), "PRESSURE_RESOURCE_");
    let stall = word(hits.stall().as_str_name(), "PRESSURE_STALL_");
    let last = hits.last_time.as_ref().map(|time| format!(", last {}", moment(Some(time)))).unwrap_or_default();
    format!("{resource} {stall}: {} times{last}", hits.count)
}

/// How a run ended: `code 137, oom killed by SIGKILL, 2026-07-01T12:00:00Z after 1m30s`.
fn ended(exit: &ExitStatus) -> String {
    let reason = word(exit.reason().as_str_name(), "EXIT_REASON_");
    let by = if exit.signal > 0 { format!(" by {}", signal::name(exit.signal)) } else { String::new() };
    let ran = exit.ran.and_then(|ran| Duration::try_from(ran).ok());
    let after = ran.map(|ran| format!(" after {}", exact(ran))).unwrap_or_default();
    format!("code {}, {reason}{by}, {}{after}", exit.code, moment(exit.end_time.as_ref()))
        .trim_end_matches(", ")
        .to_owned()
}

/// What a run used, as far as it was counted.
fn used(exit: &ExitStatus) -> String {
    let figures = [
        exit.cpu_usage_ns.map(|nanos| format!("CPU time {}", cpu_time(nanos))),
        exit.memory_peak_bytes.map(|bytes| format!("memory peak {}", size(bytes))),
        (exit.oom_kills > 0).then(|| format!("OOM kills {}", exit.oom_kills)),
    ];
    figures.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn asked(details: &mut Details, spec: &ContainerSpec) {
    details.fact("Command", command_line(&spec.command));
    details.facts("Environment", spec.env.iter().map(|(name, value)| format!("{name}={value}")));
    details.fact("Directory", &spec.working_dir);
    details.fact("User", spec.user.as_ref().map(user).unwrap_or_default());
    details.fact("Host name", &spec.hostname);
    details.fact("Terminal", spec.terminal.as_ref().map(terminal).unwrap_or_default());
    details.fact("Root", root(spec.rootfs.as_ref()));
    let network = match spec.network() {
        NetworkMode::Unspecified | NetworkMode::None => "none: its own, with only a loopback device",
        NetworkMode::Host => "host: no isolation",
    };
    details.fact("Network", network);
    let init = match spec.init() {
        InitMode::Unspecified | InitMode::Init if spec.wait_for_orphans => "Tweendeck's init, which waits for orphans",
        InitMode::Unspecified | InitMode::Init => "Tweendeck's init",
        InitMode::Direct => "the command itself",
    };
    details.fact("PID 1", init);
    details.fact("Stop", stop(spec));
    if spec.ephemeral {
        details.fact("Ephemeral", "removed when it stops");
    }
    details.facts("Labels", spec.labels.iter().map(|(key, value)| format!("{key}={value}")));
    details.facts("Annotations", spec.annotations.iter().map(|(key, value)| format!("{key}={value}")));
}

/// Its window; the API's defaults where nothing was asked.
fn terminal(terminal: &Terminal) -> String {
    let side = |asked: u32, default: u32| if asked == 0 { default } else { asked };
    format!("{} rows, {} columns", side(terminal.rows, 24), side(terminal.columns, 80))
}

fn user(user: &User) -> String {
    let groups: String = user.additional_gids.iter().map(|gid| format!(", {gid}")).collect();
    format!("{}:{}{groups}", user.uid, user.gid)
}

fn root(rootfs: Option<&RootFilesystem>) -> String {
    match rootfs.and_then(|rootfs| rootfs.source.as_ref()) {
        None => "the node's, shared read-only".to_owned(),
        Some(Source::Host(host)) => {
            let writable = host.writable_bytes.map(|bytes| format!(", {} writable", size(bytes))).unwrap_or_default();
            format!("the node's, shared read-only{writable}")
        }
        Some(Source::Directory(directory)) => {
            format!("{}{}", directory.path, if directory.readonly { ", read-only" } else { "" })
        }
        Some(Source::Overlay(overlay)) => {
            let upper = if overlay.upper.is_empty() { "memory" } else { overlay.upper.as_str() };
            let upper = if overlay.readonly { "read-only" } else { upper };
            format!("{} below {upper}", overlay.lower.join(", "))
        }
        Some(Source::Archive(archive)) => {
            let readonly = if archive.readonly { ", read-only" } else { "" };
            format!("unpacked from {}{readonly}", archive.path)
        }
        Some(Source::Image(image)) => {
            let writable = image.writable_bytes.map(|bytes| format!("{} writable", size(bytes)));
            format!("the image {}, {}", image.path, writable.unwrap_or_else(|| "read-only".to_owned()))
        }
    }
}

/// What a stop does; the API's defaults where nothing was asked.
fn stop(spec: &ContainerSpec) -> String {
    let number = if spec.stop_signal == 0 { signal::TERM } else { spec.stop_signal };
    let grace = spec.stop_grace.and_then(|grace| Duration::try_from(grace).ok()).unwrap_or(Duration::from_secs(10));
    format!("{}, then SIGKILL after {}", signal::name(number), exact(grace))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweendeck_proto::v1::{ArchiveRootfs, ContainerState, ExitReason, HostRootfs};

    fn at(seconds: i64) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds, nanos: 5 })
    }

    fn stopped() -> Container {
        let exit = ExitStatus {
            reason: ExitReason::OomKilled.into(),
            code: 137,
            signal: 9,
            end_time: at(90),
            ran: Some(prost_types::Duration { seconds: 30, nanos: 0 }),
            cpu_usage_ns: Some(1_500_000_000),
            memory_peak_bytes: Some(64 << 20),
            oom_kills: 1,
            attempt: 1,
        };
        let status = ContainerStatus {
            state: ContainerState::Stopped.into(),
            attempt: 1,
            start_time: at(60),
            exit: Some(exit),
            message: "out of memory".to_owned(),
            log_dir: "/var/lib/x".to_owned(),
            ..Default::default()
        };
        let host = HostRootfs { writable_bytes: Some(8 << 20) };
        let spec = ContainerSpec {
            command: vec!["sh".to_owned(), "-c".to_owned(), "a b".to_owned()],
            env: [("A".to_owned(), "1".to_owned()), ("B".to_owned(), String::new())].into(),
            rootfs: Some(RootFilesystem { source: Some(Source::Host(host)) }),
            terminal: Some(Terminal { rows: 0, columns: 132 }),
            ..Default::default()
        };
        Container {
            name: "web".to_owned(),
            uid: "u-1".to_owned(),
            etag: "e".to_owned(),
            spec: Some(spec),
            status: Some(status),
            create_time: at(50),
            revision: 7,
            update_time: at(90),
        }
    }

    #[test]
    fn a_root_from_an_archive_names_the_archive() {
        let archive = ArchiveRootfs { path: "/srv/a.tar".to_owned(), readonly: true, ..Default::default() };
        let rootfs = RootFilesystem { source: Some(Source::Archive(archive)) };
        assert_eq!(root(Some(&rootfs)), "unpacked from /srv/a.tar, read-only");
    }

    #[test]
    fn what_befell_it_is_shown_as_far_as_it_is_known() {
        let known = OomEvent {
            time: at(60),
            victim_pid: Some(4711),
            comm: Some("d\nd".to_owned()),
            rss_bytes: Some(30 << 20),
            limit_bytes: Some(32 << 20),
            usage_bytes: Some(32 << 20),
        };
        let some = PressureHits { resource: 2, stall: 1, count: 3, last_time: at(61) };
        let full = PressureHits { resource: 3, stall: 2, ..Default::default() };
        let status = ContainerStatus {
            oom_kills: 2,
            last_oom: Some(known),
            pids_max_hits: 11,
            pressure: vec![some, full],
            logs: Some(tweendeck_proto::v1::LogStatus {
                streams: vec![tweendeck_proto::v1::LogStreamStatus {
                    stream: 2,
                    written_bytes: 1,
                    dropped_bytes: 12,
                    last_drop_time: at(62),
                    last_drop_reason: 2,
                }],
            }),
            ..Default::default()
        };
        let shown = |status: &ContainerStatus| {
            let mut details = Details::default();
            incidents(&mut details, status);
            details.to_string()
        };
        let expected = "\
OOM kills  2
           last 1970-01-01T00:01:00Z: d\\nd (PID 4711) with 30.0 MiB, when 32.0 MiB of 32.0 MiB were in use
Forks      11 refused by the limit on processes
Pressure   memory some: 3 times, last 1970-01-01T00:01:01Z
           io full: 0 times
Dropped    12 bytes of stderr, last 1970-01-01T00:01:02Z: no space";
        assert_eq!(shown(&status), expected);
        let unknown = OomEvent { time: at(60), ..Default::default() };
        let status = ContainerStatus { oom_kills: 1, last_oom: Some(unknown), ..Default::default() };
        assert_eq!(shown(&status), "OOM kills  1\n           last 1970-01-01T00:01:00Z");
        assert_eq!(shown(&ContainerStatus::default()), "");
    }

    #[test]
    fn a_stopped_container_is_shown_with_what_ended_it() {
        let expected = "\
Name         web
UID          u-1
State        stopped
Message      out of memory
Created      1970-01-01T00:00:50Z (1m ago)
Started      1970-01-01T00:01:00Z (59s ago)
Changed      1970-01-01T00:01:30Z (29s ago)
Starts       1
Last exit    code 137, oom killed by SIGKILL, 1970-01-01T00:01:30Z after 30s
             CPU time 1.500s, memory peak 64.0 MiB, OOM kills 1
Command      sh -c 'a b'
Environment  A=1
             B=
Terminal     24 rows, 132 columns
Root         the node's, shared read-only, 8.0 MiB writable
Network      none: its own, with only a loopback device
PID 1        Tweendeck's init
Stop         SIGTERM, then SIGKILL after 10s
Output       /var/lib/x
Revision     7
Etag         e

LIMIT       ASKED  IN EFFECT
cpus            -          -
cpu period      -          -
cpu weight      -          -
memory          -          -
pids            -          -";
        assert_eq!(text(&stopped(), SystemTime::UNIX_EPOCH + Duration::from_secs(120)), expected);
    }
}
