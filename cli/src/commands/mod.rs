//! The subcommands: one file each, or each small group.
//!
//! A command returns the code to exit with. A failure it returns is reported here; one that concerns a single container among several
//! it reports itself, and goes on with the others.

mod cgroup;
mod check;
mod completion;
mod cp;
mod create;
mod device;
mod each;
mod events;
mod exec;
mod execs;
mod following;
mod foreground;
mod info;
mod interrupts;
mod logs;
mod ls;
pub(crate) mod lxc;
mod mutate;
mod node;
mod ps;
mod reservations;
mod resize;
mod run;
mod session;
mod stats;
mod supervision;
mod update;
mod usage;
mod version;
mod wait;
mod watch;

use crate::agent::Agent;
use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::output::Printer;
use crate::refusal;

/// Does what the command line says; the code to exit with.
pub(crate) async fn execute(cli: Cli) -> u8 {
    let Cli { global, command } = cli;
    if let Command::Lxc(args) = command {
        return lxc::words(args.words, global.host).await;
    }
    let failure_code = command.failure_code();
    let agent = Agent::new(global.host, global.timeout);
    let result = match Printer::new(global.output) {
        Ok(mut printer) => dispatch(command, &agent, &mut printer).await,
        Err(failure) => Err(failure),
    };
    result.unwrap_or_else(|failure| {
        refusal::report(&failure, None);
        failure_code
    })
}

async fn dispatch(command: Command, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    match command {
        Command::Run(args) => run::run(*args, agent, out).await,
        Command::Create(args) => create::run(*args, agent, out).await,
        Command::Start(args) => mutate::start(args, agent, out).await,
        Command::Stop(args) => mutate::stop(args, agent, out).await,
        Command::Kill(args) => mutate::kill(args, agent, out).await,
        Command::Freeze(args) => mutate::freeze(args, agent, out).await,
        Command::Thaw(args) => mutate::thaw(args, agent, out).await,
        Command::Cgroup(args) => cgroup::run(args, agent, out).await,
        Command::Cp(args) => Box::pin(cp::run(args, agent, out)).await,
        Command::Device(args) => device::run(args, agent, out).await,
        Command::Resize(args) => resize::run(*args, agent, out).await,
        Command::Update(args) => update::run(*args, agent, out).await,
        Command::Rm(args) => mutate::remove(args, agent, out).await,
        Command::Ls(args) => ls::run(args, agent, out).await,
        Command::Ps(args) => ps::run(args, agent, out).await,
        Command::Exec(args) => exec::run(*args, agent, out).await,
        Command::Attach(args) => exec::attach(args, agent).await,
        Command::Console(args) => exec::console(args, agent).await,
        Command::Execs(args) => execs::run(args, agent, out).await,
        Command::Info(args) => info::run(args, agent, out).await,
        Command::Logs(args) => logs::run(args, agent, out).await,
        Command::Wait(args) => wait::run(args, agent, out).await,
        Command::Stats(args) => stats::run(args, agent, out).await,
        Command::Watch(args) => watch::run(args, agent, out).await,
        Command::Events(args) => events::run(args, agent, out).await,
        Command::Reserve(args) => reservations::reserve(args, agent, out).await,
        Command::Reservations => reservations::list(agent, out).await,
        Command::Release(args) => reservations::release(args, agent, out).await,
        Command::Node => node::run(agent, out).await,
        Command::Check => check::run(agent, out).await,
        Command::Version => version::run(agent, out).await,
        Command::Completion(args) => completion::run(args.shell, out),
        Command::Lxc(_) => Ok(crate::exit::USAGE),
    }
}
