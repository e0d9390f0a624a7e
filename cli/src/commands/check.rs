//! `check`: whether the node's kernel has what containers need.

use std::collections::BTreeMap;

use tweendeck_proto::v1::{CheckHostRequest, CheckHostResponse, FactVerdict, HostFact};

use crate::agent::Agent;
use crate::exit;
use crate::failure::Failure;
use crate::output::{Printer, printable};

pub(super) async fn run(agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let answer = agent.call(CheckHostRequest {}).await?;
    out.answer(&answer, text)?;
    Ok(if answer.ok { exit::OK } else { exit::FAILED })
}

fn text(answer: &CheckHostResponse) -> String {
    let width = answer.facts.iter().map(|fact| split(&fact.id).1.chars().count()).max().unwrap_or_default();
    let mut groups = BTreeMap::<&str, Vec<String>>::new();
    for fact in &answer.facts {
        let (group, name) = split(&fact.id);
        let line = format!("  {name:<width$}  {:<18}  {}", mark(fact), fact.detail);
        groups.entry(group).or_default().push(printable(line.trim_end()));
    }
    let groups = groups.into_iter().map(|(group, lines)| format!("{}\n{}\n\n", printable(group), lines.join("\n")));
    let verdict = if answer.ok {
        "Containers can run on this node."
    } else {
        "Something required is missing: containers cannot run on this node."
    };
    format!("{}{verdict}", groups.collect::<String>())
}

/// A fact's group and its name in it.
fn split(id: &str) -> (&str, &str) {
    id.split_once('.').unwrap_or((id, ""))
}

fn mark(fact: &HostFact) -> &'static str {
    match fact.verdict() {
        FactVerdict::Ok => "OK",
        FactVerdict::MissingOptional => "missing (optional)",
        FactVerdict::MissingRequired => "MISSING (required)",
        FactVerdict::Unspecified => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_stand_below_their_group() {
        let fact = |id: &str, verdict: FactVerdict, detail: &str| HostFact {
            id: id.to_owned(),
            verdict: verdict.into(),
            detail: detail.to_owned(),
        };
        let facts = vec![
            fact("namespace.pid", FactVerdict::Ok, "in the kernel"),
            fact("namespace.user", FactVerdict::MissingOptional, "not in this kernel"),
            fact("cgroup.memory", FactVerdict::MissingRequired, ""),
        ];
        let expected = "\
cgroup
  memory  MISSING (required)

namespace
  pid     OK                  in the kernel
  user    missing (optional)  not in this kernel

Something required is missing: containers cannot run on this node.";
        assert_eq!(text(&CheckHostResponse { facts, ok: false }), expected);
    }
}
