//! `ps`: the processes of a container.

use tweendeck_proto::v1::{ListProcessesRequest, ListProcessesResponse, Process};

use crate::agent::Agent;
use crate::args::ProcessesArgs;
use crate::exit;
use crate::failure::Failure;
use crate::output::{Printer, Table, command_line, cpu_time, left, right, size};

pub(super) async fn run(args: ProcessesArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let mut request = ListProcessesRequest { name: args.name, ..Default::default() };
    let mut whole = ListProcessesResponse::default();
    loop {
        let page = agent.call(request.clone()).await?;
        whole.processes.extend(page.processes);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    out.answer(&whole, |answer| table(&answer.processes))?;
    Ok(exit::OK)
}

fn table(processes: &[Process]) -> Table<9> {
    let mut table = Table::new([
        right("PID"),
        right("CPID"),
        right("PPID"),
        left("STATE"),
        right("UID"),
        right("THREADS"),
        right("MEMORY"),
        right("CPU TIME"),
        left("COMMAND"),
    ]);
    for process in processes {
        table.row([
            process.pid.to_string(),
            process.container_pid.to_string(),
            process.parent_pid.to_string(),
            process.state.clone(),
            process.uid.to_string(),
            process.threads.to_string(),
            size(process.rss_bytes),
            cpu_time(process.cpu_ns),
            command(process),
        ]);
    }
    table
}

/// As ps(1) does: a process without a command line has its name in brackets.
fn command(process: &Process) -> String {
    if process.init {
        return "[tweendeck init]".to_owned();
    }
    if process.command.is_empty() { format!("[{}]", process.comm) } else { command_line(&process.command) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_have_both_pids() {
        let process = |pid: i32, container_pid: i32, comm: &str, command: &[&str]| Process {
            pid,
            container_pid,
            parent_pid: pid - 1,
            state: "S".to_owned(),
            comm: comm.to_owned(),
            command: command.iter().map(|argument| (*argument).to_owned()).collect(),
            threads: 1,
            rss_bytes: 3 << 19,
            cpu_ns: 20_000_000,
            ..Default::default()
        };
        let processes = [
            Process { init: true, ..process(1201, 1, "tweendeck-init", &["tweendeck-runtime", "supervise"]) },
            process(1202, 2, "sleep", &["sleep", "60"]),
            process(1203, 13, "defunct", &[]),
        ];
        let expected = " PID  CPID  PPID  STATE  UID  THREADS   MEMORY  CPU TIME  COMMAND
1201     1  1200  S        0        1  1.5 MiB    0.020s  [tweendeck init]
1202     2  1201  S        0        1  1.5 MiB    0.020s  sleep 60
1203    13  1202  S        0        1  1.5 MiB    0.020s  [defunct]";
        assert_eq!(table(&processes).to_string(), expected);
    }
}
