//! `lxc-ps`: the processes of containers, each line with the container's name before it.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use tweendeck_proto::v1::{ListProcessesRequest, Process};

use super::context::{Context, is_active};
use super::trouble::Trouble;
use crate::exit;
use crate::output::{command_line, cpu_time};

pub(super) async fn run(name: &str, arguments: &[String], context: &mut Context) -> Result<u8, Trouble> {
    let containers = if name.is_empty() {
        context.all().await?.into_iter().filter(is_active).collect()
    } else {
        vec![context.find(name).await?.filter(is_active).ok_or_else(|| Trouble::said("it is not running"))?]
    };
    let mut processes = BTreeMap::new();
    for container in containers {
        for process in processes_of(&container.name, context).await? {
            processes.insert(process.pid, (container.name.clone(), process));
        }
    }
    if arguments.is_empty() {
        let width = processes.values().map(|(name, _)| name.len()).max().unwrap_or(0).max("CONTAINER".len());
        context.out.line(format!("{:<width$} {:>7} TTY          TIME CMD", "CONTAINER", "PID"))?;
        for (name, process) in processes.values() {
            let (pid, time, command) = (process.pid, cpu_time(process.cpu_ns), command(process));
            context.out.line(format!("{name:<width$} {pid:>7} {:<8} {time:>8} {command}", "?"))?;
        }
        return Ok(exit::OK);
    }
    by_ps(&processes, arguments, context)
}

async fn processes_of(name: &str, context: &Context) -> Result<Vec<Process>, Trouble> {
    let mut request = ListProcessesRequest { name: name.to_owned(), ..Default::default() };
    let mut all = Vec::new();
    loop {
        let page = context.call(request.clone()).await?;
        all.extend(page.processes);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        request.page_token = page.next_page_token;
    }
}

/// What ps(1) of this machine says with these options, of those processes.
fn by_ps(
    processes: &BTreeMap<i32, (String, Process)>,
    arguments: &[String],
    context: &mut Context,
) -> Result<u8, Trouble> {
    if !context.is_local() {
        return Err(Trouble::said("options for ps(1) can be given on the node itself only"));
    }
    let failed = |error: std::io::Error| Trouble::said(format!("ps: {error}"));
    // All processes, from which ours are taken; options of BSD's, without a hyphen, say it themselves.
    let all = arguments.first().filter(|first| first.starts_with('-')).map(|_| "-e");
    let output = Command::new("ps")
        .args(all)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(failed)?;
    if !output.status.success() {
        return Err(Trouble::said("ps(1) refuses these options"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let column = head.split_whitespace().position(|word| word == "PID");
    let column = column.ok_or_else(|| Trouble::said("these options of ps(1) show no PID"))?;
    let width = processes.values().map(|(name, _)| name.len()).max().unwrap_or(0).max("CONTAINER".len());
    context.out.line(format!("{:<width$} {head}", "CONTAINER"))?;
    for line in lines {
        let pid = line.split_whitespace().nth(column).and_then(|word| word.parse::<i32>().ok());
        if let Some((name, _)) = pid.and_then(|pid| processes.get(&pid)) {
            context.out.line(format!("{name:<width$} {line}"))?;
        }
    }
    Ok(exit::OK)
}

/// A process that has changed its title leaves empty arguments behind it.
fn command(process: &Process) -> String {
    let end = process.command.iter().rposition(|word| !word.is_empty()).map_or(0, |last| last.saturating_add(1));
    command_line(process.command.get(..end).unwrap_or_default())
}
