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

/// Facts about namespaces, whose names scripts look for.
const NAMESPACE: &str = "namespace";

/// As lxc-checkconfig calls one.
fn namespace(kind: &str) -> String {
    let kind = match kind {
        "net" => "network",
        "uts" => "utsname",
        other => other,
    };
    let first = kind.chars().take(1).flat_map(char::to_uppercase);
    format!("{} namespace", first.chain(kind.chars().skip(1)).collect::<String>())
}

/// What containers need of the node's kernel, and whether it is there. LXC's always ends well, and scripts count on that.
pub(super) async fn check_config(context: &mut Context) -> Result<u8, Trouble> {
    context.out.line(format!("LXC version {} (Tweendeck)", env!("CARGO_PKG_VERSION")))?;
    let answer = match context.call(CheckHostRequest {}).await {
        Ok(answer) => answer,
        Err(trouble) => {
            trouble.report(&context.command, "");
            return Ok(exit::OK);
        }
    };
    let mut group = "";
    for fact in &answer.facts {
        let (of, name) = fact.id.split_once('.').unwrap_or((&fact.id, ""));
        if of != group {
            group = of;
            context.out.line(format!("\n--- {} ---", printable(of)))?;
            if of == NAMESPACE {
                context.out.line("Namespaces: enabled")?;
            }
        }
        let verdict = match fact.verdict() {
            FactVerdict::Ok => "enabled",
            FactVerdict::MissingOptional => "missing",
            FactVerdict::MissingRequired => "required, missing",
            FactVerdict::Unspecified => "unknown",
        };
        let name = if of == NAMESPACE { namespace(name) } else { name.to_owned() };
        context.out.line(format!("{}: {verdict}", printable(&name)))?;
    }
    Ok(exit::OK)
}
