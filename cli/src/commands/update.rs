//! `update`: replaces the specification of a container that does not run, and prints its name.

use tweendeck_proto::v1::UpdateContainerRequest;

use crate::agent::Agent;
use crate::args::UpdateArgs;
use crate::exit;
use crate::failure::Failure;
use crate::output::Printer;

pub(super) async fn run(args: UpdateArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let UpdateArgs { name, container } = args;
    let request =
        UpdateContainerRequest { name: name.clone(), spec: Some(container.into_spec()), ..Default::default() };
    let answer = agent.call(request).await?;
    out.answer(&answer, |_| name)?;
    Ok(exit::OK)
}
