//! `execs`: the exec sessions of a container.

use std::time::SystemTime;

use tweendeck_proto::v1::{DeleteExecRequest, Exec, ExecState, ListExecsRequest, on_disconnect};

use super::each::each;
use crate::agent::Agent;
use crate::args::ExecsArgs;
use crate::exit;
use crate::failure::Failure;
use crate::output::{Printer, Table, age, command_line, exact, left, right, word};

pub(super) async fn run(args: ExecsArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    if !args.rm.is_empty() {
        return each(&args.rm, exit::FAILED, async |id| {
            let request =
                DeleteExecRequest { container: args.container.clone(), id: id.to_owned(), ..Default::default() };
            out.answer(&agent.call(request).await?, |_| id.to_owned())?;
            Ok(exit::OK)
        })
        .await;
    }
    let answer = agent.call(ListExecsRequest { container: args.container }).await?;
    out.answer(&answer, |answer| table(&answer.execs))?;
    Ok(exit::OK)
}

fn table(execs: &[Exec]) -> Table<9> {
    let titles = [left("ID"), left("STATE"), right("EXIT"), right("PID"), left("TTY"), right("ATTACHED")];
    let [id, state, exit, pid, tty, attached] = titles;
    let mut table = Table::new([id, state, exit, pid, tty, attached, left("KEEP"), right("AGE"), left("COMMAND")]);
    let now = SystemTime::now();
    for exec in execs {
        table.row([
            exec.id.clone(),
            state_of(exec.state()),
            exec.exit.map(|exit| exit.exit_code.to_string()).unwrap_or_default(),
            if exec.pid > 0 { exec.pid.to_string() } else { String::new() },
            if exec.terminal { "yes".to_owned() } else { String::new() },
            exec.attached.to_string(),
            keep(exec),
            age(exec.create_time.as_ref(), now),
            command(exec),
        ]);
    }
    table
}

fn state_of(state: ExecState) -> String {
    word(state.as_str_name(), "EXEC_STATE_")
}

fn keep(exec: &Exec) -> String {
    match exec.on_disconnect.as_ref().and_then(|on| on.action.as_ref()) {
        Some(on_disconnect::Action::Keep(keep)) => {
            keep.ttl.and_then(|ttl| ttl.try_into().ok()).map(exact).unwrap_or_default()
        }
        Some(on_disconnect::Action::Kill(_)) | None => String::new(),
    }
}

fn command(exec: &Exec) -> String {
    let more = if exec.command_cut { " …" } else { "" };
    format!("{}{more}", command_line(&exec.command))
}
