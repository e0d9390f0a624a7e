//! `create`: makes a container known, and prints its name.

use tweendeck_proto::v1::CreateContainerRequest;

use crate::agent::Agent;
use crate::args::CreateArgs;
use crate::exit;
use crate::failure::Failure;
use crate::output::Printer;

pub(super) async fn run(args: CreateArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let reservation = args.container.reservation.clone().unwrap_or_default();
    let (name, spec) = args.container.into_named_spec();
    let request = CreateContainerRequest { name: name.clone(), spec: Some(spec), reservation, ..Default::default() };
    let answer = agent.call(request).await?;
    out.answer(&answer, |_| name)?;
    Ok(exit::OK)
}
