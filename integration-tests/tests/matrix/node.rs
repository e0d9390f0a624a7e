//! An agent behind the library, and what must be so on its node at any time.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use tweendeck_integration_tests::agent::{Agent, reach};
use tweendeck_integration_tests::api::{Api, state};
use tweendeck_integration_tests::eventually::{PATIENCE, eventually_async};
use tweendeck_integration_tests::kernel;
use tweendeck_integration_tests::process::Process;
use tweendeck_proto::v1::*;

use crate::case::Case;
use crate::fault::Fault;
use crate::operation::{hook_directory, hook_log};

/// An agent that can be struck.
pub(crate) struct Node {
    pub(crate) agent: Agent,
    pub(crate) fault: Fault,
}

impl Node {
    pub(crate) fn prepared() -> Self {
        let mut agent = Agent::prepared(&["--limits-audit-interval=1s"]);
        let hooks = hook_directory(&agent);
        std::fs::create_dir(&hooks).unwrap();
        let note = format!(
            "#!/bin/sh\necho \"$TWEENDECK_HOOK $TWEENDECK_NAME $TWEENDECK_ATTEMPT\" >>{}\n",
            hook_log(&agent).display()
        );
        std::fs::write(hooks.join("note"), note).unwrap();
        std::fs::set_permissions(hooks.join("note"), Permissions::from_mode(0o755)).unwrap();
        agent.set("TWEENDECKD_HOOKS_DIRECTORY", &hooks);
        let fault = Fault::before(&mut agent);
        Self { agent, fault }
    }

    pub(crate) async fn start() -> Self {
        let mut node = Self::prepared();
        node.agent.resume().await;
        node
    }
}

/// What becomes of an agent that may not be able to start.
pub(crate) enum Started {
    Serves(Box<(Api, Process)>),
    /// It has ended, and said this.
    Ended(ExitStatus, String),
}

