//! `cgroup`: any value of a container's cgroup, by its file's name.

use tweendeck_proto::v1::{GetCgroupValueRequest, SetCgroupValueRequest};

use crate::agent::Agent;
use crate::args::CgroupArgs;
use crate::exit;
use crate::failure::Failure;
use crate::output::Printer;

pub(super) async fn run(args: CgroupArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let CgroupArgs { name, key, value } = args;
    match value {
        None => out.answer(&agent.call(GetCgroupValueRequest { name, key }).await?, |answer| answer.value.clone())?,
        Some(value) => {
            let request = SetCgroupValueRequest { name, key, value, ..Default::default() };
            out.answer(&agent.call(request).await?, |answer| answer.value.clone())?;
        }
    }
    Ok(exit::OK)
}
