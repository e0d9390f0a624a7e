//! `version`: tween's own, and the agent's if it can be asked.

use serde_json::json;
use tweendeck_proto::v1::GetNodeRequest;

use crate::agent::Agent;
use crate::exit;
use crate::failure::Failure;
use crate::output::{Printer, printable};
use crate::refusal;

const OWN: &str = env!("CARGO_PKG_VERSION");

pub(super) async fn run(agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let answer = agent.call(GetNodeRequest {}).await;
    let version = answer.map(|answer| answer.node.unwrap_or_default().agent_version);
    if out.is_json() {
        // No message of the API, but in its manner.
        out.line(format!("{:#}", json!({ "version": OWN, "agentVersion": version.ok() })))?;
        return Ok(exit::OK);
    }
    out.line(format!("tween {OWN}"))?;
    match version {
        Ok(version) => out.line(format!("agent {} at {}", printable(&version), agent.address()))?,
        Err(failure) => out.line(format!("agent unknown: {}", refusal::sentence(&failure)))?,
    }
    Ok(exit::OK)
}
