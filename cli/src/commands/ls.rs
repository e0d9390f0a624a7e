//! `ls`: all containers, page by page.

use std::collections::BTreeMap;
use std::time::SystemTime;

use tweendeck_proto::v1::{
    Container, ContainerState, ExitReason, ListContainersRequest, ListContainersResponse, Resources,
};

use crate::agent::Agent;
use crate::args::ListArgs;
use crate::exit;
use crate::failure::Failure;
use crate::output::{self, Printer, Table, age, command_line, cut, left, printable, right, word};

/// Most characters of a command in the table; `info` shows it whole.
const COMMAND_WIDTH: usize = 40;

pub(super) async fn run(args: ListArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let states = args.state.into_iter().map(|state| ContainerState::from(state).into()).collect();
    let request =
        ListContainersRequest { label_selector: BTreeMap::from_iter(args.label), states, ..Default::default() };
    let answer = list(agent, request).await?;
    if args.quiet {
        for container in &answer.containers {
            out.line(printable(&container.name))?;
        }
    } else {
        out.answer(&answer, |answer| table(&answer.containers, SystemTime::now()))?;
    }
    Ok(exit::OK)
}

/// All pages of a list, as one answer.
pub(super) async fn list(agent: &Agent, mut request: ListContainersRequest) -> Result<ListContainersResponse, Failure> {
    let mut whole = ListContainersResponse::default();
    loop {
        let page = agent.call(request.clone()).await?;
        whole.containers.extend(page.containers);
        if page.next_page_token.is_empty() {
            return Ok(whole);
        }
        request.page_token = page.next_page_token;
    }
}

fn table(containers: &[Container], now: SystemTime) -> Table<8> {
    let mut table = Table::new([
        left("NAME"),
        left("STATE"),
        right("PID"),
        left("EXIT"),
        right("AGE"),
        right("CPU"),
        right("MEMORY"),
        left("COMMAND"),
    ]);
    for container in containers {
        let status = container.status.clone().unwrap_or_default();
        let limits = limits(container);
        let pid = if status.pid > 0 { status.pid.to_string() } else { String::new() };
        let command = container.spec.as_ref().map(|spec| command_line(&spec.command)).unwrap_or_default();
        table.row([
            container.name.clone(),
            word(status.state().as_str_name(), "CONTAINER_STATE_"),
            pid,
            ended(container),
            age(container.create_time.as_ref(), now),
            limits.cpu.and_then(|cpu| cpu.limit_millis).map(output::cpus).unwrap_or_default(),
            limits.memory.and_then(|memory| memory.max_bytes).map(output::size).unwrap_or_default(),
            cut(&command, COMMAND_WIDTH),
        ]);
    }
    table
}

/// The limits in effect, or those asked while there are none.
fn limits(container: &Container) -> Resources {
    let effective = container.status.as_ref().and_then(|status| status.effective.clone());
    effective.or_else(|| container.spec.as_ref()?.resources.clone()).unwrap_or_default()
}

/// How the last run ended, in short; empty while the container runs.
fn ended(container: &Container) -> String {
    let status = container.status.clone().unwrap_or_default();
    let Some(exit) = status.exit.filter(|_| status.state == i32::from(ContainerState::Stopped)) else {
        return String::new();
    };
    match exit.reason() {
        ExitReason::Unspecified | ExitReason::Exited | ExitReason::Signaled => exit.code.to_string(),
        ExitReason::OomKilled => format!("{} (OOM)", exit.code),
        ExitReason::StartFailed => "start failed".to_owned(),
        ExitReason::Lost => "lost".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tweendeck_proto::v1::{ContainerSpec, ContainerStatus, CpuResources, ExitStatus, MemoryResources};

    fn container(name: &str, command: &[&str], status: ContainerStatus) -> Container {
        let command = command.iter().map(|argument| (*argument).to_owned()).collect();
        Container {
            name: name.to_owned(),
            spec: Some(ContainerSpec { command, ..Default::default() }),
            status: Some(status),
            create_time: Some(prost_types::Timestamp { seconds: 1000, nanos: 0 }),
            ..Default::default()
        }
    }

    fn stopped(reason: ExitReason, code: i32) -> ContainerStatus {
        let exit = ExitStatus { reason: reason.into(), code, ..Default::default() };
        ContainerStatus { state: ContainerState::Stopped.into(), exit: Some(exit), ..Default::default() }
    }

    #[test]
    fn a_list_shows_limits_and_how_each_ended() {
        let effective = Resources {
            cpu: Some(CpuResources { limit_millis: Some(500), ..Default::default() }),
            memory: Some(MemoryResources { max_bytes: Some(64 << 20), ..Default::default() }),
            pids: None,
            ..Default::default()
        };
        let running = ContainerStatus {
            state: ContainerState::Running.into(),
            pid: 4242,
            effective: Some(effective),
            exit: Some(ExitStatus { code: 7, ..Default::default() }),
            ..Default::default()
        };
        let long = "a-command-with-a-path/longer/than/forty/characters";
        let containers = [
            container("web", &["nginx", "-g", "daemon off;"], running),
            container("job", &[long], stopped(ExitReason::Exited, 3)),
            container("oom", &["x"], stopped(ExitReason::OomKilled, 137)),
            container("bad", &["y"], stopped(ExitReason::StartFailed, 255)),
        ];
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1180);
        let expected = "\
NAME  STATE     PID  EXIT          AGE   CPU    MEMORY  COMMAND
web   running  4242  -              3m  0.50  64.0 MiB  nginx -g 'daemon off;'
job   stopped     -  3              3m     -         -  a-command-with-a-path/longer/than/forty…
oom   stopped     -  137 (OOM)      3m     -         -  x
bad   stopped     -  start failed   3m     -         -  y";
        assert_eq!(table(&containers, now).to_string(), expected);
    }
}
