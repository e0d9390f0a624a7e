//! `lxc-monitor`: each state that a container comes to, a line.

use regex::Regex;
use tweendeck_proto::v1::watch_containers_response::Item;
use tweendeck_proto::v1::{
    ChangeKind, Container, ExitStatus, WatchContainersRequest, WatchContainersResponse, WatchMode,
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
struct Seen(std::collections::BTreeMap<String, (String, &'static str, u32)>);

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
        let exit = exit_of(container);
        let attempt = exit.map_or(0, |exit| exit.attempt);
        let now = (container.uid.clone(), state(container), attempt);
        let before = self.0.insert(container.name.clone(), now.clone());
        let known = before.filter(|(uid, ..)| *uid == container.uid);
        // What was there before this program looked is not told again.
        let (_, was, told) = known.unwrap_or((String::new(), "STOPPED", attempt.saturating_sub(u32::from(ends(container)))));
        let ended = exit.filter(|exit| exit.attempt > told).map(|exit| {
            format!("'{}' exited with status [{}]", container.name, if exit.signal > 0 { 0 } else { exit.code })
        });
        let changed = (now.1 != was).then(|| format!("'{}' changed state to [{}]", container.name, now.1));
        ended.into_iter().chain(changed).collect()
    }
}

fn exit_of(container: &Container) -> Option<ExitStatus> {
    container.status.as_ref()?.exit
}

/// Whether this is the change that brings an end.
fn ends(container: &Container) -> bool {
    state(container) == "STOPPING"
}
