//! LXC's commands: `lxc-start` and its kin, under those names or as `tween lxc start`.
//!
//! `tweendeck-lxc` says what a command line asks for and what a configuration becomes; here it is carried out, by calls to the agent. What belongs to a container that
//! the agent does not keep, its configuration as text and a root that was made for it, is in `<lxcpath>/<name>`, as LXC has it.

mod attach;
mod autostart;
mod cgroup;
mod config;
mod console_log;
mod context;
mod copy;
mod create;
mod definition;
mod destroy;
mod device;
mod execute;
mod freezer;
mod hooks;
mod import;
mod info;
mod list;
mod monitor;
mod ps;
mod roots;
mod snapshot;
mod start;
mod states;
mod stay;
mod stop;
mod templates;
mod top;
mod trees;
mod trouble;
mod versions;
mod wait;

use std::ffi::OsString;
use std::path::Path;

use tweendeck_lxc::command::{Asked, Command, Invocation, Listed, Wrong, commands, parse};

use crate::agent::Address;
use context::Context;
use trouble::{Trouble, say};

/// The command of LXC's that this program was called as.
pub(crate) fn called_as(program: Option<&OsString>) -> Option<String> {
    let name = Path::new(program?).file_name()?.to_str()?;
    name.starts_with("lxc-").then(|| name.to_owned())
}

/// `tween lxc COMMAND ...`.
pub(crate) async fn words(mut words: Vec<OsString>, host: Address) -> u8 {
    let command = if words.is_empty() { "--help".into() } else { words.remove(0) };
    match command.to_str() {
        Some("--help" | "-h") => {
            print(&overview());
            0
        }
        Some(command) => {
            let command = command.trim_start_matches("lxc-");
            execute(&format!("lxc-{command}"), words, Some(host)).await
        }
        None => {
            say("tween lxc", "", "the command is no UTF-8");
            crate::exit::USAGE
        }
    }
}

/// All commands, a line each.
fn overview() -> String {
    let line = |listed: &Listed| format!("  {:<16} {}\n", listed.name, listed.about);
    let lines: String = commands().iter().map(line).collect();
    format!("LXC's commands, as `tween lxc COMMAND` or under their own names (lxc-COMMAND):\n\n{lines}")
}

/// Carries out a command line; the code to exit with.
pub(crate) async fn execute(command: &str, words: Vec<OsString>, host: Option<Address>) -> u8 {
    let mut arguments = Vec::with_capacity(words.len());
    for word in words {
        match word.into_string() {
            Ok(word) => arguments.push(word),
            Err(word) => {
                say(command, "", &format!("{} is no UTF-8, and nothing of a container's can be", word.display()));
                return 1;
            }
        }
    }
    match parse(command, &arguments) {
        Ok(Asked::Print(text)) => {
            print(&text);
            0
        }
        Ok(Asked::Do(invocation)) => carry_out(command, *invocation, host).await,
        Err(Wrong { message, help }) => {
            eprint(&format!("{message}\n{help}"));
            1
        }
    }
}

async fn carry_out(command: &str, invocation: Invocation, host: Option<Address>) -> u8 {
    let name = name(&invocation.command).to_owned();
    let done = match Context::new(command, invocation.common, host) {
        // Boxed: specifications are large, and each command's future holds some.
        Ok(mut context) => Box::pin(dispatch(invocation.command, &mut context)).await,
        Err(trouble) => Err(trouble),
    };
    done.unwrap_or_else(|trouble| {
        trouble.report(command, &name);
        trouble.code()
    })
}

async fn dispatch(command: Command, context: &mut Context) -> Result<u8, Trouble> {
    match command {
        Command::Version => versions::version(context),
        Command::CheckConfig => versions::check_config(context).await,
        Command::Create(create) => create::run(create, context).await,
        Command::Start(start) => Box::pin(start::run(start, context)).await,
        Command::Execute(execute) => Box::pin(execute::run(execute, context)).await,
        Command::Stop(stop) => stop::run(stop, context).await,
        Command::Kill { name, signal } => stop::kill(&name, signal, context).await,
        Command::Destroy { name, force, snapshots } => destroy::run(&name, force, snapshots, context).await,
        Command::Cgroup { name, key, value } => cgroup::run(name, key, value, context).await,
        Command::Info(info) => info::run(info, context).await,
        Command::Monitor { name, quit } => monitor::run(&name, quit, context).await,
        Command::List(list) => list::run(list, context).await,
        Command::Ps { name, arguments } => ps::run(&name, &arguments, context).await,
        Command::Attach(attach) => attach::run(attach, context).await,
        Command::Freeze(name) => freezer::freeze(&name, context).await,
        Command::Unfreeze(name) => freezer::unfreeze(&name, context).await,
        Command::Wait { name, states, timeout } => wait::run(&name, &states, timeout, context).await,
        Command::Console { name, tty, escape } => attach::console(&name, tty, escape, context).await,
        Command::Top(top) => top::run(top, context).await,
        Command::Device { name, add, device, inside } => device::run(&name, add, device, inside, context).await,
        Command::Snapshot(snapshot) => snapshot::run(snapshot, context).await,
        Command::Copy(copy) => Box::pin(copy::run(copy, context)).await,
        Command::Autostart(autostart) => autostart::run(autostart, context).await,
        Command::Config { list, item } => config::items(list, item.as_deref(), context),
        Command::UpdateConfig { file } => config::update_file(&file, context),
        Command::Explain { file } => config::explain(&file, context).await,
        Command::Import { directory, names, dry_run } => import::run(&directory, &names, dry_run, context).await,
    }
}

/// The container that a command is about, for what is said of it.
fn name(command: &Command) -> &str {
    match command {
        Command::Create(create) => &create.name,
        Command::Start(start) => &start.name,
        Command::Execute(execute) => &execute.name,
        Command::Stop(stop) => &stop.name,
        Command::Info(info) => &info.name,
        Command::Attach(attach) => &attach.name,
        Command::Snapshot(snapshot) => &snapshot.name,
        Command::Copy(copy) => &copy.name,
        Command::Kill { name, .. }
        | Command::Destroy { name, .. }
        | Command::Cgroup { name, .. }
        | Command::Freeze(name)
        | Command::Unfreeze(name)
        | Command::Wait { name, .. }
        | Command::Console { name, .. }
        | Command::Device { name, .. } => name,
        Command::Version
        | Command::CheckConfig
        | Command::Monitor { .. }
        | Command::List(_)
        | Command::Ps { .. }
        | Command::Top(_)
        | Command::Autostart(_)
        | Command::Config { .. }
        | Command::UpdateConfig { .. }
        | Command::Explain { .. }
        | Command::Import { .. } => "",
    }
}

/// Prints a text; that nobody reads it is nobody's business.
fn print(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn eprint(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(text.as_bytes());
}
