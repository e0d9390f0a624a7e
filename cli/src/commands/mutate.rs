//! `start`, `stop`, `kill`, `freeze`, `thaw`, `rm`: one call for each container; its name is printed when it is done.

use tweendeck_proto::v1::{
    DeleteContainerRequest, FreezeContainerRequest, KillContainerRequest, SignalScope, StartContainerRequest,
    StopContainerRequest, ThawContainerRequest,
};

use super::each::each;
use crate::agent::Agent;
use crate::args::{FreezeArgs, KillArgs, RemoveArgs, StartArgs, StopArgs, ThawArgs};
use crate::exit;
use crate::failure::Failure;
use crate::output::Printer;
use crate::progress;

pub(super) async fn start(args: StartArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    each(&args.names, exit::FAILED, async |name| {
        let request = StartContainerRequest { name: name.to_owned(), ..Default::default() };
        let answer = progress::during(&format!("starting {name}"), agent.call(request)).await?;
        out.answer(&answer, |_| name.to_owned()).map(|()| exit::OK)
    })
    .await
}

pub(super) async fn stop(args: StopArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let grace = args.grace.unwrap_or_default();
    each(&args.names, exit::FAILED, async |name| {
        let request = StopContainerRequest {
            name: name.to_owned(),
            grace: args.grace.and_then(|grace| grace.try_into().ok()),
            ..Default::default()
        };
        let answer = progress::during(&format!("stopping {name}"), agent.call_patiently(grace, request)).await?;
        out.answer(&answer, |_| name.to_owned()).map(|()| exit::OK)
    })
    .await
}

pub(super) async fn kill(args: KillArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let scope = if args.all { SignalScope::All } else { SignalScope::Main };
    each(&args.names, exit::FAILED, async |name| {
        let request = KillContainerRequest {
            name: name.to_owned(),
            signal: args.signal,
            scope: scope.into(),
            ..Default::default()
        };
        let answer = progress::during(&format!("killing {name}"), agent.call(request)).await?;
        out.answer(&answer, |_| name.to_owned()).map(|()| exit::OK)
    })
    .await
}

pub(super) async fn freeze(args: FreezeArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    each(&args.names, exit::FAILED, async |name| {
        let request = FreezeContainerRequest { name: name.to_owned(), ..Default::default() };
        let answer = progress::during(&format!("freezing {name}"), agent.call(request)).await?;
        out.answer(&answer, |_| name.to_owned()).map(|()| exit::OK)
    })
    .await
}

pub(super) async fn thaw(args: ThawArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    each(&args.names, exit::FAILED, async |name| {
        let request = ThawContainerRequest { name: name.to_owned(), ..Default::default() };
        let answer = progress::during(&format!("thawing {name}"), agent.call(request)).await?;
        out.answer(&answer, |_| name.to_owned()).map(|()| exit::OK)
    })
    .await
}

pub(super) async fn remove(args: RemoveArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    each(&args.names, exit::FAILED, async |name| {
        let request = DeleteContainerRequest {
            name: name.to_owned(),
            force: args.force,
            allow_missing: args.ignore_missing,
            ..Default::default()
        };
        let answer = progress::during(&format!("removing {name}"), agent.call(request)).await?;
        // Nothing was removed if there was none; its name would say that something was.
        if answer.container.is_some() || out.is_json() {
            out.answer(&answer, |_| name.to_owned())?;
        }
        Ok(exit::OK)
    })
    .await
}
