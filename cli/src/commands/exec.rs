//! `exec`, `attach` and `console`: commands in a running container, and its own command's terminal.

use tonic_types::StatusExt as _;
use tweendeck_proto::v1::{
    CreateExecRequest, DeleteExecRequest, ErrorReason, Exec, ExecEndCause, ExecExit, GetContainerRequest,
    GetExecRequest,
};

use super::session::{self, Outcome, Wishes};
use crate::agent::Agent;
use crate::args::{AttachArgs, ConsoleArgs, ExecArgs};
use crate::exit;
use crate::failure::Failure;
use crate::output::{Printer, notice};
use crate::refusal;

/// ENOENT: there is no such file.
const NO_FILE: &str = "2";

pub(super) async fn run(args: ExecArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let on_a_terminal = session::is_on_a_terminal();
    if args.tty && !args.detach && !on_a_terminal {
        return Err(Failure::NotATerminal);
    }
    let size = if on_a_terminal { session::window() } else { None };
    let request = CreateExecRequest {
        container: args.container.clone(),
        id: args.id.clone().unwrap_or_default(),
        spec: Some(args.spec(size)),
        ..Default::default()
    };
    let created = match agent.call(request).await {
        Err(failure) if failure.reason() == Some(ErrorReason::ExecFailed) => {
            refusal::report(&failure, None);
            return Ok(not_executed(&failure));
        }
        created => created?,
    };
    let exec = created.exec.as_ref().ok_or(Failure::Incomplete("exec"))?;
    if args.detach {
        out.answer(&created, |_| exec.id.clone())?;
        return Ok(exit::OK);
    }
    let wishes =
        Wishes { write: true, input: args.interactive, take_over: false, raw: args.tty, keys: args.detach_keys };
    let outcome = session::attach(agent, &exec.container, &exec.id, wishes).await?;
    let ended = matches!(outcome, Outcome::Exited(_));
    let code = conclude(outcome, exec);
    if ended && args.keep.is_none() {
        // Nobody asks for it again. If it cannot be removed now, it goes by itself.
        let request = DeleteExecRequest {
            container: exec.container.clone(),
            id: exec.id.clone(),
            allow_missing: true,
            ..Default::default()
        };
        let _ = agent.call(request).await;
    }
    Ok(code)
}

pub(super) async fn attach(args: AttachArgs, agent: &Agent) -> Result<u8, Failure> {
    let request = GetExecRequest { container: args.container, id: args.id };
    let exec = agent.call(request).await?.exec.ok_or(Failure::Incomplete("exec"))?;
    let wishes = Wishes {
        write: !args.read_only,
        input: !args.read_only,
        take_over: args.take_over,
        raw: exec.terminal && !args.read_only && session::is_on_a_terminal(),
        keys: args.detach_keys,
    };
    let outcome = session::attach(agent, &exec.container, &exec.id, wishes).await?;
    Ok(conclude(outcome, &exec))
}

pub(super) async fn console(args: ConsoleArgs, agent: &Agent) -> Result<u8, Failure> {
    let request = GetContainerRequest { name: args.container.clone() };
    let container = agent.call(request).await?.container.ok_or(Failure::Incomplete("container"))?;
    // Keys that are passed on as they are have no end, and are shown by nobody but a terminal.
    let terminal = container.spec.as_ref().is_none_or(|spec| !spec.stdin);
    let wishes = Wishes {
        write: !args.read_only,
        input: !args.read_only,
        take_over: args.take_over,
        raw: terminal && !args.read_only && session::is_on_a_terminal(),
        keys: args.detach_keys,
    };
    Ok(match session::console(agent, &container, wishes).await? {
        Outcome::Signal(signal) => exit::of_signal(signal),
        Outcome::Detached => exit::OK,
        Outcome::Ended | Outcome::Exited(_) => {
            notice(format!("{}: it has ended", args.container));
            exit::OK
        }
    })
}

/// The code to exit with, after saying what was out of the ordinary.
fn conclude(outcome: Outcome, exec: &Exec) -> u8 {
    match outcome {
        Outcome::Exited(ended) => {
            if let Some(story) = story(&ended) {
                notice(format!("{}: {story}", exec.container));
            }
            u8::try_from(ended.exit_code).unwrap_or(exit::NO_CODE)
        }
        Outcome::Detached => {
            notice(format!("detached; `tween attach {} {}` goes on", exec.container, exec.id));
            exit::OK
        }
        Outcome::Signal(signal) => exit::of_signal(signal),
        Outcome::Ended => exit::OK,
    }
}

fn story(ended: &ExecExit) -> Option<&'static str> {
    match ended.cause() {
        ExecEndCause::Unspecified | ExecEndCause::Process => None,
        ExecEndCause::Deleted => Some("somebody has ended the session"),
        ExecEndCause::Disconnected => Some("the session ended because nobody was attached"),
        ExecEndCause::Container => Some("the container has ended"),
        ExecEndCause::Timeout => Some("the session's time was over"),
    }
}

/// As a shell has it: there is no such command, or it cannot be executed.
pub(super) fn not_executed(failure: &Failure) -> u8 {
    let Failure::Refused(status) = failure else { return exit::TWEEN_FAILED };
    let metadata = status.get_details_error_info().map(|info| info.metadata).unwrap_or_default();
    let is = |key: &str, value: &str| metadata.get(key).is_some_and(|found| found == value);
    match (is("stage", "execute"), is("errno", NO_FILE)) {
        (true, true) => exit::NOT_FOUND,
        (true, false) => exit::NOT_EXECUTABLE,
        (false, _) => exit::TWEEN_FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::{Code, Status};
    use tonic_types::ErrorDetails;

    #[test]
    fn a_command_that_is_not_there_and_one_that_is_no_program_have_a_shells_codes() {
        let failed = |stage: &str, errno: &str| {
            let metadata = [("stage".to_owned(), stage.to_owned()), ("errno".to_owned(), errno.to_owned())];
            let details = ErrorDetails::with_error_info("EXEC_FAILED", tweendeck_proto::ERROR_DOMAIN, metadata);
            Failure::Refused(Box::new(Status::with_error_details(Code::FailedPrecondition, "no", details)))
        };
        assert_eq!(not_executed(&failed("execute", "2")), 127);
        assert_eq!(not_executed(&failed("execute", "13")), 126);
        assert_eq!(not_executed(&failed("change to the working directory", "2")), 125);
    }
}
