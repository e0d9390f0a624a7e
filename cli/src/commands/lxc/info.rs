//! `lxc-info`: what a container is, uses, and is configured to be.

use tweendeck_lxc::command::Info;
use tweendeck_proto::v1::{Container, GetStatsRequest, Usage};

use super::context::{Context, is_active, state};
use super::trouble::Trouble;
use crate::exit;

pub(super) async fn run(info: Info, context: &mut Context) -> Result<u8, Trouble> {
    let name = &info.name;
    let definition = context.definition(name).await?;
    if definition.is_unknown() {
        return Err(Trouble::said(format!("{name} doesn't exist")));
    }
    for key in &info.items {
        let values = definition.stored.as_ref().and_then(|config| config.item_text(key));
        match values {
            Some(values) if info.no_humanize => context.out.line(values.join("\n"))?,
            Some(values) => context.out.line(format!("{key} = {}", values.join("\n")))?,
            None => context.out.line(format!("{key} invalid"))?,
        }
    }
    let everything = !(info.ips || info.pid || info.state || info.stats);
    if everything && !info.items.is_empty() {
        return Ok(exit::OK);
    }
    let container = definition.container;
    let now = container.as_ref().map_or("STOPPED", state);
    // The value alone where one thing is asked for.
    let one = [info.ips, info.pid, info.state].into_iter().filter(|asked| *asked).count() == 1 && !info.stats;
    let mut lines = Lines { raw: info.no_humanize, bare: info.no_humanize && one, all: Vec::new() };
    if everything {
        lines.add("Name", name.clone());
    }
    if everything || info.state {
        lines.add("State", now.to_owned());
    }
    if let Some(container) = container.filter(is_active) {
        if everything || info.pid {
            lines.add("PID", pid(&container).to_string());
        }
        if everything || info.stats {
            let usage = context.call(GetStatsRequest { name: name.clone() }).await?.usage.unwrap_or_default();
            lines.usage(&usage);
        }
    }
    context.out.raw(lines.all.concat().as_bytes())?;
    Ok(exit::OK)
}

/// PID of its first process on the node: of the init, or of the command where that is the first.
fn pid(container: &Container) -> i32 {
    container.status.as_ref().map_or(0, |status| status.pid)
}

struct Lines {
    /// Numbers as they are.
    raw: bool,
    /// Without what they are.
    bare: bool,
    all: Vec<String>,
}

impl Lines {
    fn add(&mut self, what: &str, value: String) {
        let label = format!("{what}:");
        self.all.push(if self.bare { format!("{value}\n") } else { format!("{label:<15} {value}\n") });
    }

    /// What the node does not count is left out.
    fn usage(&mut self, usage: &Usage) {
        let raw = self.raw;
        let bytes = |bytes: u64| if raw { bytes.to_string() } else { human(bytes) };
        if let Some(ns) = usage.cpu.and_then(|cpu| cpu.usage_ns) {
            let seconds = format!("{}.{:02} seconds", ns / 1_000_000_000, ns / 10_000_000 % 100);
            self.add("CPU use", if raw { ns.to_string() } else { seconds });
        }
        let moved: u64 =
            usage.io.iter().map(|io| io.read_bytes.unwrap_or(0).saturating_add(io.write_bytes.unwrap_or(0))).sum();
        self.add("BlkIO use", bytes(moved));
        let memory = usage.memory.unwrap_or_default();
        if let Some(used) = memory.current_bytes {
            self.add("Memory use", bytes(used));
        }
        if let Some(used) = memory.kernel_bytes {
            self.add("KMem use", bytes(used));
        }
    }
}

/// Bytes as LXC writes them: `652.00 KiB`.
pub(super) fn human(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = None;
    let (mut whole, mut hundredths) = (bytes, 0);
    for next in units {
        if whole < 1024 {
            break;
        }
        hundredths = (whole % 1024) * 100 / 1024;
        whole /= 1024;
        unit = Some(next);
    }
    unit.map_or_else(|| format!("{bytes} bytes"), |unit| format!("{whole}.{hundredths:02} {unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_lxc_does() {
        let cases = [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (667_648, "652.00 KiB"),
            (1 << 20, "1.00 MiB"),
            (1_572_864, "1.50 MiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(human(bytes), text);
        }
    }
}
