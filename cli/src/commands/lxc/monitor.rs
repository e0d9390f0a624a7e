//! `lxc-monitor`: each state that a container comes to, a line.

use std::collections::BTreeMap;

use regex::Regex;
use tweendeck_proto::v1::watch_containers_response::Item;
use tweendeck_proto::v1::{
    ChangeKind, Container, ExitReason, ExitStatus, WatchContainersRequest, WatchContainersResponse, WatchMode,
};

use super::context::{Context, state};
use super::trouble::Trouble;
use crate::commands::following::Following;
use crate::exit;

pub(super) async fn run(name: &str, quit: bool, context: &mut Context) -> Result<u8, Trouble> {
    if quit {
        return Err(Trouble::said("there is no monitor daemon here that could end: each lxc-monitor asks the agent"));
    }
    let pattern = Regex::new(&format!("^(?:{})$", if name.is_empty() { ".*" } else { name }))
        .map_err(|error| Trouble::said(format!("the name is no regular expression: {error}")))?;
    let mut request = WatchContainersRequest { mode: WatchMode::ChangesOnly.into(), ..Default::default() };
    let mut following = Following::default();
    let mut seen = Seen::default();
    while !context.out.is_closed() {
        let broken = match context.agent.watch(request.clone()).await {
            Ok(mut items) => {
                following.opened();
                loop {
                    match items.message().await {
                        Ok(Some(response)) => {
                            following.heard();
                            request.resume_token.clone_from(&response.resume_token);
                            for line in seen.lines(&response, &pattern) {
                                context.out.line(line)?;
                            }
                        }
                        Ok(None) => break tonic::Status::unavailable("the agent ended the watch"),
                        Err(status) => break status,
                    }
                }
            }
            Err(status) => status,
        };
        following.survive(&context.agent, broken, "").await?;
    }
    Ok(exit::OK)
}

/// What was told of each container.
#[derive(Default)]
struct Seen(BTreeMap<String, Known>);

/// What was told of one.
#[derive(Clone)]
struct Known {
    uid: String,
    state: &'static str,
    /// The attempt whose end was told.
    ended: u32,
}

impl Seen {
    /// The lines of a change: a state that is another than the last, an end that was not told.
    fn lines(&mut self, response: &WatchContainersResponse, pattern: &Regex) -> Vec<String> {
        let Some(Item::Change(change)) = &response.item else { return Vec::new() };
        let Some(container) = &change.container else { return Vec::new() };
        if !pattern.is_match(&container.name) {
            return Vec::new();
        }
        if change.kind() == ChangeKind::Deleted {
            self.0.remove(&container.name);
            return Vec::new();
        }
        let known = self.0.get(&container.name).filter(|known| known.uid == container.uid).cloned();
        // What was there before this program looked is not told again.
        let now = state(container);
        let brings_an_end = u32::from(["STOPPING", "ABORTING"].contains(&now));
        let told = ended(container).saturating_sub(brings_an_end);
        let first = Known { uid: container.uid.clone(), state: "STOPPED", ended: told };
        let mut known = known.unwrap_or(first);
        let mut lines = Vec::new();
        let changed = |state: &str| format!("'{}' changed state to [{state}]", container.name);
        if ended(container) > known.ended {
            known.ended = ended(container);
            lines.extend(exited(container));
            // LXC's containers are stopping from their end on, and always for a moment.
            if now == "STOPPED" && known.state != "STOPPING" {
                known.state = "STOPPING";
                lines.push(changed("STOPPING"));
            }
        } else if now == "STOPPING" {
            // It has been asked to end, and has not yet.
            return Vec::new();
        }
        if now != known.state {
            if now == "STOPPED" && known.state == "ABORTING" {
                lines.push(changed("STOPPING"));
            }
            known.state = now;
            lines.push(changed(now));
        }
        self.0.insert(container.name.clone(), known);
        lines
    }
}

/// The attempt whose end is known.
fn ended(container: &Container) -> u32 {
    exit_of(container).map_or(0, |exit| exit.attempt)
}

/// How it ended, if its command had ever begun: 0 also when a signal ended it.
fn exited(container: &Container) -> Option<String> {
    let exit = exit_of(container)?;
    let code = if exit.signal > 0 { 0 } else { exit.code };
    (exit.reason() != ExitReason::StartFailed).then(|| format!("'{}' exited with status [{code}]", container.name))
}

fn exit_of(container: &Container) -> Option<ExitStatus> {
    container.status.as_ref()?.exit
}