impl Node {
    /// Starts an agent that may die of what is armed, and waits until it serves or has ended.
    pub(crate) async fn try_start(&self) -> Started {
        let log = self.agent.directory().join("last-log");
        let mut process = Process::start(self.agent.command().stderr(std::fs::File::create(&log).unwrap()));
        let socket = self.agent.socket();
        let began = Instant::now();
        loop {
            if let Some(ended) = process.try_wait() {
                return Started::Ended(ended, std::fs::read_to_string(&log).unwrap());
            }
            if let Some(api) = reach(&socket).await
                && api.node().await.is_ok()
            {
                return Started::Serves(Box::new((api, process)));
            }
            assert!(began.elapsed() < PATIENCE, "it neither serves nor ends");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Everything in the journal, page by page.
pub(crate) async fn all_events(api: &Api) -> Vec<Event> {
    let mut request = ListEventsRequest { page_size: 1000, ..Default::default() };
    let mut events = Vec::new();
    loop {
        let page = api.events.clone().list_events(request.clone()).await.unwrap().into_inner();
        assert_eq!(page.gap, None);
        events.extend(page.events);
        if page.next_page_token.is_empty() {
            return events;
        }
        request.page_token = page.next_page_token;
    }
}

/// The numbers of the journal are without holes.
pub(crate) async fn check_journal(api: &Api) {
    let head = api.node().await.unwrap().journal_sequence;
    let numbers: Vec<_> =
        all_events(api).await.iter().map(|event| event.sequence).take_while(|number| *number <= head).collect();
    assert_eq!(numbers, (1..=head).collect::<Vec<_>>(), "the journal has holes");
}

async fn events_of(api: &Api, name: &str) -> Vec<Event> {
    let filter = Some(EventFilter { name: name.to_owned(), ..Default::default() });
    let request = ListEventsRequest { filter, page_size: 1000, ..Default::default() };
    api.events.clone().list_events(request).await.unwrap().into_inner().events
}

/// What is written of a name: nothing twice that can be but once.
pub(crate) async fn check_events(api: &Api, name: &str) {
    let mut seen: BTreeMap<(EventKind, u32), u32> = BTreeMap::new();
    let ends = [EventKind::Exited, EventKind::Lost, EventKind::StartFailed];
    let once = [
        EventKind::Created,
        EventKind::Deleted,
        EventKind::Reserved,
        EventKind::ReservationDrawn,
        EventKind::ReservationReleased,
    ];
    let events = events_of(api, name).await;
    for event in &events {
        for kind in event.kinds() {
            let attempt = match &event.subject {
                Some(event::Subject::Container(container)) => {
                    container.status.as_ref().map_or(0, |status| status.attempt)
                }
                _ => 0,
            };
            // All ends of an attempt are one.
            let kind = if ends.contains(&kind) { EventKind::Exited } else { kind };
            let attempt = if once.contains(&kind) { 0 } else { attempt };
            *seen.entry((kind, attempt)).or_default() += 1;
        }
    }
    let may_be_once = [EventKind::Started, EventKind::Exited];
    let twice: Vec<_> = seen
        .iter()
        .filter(|((kind, _), times)| **times > 1 && (once.contains(kind) || may_be_once.contains(kind)))
        .collect();
    assert!(twice.is_empty(), "written twice: {twice:?} {events:#?}");
}

/// Room adds up, nothing is in quarantine, and every container that runs has one supervisor.
pub(crate) async fn check_node(api: &Api) {
    let containers = api.list(&[]).await.unwrap();
    let reservations = api
        .reservations
        .clone()
        .list_reservations(ListReservationsRequest::default())
        .await
        .unwrap()
        .into_inner()
        .reservations;
    let asked = containers.iter().filter_map(|container| container.spec.as_ref()?.requests);
    let free = reservations.iter().filter_map(|reservation| reservation.free);
    let (cpu, memory) =
        asked.chain(free).fold((0, 0), |(cpu, memory), room| (cpu + room.cpu_millis, memory + room.memory_bytes));
    let node = api.node().await.unwrap();
    let allocated = node.allocated.unwrap();
    assert_eq!((allocated.cpu_millis, allocated.memory_bytes), (cpu, memory), "room does not add up");
    assert!(node.quarantined.is_empty(), "{:?}", node.quarantined);
    for Container { name, .. } in &containers {
        let began = Instant::now();
        // One that has just said that its container is gone leaves a moment later; and a container may end at any moment.
        eventually_async("its supervisors are those it should have", || async {
            let container = api.get(name).await.ok()?;
            let status = container.status.as_ref()?;
            let lives = [ContainerState::Running, ContainerState::Frozen].contains(&state(&container));
            let wanted: &[i32] = if lives { std::slice::from_ref(&status.supervisor_pid) } else { &[] };
            let found = supervisors(name);
            let same = found == wanted && (!lives || kernel::runs(status.pid));
            if !same && began.elapsed() > PATIENCE / 2 {
                panic!("its supervisors are not those it should have: {found:?} {container:?}");
            }
            same.then_some(())
        })
        .await;
    }
}

/// Supervisors of a container, by their title. Its name is one that no other test gives.
fn supervisors(name: &str) -> Vec<i32> {
    let title = format!("tweendeck-supervisor {name}");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        read("comm").starts_with("tweendeck-sup") && read("cmdline").trim_end_matches('\0') == title
    })
    .collect()
}

/// Deletes everything, and checks that nothing is left.
pub(crate) async fn clean(api: &Api, agent: &Agent, case: &Case) {
    let request = DeleteReservationRequest { name: case.name.clone(), allow_missing: true, ..Default::default() };
    api.reservations.clone().delete_reservation(request).await.unwrap();
    for container in api.list(&[]).await.unwrap() {
        api.delete(&container.name).await.unwrap();
    }
    let allocated = api.node().await.unwrap().allocated.unwrap();
    assert_eq!((allocated.cpu_millis, allocated.memory_bytes), (0, 0));
    for directory in [agent.state_dir(), agent.run_dir()] {
        let left: Vec<_> = std::fs::read_dir(directory.join("containers"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert!(left.is_empty(), "files are left: {left:?}");
    }
    let (cgroup, run) =
        (format!("{}/", agent.cgroup()), agent.run_dir().join("containers").to_string_lossy().into_owned());
    eventually_async("nothing is left in the kernel", || async {
        let left = kernel::snapshot().since(&kernel::Snapshot::default());
        (!left.iter().any(|line| line.contains(&cgroup) || line.contains(&run))).then_some(())
    })
    .await;
}
