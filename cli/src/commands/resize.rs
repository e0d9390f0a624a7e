//! `resize`: replaces the limits of a container, and prints its name.

use tweendeck_proto::v1::ResizeContainerRequest;

use crate::agent::Agent;
use crate::args::ResizeArgs;
use crate::exit;
use crate::failure::Failure;
use crate::output::Printer;
use crate::progress;

pub(super) async fn run(args: ResizeArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let ResizeArgs { name, lift_all: _, limits } = args;
    let resources = Some(limits.into_resources().unwrap_or_default());
    let request = ResizeContainerRequest { name: name.clone(), resources, ..Default::default() };
    let answer = progress::during(&format!("resizing {name}"), agent.call(request)).await?;
    out.answer(&answer, |_| name)?;
    Ok(exit::OK)
}
