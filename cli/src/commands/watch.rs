//! `watch`: changes as they come, across restarts of the agent.

use std::collections::BTreeMap;

use tonic::Status;
use tweendeck_proto::v1::watch_containers_response::Item;
use tweendeck_proto::v1::{
    Container, ContainerState, ExitStatus, WatchContainersRequest, WatchContainersResponse, WatchMode,
};

use super::following::Following;
use super::interrupts::Interrupts;
use crate::agent::Agent;
use crate::args::WatchArgs;
use crate::exit;
use crate::failure::Failure;
use crate::output::{Printer, moment_with_millis, notice, or_dash, printable, word};

pub(super) async fn run(args: WatchArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let mode = if args.changes_only { WatchMode::ChangesOnly } else { WatchMode::Unspecified };
    let name = args.name.unwrap_or_default();
    let resume_token = args.resume.unwrap_or_default();
    let states = args.state.into_iter().map(|state| ContainerState::from(state).into()).collect();
    let label_selector = BTreeMap::from_iter(args.label);
    let request =
        WatchContainersRequest { resume_token, mode: mode.into(), name, label_selector, states, ..Default::default() };
    let mut watch = Watch { agent, request, following: Following::default() };
    let mut interrupts = Interrupts::listen()?;
    tokio::select! { biased;
        _ = interrupts.next() => {}
        result = agent.while_allowed(watch.follow(out)) => drop(result?),
    }
    if !out.is_closed() && !out.is_json() {
        watch.say_how_to_resume();
    }
    Ok(exit::OK)
}

/// A watch, and where it stands.
struct Watch<'a> {
    agent: &'a Agent,
    /// The next request; its token is that of the last item.
    request: WatchContainersRequest,
    following: Following,
}

impl Watch<'_> {
    /// Prints items until nobody reads them, or the agent refuses.
    async fn follow(&mut self, out: &mut Printer) -> Result<(), Failure> {
        while !out.is_closed() {
            if let Err(lost) = self.follow_once(out).await? {
                // Without a token there is nothing to go on behind: what happens until the agent is back is not seen.
                let loss = if self.request.resume_token.is_empty() { ", changes until then are missed" } else { "" };
                self.following.survive(self.agent, lost, loss).await?;
            }
        }
        Ok(())
    }

    /// Prints items of one stream; what ended it, if it was not the reader.
    async fn follow_once(&mut self, out: &mut Printer) -> Result<Result<(), Status>, Failure> {
        let mut items = match self.agent.watch(self.request.clone()).await {
            Ok(items) => items,
            Err(status) => return Ok(Err(status)),
        };
        self.following.opened();
        while !out.is_closed() {
            match items.message().await {
                Ok(Some(response)) => self.print(response, out)?,
                // The contract knows no end of a watch, so this is the agent's, or that of something between.
                Ok(None) => return Ok(Err(Status::unavailable("the agent ended the watch"))),
                Err(status) => return Ok(Err(status)),
            }
        }
        Ok(Ok(()))
    }

    fn print(&mut self, response: WatchContainersResponse, out: &mut Printer) -> Result<(), Failure> {
        self.following.heard();
        out.item(&response, line)?;
        self.request.resume_token = response.resume_token;
        Ok(())
    }

    /// What is watched, as words of a command line, a blank behind each.
    fn words(&self) -> Vec<String> {
        let WatchContainersRequest { name, label_selector, states, .. } = &self.request;
        let name = (!name.is_empty()).then(|| format!("{name} "));
        let labels =
            label_selector.iter().map(|(key, value)| format!("--label {} ", printable(&format!("{key}={value}"))));
        let states = states.iter().filter_map(|state| ContainerState::try_from(*state).ok());
        let states = states.map(|state| format!("--state {} ", word(state.as_str_name(), "CONTAINER_STATE_")));
        name.into_iter().chain(labels).chain(states).collect()
    }

    fn say_how_to_resume(&self) {
        let resume_token = &self.request.resume_token;
        if !resume_token.is_empty() {
            let words = self.words().concat();
            notice(format!("to go on from here: tween watch {words}--resume {}", printable(resume_token)));
        }
    }
}

