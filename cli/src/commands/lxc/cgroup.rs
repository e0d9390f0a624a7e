//! `lxc-cgroup`: a value of a running container's cgroup, by the name of its file in either version.

use tweendeck_proto::v1::{GetCgroupValueRequest, SetCgroupValueRequest};

use super::context::Context;
use super::trouble::Trouble;
use crate::exit;

pub(super) async fn run(
    name: String,
    key: String,
    value: Option<String>,
    context: &mut Context,
) -> Result<u8, Trouble> {
    super::context::checked(&name)?;
    match value {
        Some(value) => {
            context.call(SetCgroupValueRequest { name, key, value, ..Default::default() }).await?;
        }
        None => {
            let answer = context.call(GetCgroupValueRequest { name, key }).await?;
            // With an empty line behind it, as LXC has it.
            context.out.line(format!("{}\n", answer.value))?;
        }
    }
    Ok(exit::OK)
}
