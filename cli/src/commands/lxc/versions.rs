//! `lxc-version` and `lxc-checkconfig`.

use tweendeck_proto::v1::{CheckHostRequest, FactVerdict};

use super::context::Context;
use super::trouble::Trouble;
use crate::exit;
use crate::output::printable;

pub(super) fn version(context: &mut Context) -> Result<u8, Trouble> {
    context.out.line(format!("lxc version: {} (Tweendeck)", env!("CARGO_PKG_VERSION")))?;
    Ok(exit::OK)
}

/// What containers need of the node's kernel, and whether it is there. LXC's always ends well, and scripts count on that.
pub(super) async fn check_config(context: &mut Context) -> Result<u8, Trouble> {
    context.out.line(format!("LXC version {} (Tweendeck)", env!("CARGO_PKG_VERSION")))?;
    let answer = context.call(CheckHostRequest {}).await?;
    let mut group = "";
    for fact in &answer.facts {
        let (of, name) = fact.id.split_once('.').unwrap_or((&fact.id, ""));
        if of != group {
            group = of;
            context.out.line(format!("\n--- {} ---", printable(of)))?;
        }
        let verdict = match fact.verdict() {
            FactVerdict::Ok => "enabled",
            FactVerdict::MissingOptional => "missing",
            FactVerdict::MissingRequired => "required, missing",
            FactVerdict::Unspecified => "unknown",
        };
        context.out.line(format!("{}: {verdict}", printable(name)))?;
    }
    Ok(exit::OK)
}