/// An item for people; `None` for a bookmark, which tells them nothing.
fn line(response: &WatchContainersResponse) -> Option<String> {
    match response.item.as_ref()? {
        Item::Snapshot(container) => {
            let time = moment_with_millis(container.update_time.as_ref());
            Some(columns(time, container.revision, container, "snapshot"))
        }
        Item::Change(change) => {
            let container = change.container.clone().unwrap_or_default();
            let kind = word(change.kind().as_str_name(), "CHANGE_KIND_");
            Some(columns(moment_with_millis(change.time.as_ref()), change.sequence, &container, &kind))
        }
        Item::SnapshotEnd(end) => Some(bare("snapshot-end", &format!("{} containers", end.containers))),
        Item::Gap(gap) if gap.to_sequence == 0 => Some(bare("gap", "an unknown number of changes is gone")),
        Item::Gap(gap) => Some(bare("gap", &format!("changes {} to {} are gone", gap.from_sequence, gap.to_sequence))),
        Item::Bookmark(_) => None,
    }
}

fn columns(time: String, sequence: u64, container: &Container, kind: &str) -> String {
    let status = container.status.clone().unwrap_or_default();
    let state = word(status.state().as_str_name(), "CONTAINER_STATE_");
    let stopped = status.state() == ContainerState::Stopped;
    let exit = status.exit.as_ref().filter(|_| stopped).map(ended).unwrap_or_default();
    let name = printable(&container.name);
    let line = format!(
        "{:<24}  {sequence:>6}  {name:<16}  {kind:<12}  {state:<8}  {exit}{}",
        or_dash(time),
        printable(&status.message)
    );
    line.trim_end().to_owned()
}

fn ended(exit: &ExitStatus) -> String {
    format!("{}, code {}  ", word(exit.reason().as_str_name(), "EXIT_REASON_"), exit.code)
}

/// An item that is not about one container.
fn bare(kind: &str, what: &str) -> String {
    format!("{:<24}  {:>6}  {:<16}  {kind:<12}  {what}", "-", "-", "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweendeck_proto::v1::{Bookmark, ChangeKind, ContainerChange, ContainerStatus, ExitReason, Gap, SnapshotEnd};

    fn container(state: ContainerState) -> Container {
        let exit = ExitStatus { reason: ExitReason::OomKilled.into(), code: 137, ..Default::default() };
        Container {
            name: "web".to_owned(),
            status: Some(ContainerStatus {
                state: state.into(),
                exit: Some(exit),
                message: "out of memory".to_owned(),
                ..Default::default()
            }),
            revision: 4,
            update_time: Some(prost_types::Timestamp { seconds: 0, nanos: 0 }),
            ..Default::default()
        }
    }

    #[test]
    fn every_item_but_a_bookmark_is_one_line() {
        let change = ContainerChange {
            sequence: 7,
            time: Some(prost_types::Timestamp { seconds: 1, nanos: 250_000_000 }),
            kind: ChangeKind::Updated.into(),
            container: Some(container(ContainerState::Stopped)),
        };
        let items = [
            Item::Gap(Gap { from_sequence: 2, to_sequence: 3, ..Default::default() }),
            Item::Gap(Gap::default()),
            Item::Snapshot(container(ContainerState::Running)),
            Item::SnapshotEnd(SnapshotEnd { containers: 1 }),
            Item::Change(change),
            Item::Bookmark(Bookmark { sequence: 7 }),
        ];
        let lines = items.map(|item| line(&WatchContainersResponse { resume_token: String::new(), item: Some(item) }));
        let expected = "\
-                              -  -                 gap           changes 2 to 3 are gone
-                              -  -                 gap           an unknown number of changes is gone
1970-01-01T00:00:00.000Z       4  web               snapshot      running   out of memory
-                              -  -                 snapshot-end  1 containers
1970-01-01T00:00:01.250Z       7  web               updated       stopped   oom killed, code 137  out of memory";
        assert_eq!(lines.into_iter().flatten().collect::<Vec<_>>().join("\n"), expected);
    }
}
