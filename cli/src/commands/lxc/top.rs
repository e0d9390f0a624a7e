//! `lxc-top`: what containers use, again and again.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use tokio::time::sleep;
use tweendeck_lxc::command::Top;
use tweendeck_proto::v1::{GetStatsRequest, Usage};

use super::context::{Context, is_active};
use super::info::human;
use super::trouble::Trouble;
use crate::commands::interrupts::Interrupts;
use crate::exit;

/// Seconds between two tables.
const DELAY: u32 = 3;
/// Clears the screen and goes to its first line (ECMA-48).
const CLEAR: &str = "\x1b[H\x1b[2J";

pub(super) async fn run(top: Top, context: &mut Context) -> Result<u8, Trouble> {
    if !top.batch && !std::io::stdout().is_terminal() {
        return Err(Trouble::said("standard output is no terminal: -b prints one table after the other"));
    }
    let mut interrupts = Interrupts::listen()?;
    tokio::select! { biased;
        _ = interrupts.next() => Ok(exit::OK),
        shown = show(&top, context) => shown.map(|()| exit::OK),
    }
}

/// What one container uses.
struct Row {
    name: String,
    usage: Usage,
    /// CPU time since the last table, thousandths of one CPU.
    millis: u64,
}

async fn show(top: &Top, context: &mut Context) -> Result<(), Trouble> {
    let delay = Duration::from_secs(top.delay.unwrap_or(DELAY).into());
    let mut before = BTreeMap::new();
    while !context.out.is_closed() {
        let mut rows = read(context, &mut before, delay).await?;
        sort(&mut rows, top);
        if !top.batch {
            context.out.raw(CLEAR.as_bytes())?;
        }
        context.out.raw(table(&rows).as_bytes())?;
        sleep(delay).await;
    }
    Ok(())
}

async fn read(context: &Context, before: &mut BTreeMap<String, u64>, delay: Duration) -> Result<Vec<Row>, Trouble> {
    let mut rows = Vec::new();
    for container in context.all().await?.into_iter().filter(is_active) {
        // It may have ended meanwhile.
        let Ok(answer) = context.call(GetStatsRequest { name: container.name.clone() }).await else { continue };
        let usage = answer.usage.unwrap_or_default();
        let now = usage.cpu.and_then(|cpu| cpu.usage_ns).unwrap_or(0);
        let spent = before.insert(container.uid.clone(), now).map_or(0, |before| now.saturating_sub(before));
        let millis = u128::from(spent).saturating_mul(1000).checked_div(delay.as_nanos()).unwrap_or(0);
        rows.push(Row { name: container.name, usage, millis: u64::try_from(millis).unwrap_or(u64::MAX) });
    }
    Ok(rows)
}

fn sort(rows: &mut [Row], top: &Top) {
    let memory = |row: &Row| row.usage.memory.unwrap_or_default();
    match top.sort.unwrap_or('n') {
        'c' => rows.sort_by_key(|row| std::cmp::Reverse(row.usage.cpu.and_then(|cpu| cpu.usage_ns))),
        'b' => rows.sort_by_key(|row| std::cmp::Reverse(moved(row))),
        'm' => rows.sort_by_key(|row| std::cmp::Reverse(memory(row).current_bytes)),
        's' => rows.sort_by_key(|row| {
            let memory = memory(row);
            std::cmp::Reverse(memory.current_bytes.unwrap_or(0).saturating_add(memory.swap_current_bytes.unwrap_or(0)))
        }),
        'k' => rows.sort_by_key(|row| std::cmp::Reverse(memory(row).kernel_bytes)),
        _ => rows.sort_by(|a, b| a.name.cmp(&b.name)),
    }
    if top.reverse {
        rows.reverse();
    }
}

/// Bytes to and from disks.
fn moved(row: &Row) -> u64 {
    let both = |io: &tweendeck_proto::v1::DeviceIoUsage| {
        io.read_bytes.unwrap_or(0).saturating_add(io.write_bytes.unwrap_or(0))
    };
    row.usage.io.iter().map(both).fold(0, u64::saturating_add)
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<24} {:>12} {:>8} {:>14} {:>14} {:>14}\n",
        "Container", "CPU Used", "CPU %", "BlkIO", "Mem Used", "KMem Used"
    );
    let or_dash = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), human);
    for row in rows {
        let memory = row.usage.memory.unwrap_or_default();
        let ns = row.usage.cpu.and_then(|cpu| cpu.usage_ns).unwrap_or(0);
        let line = format!(
            "{:<24} {:>9}.{:02} {:>6}.{} {:>14} {:>14} {:>14}\n",
            row.name,
            ns / 1_000_000_000,
            ns / 10_000_000 % 100,
            row.millis / 10,
            row.millis % 10,
            human(moved(row)),
            or_dash(memory.current_bytes),
            or_dash(memory.kernel_bytes),
        );
        text.push_str(&line);
    }
    text.push_str(&format!("TOTAL {}\n", rows.len()));
    text
}
