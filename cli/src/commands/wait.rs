//! `wait`: waits for containers to stop, and passes on the last one's exit code.

use tweendeck_proto::v1::{ExitStatus, WaitContainerRequest, WaitContainerResponse};

use super::each::each;
use crate::agent::Agent;
use crate::args::WaitArgs;
use crate::exit;
use crate::failure::Failure;
use crate::output::{Printer, notice};
use crate::progress;

pub(super) async fn run(args: WaitArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    each(&args.names, exit::TWEEN_FAILED, async |name| {
        let answer = progress::during(&format!("waiting for {name}"), wait(agent, name, "")).await?;
        let ended = ended(&answer);
        if out.is_json() {
            out.answer(&answer, |_| "")?;
        }
        let ended = ended.ok_or_else(|| Failure::NeverRan { name: name.to_owned() })?;
        let code = exit::code(ended);
        if !out.is_json() {
            out.line(code)?;
        }
        if let Some(story) = answer.container.as_ref().and_then(|container| exit::story(container, ended)) {
            notice(story);
        }
        Ok(code)
    })
    .await
}

/// Waits until a container has stopped, as long as the user allows; an empty uid means whichever has the name now. The agent keeps the
/// time, so that it can say what the container still does when the time is over.
pub(super) async fn wait(agent: &Agent, name: &str, uid: &str) -> Result<WaitContainerResponse, Failure> {
    let request = WaitContainerRequest {
        name: name.to_owned(),
        uid: uid.to_owned(),
        timeout: agent.timeout().and_then(|timeout| timeout.try_into().ok()),
    };
    agent.call(request).await
}

fn ended(answer: &WaitContainerResponse) -> Option<&ExitStatus> {
    answer.container.as_ref()?.status.as_ref()?.exit.as_ref()
}
