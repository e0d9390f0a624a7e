//! `lxc-ls`: containers, by name.

use std::collections::BTreeMap;
use std::fs;

use regex::Regex;
use tweendeck_lxc::command::List;
use tweendeck_lxc::config::Config;
use tweendeck_proto::v1::{Container, GetStatsRequest, MemoryUsage};

use super::context::{Context, is_active, state};
use super::trouble::Trouble;
use crate::exit;

const FANCY: [&str; 7] = ["NAME", "STATE", "AUTOSTART", "GROUPS", "IPV4", "IPV6", "UNPRIVILEGED"];

/// A container with what is known of it.
struct Row {
    name: String,
    container: Option<Container>,
    config: Option<Config>,
}

impl Row {
    fn state(&self) -> &'static str {
        self.container.as_ref().map_or("STOPPED", state)
    }

    fn one(&self, key: &str) -> Option<String> {
        self.config.as_ref()?.one(key).map(|item| item.value.clone())
    }

    fn groups(&self) -> Vec<String> {
        self.config.as_ref().map(groups).unwrap_or_default()
    }

    fn is_kept(&self) -> bool {
        !self.container.as_ref().and_then(|container| container.spec.as_ref()).is_some_and(|spec| spec.ephemeral)
    }
}

pub(super) async fn run(list: List, context: &mut Context) -> Result<u8, Trouble> {
    let pattern = match &list.regex {
        Some(regex) => Some(
            Regex::new(regex).map_err(|error| Trouble::said(format!("{regex:?} is no regular expression: {error}")))?,
        ),
        None => None,
    };
    let mut rows = rows(context).await?;
    rows.retain(|row| {
        let named = pattern.as_ref().is_none_or(|pattern| pattern.is_match(&row.name));
        let now = row.state();
        // What is frozen counts as running, too, as LXC has it.
        let wanted = |state: &String| match state.as_str() {
            "ACTIVE" => now != "STOPPED",
            "RUNNING" => ["RUNNING", "FROZEN", "FREEZING", "THAWED"].contains(&now),
            other => other == now,
        };
        let stated = list.states.is_empty() || list.states.iter().any(wanted);
        let grouped = list.groups.is_empty() || row.groups().iter().any(|group| list.groups.contains(group));
        named && stated && grouped && (!list.defined || row.is_kept())
    });
    let columns: Vec<String> = match (&list.columns[..], list.fancy) {
        ([], false) => return names(&rows, list.line, context),
        ([], true) => FANCY.map(ToOwned::to_owned).to_vec(),
        (columns, _) => columns.to_vec(),
    };
    let mut table = vec![columns.clone()];
    for row in &rows {
        let memory = memory(row, &columns, context).await;
        table.push(columns.iter().map(|column| cell(row, column, memory.as_ref())).collect());
    }
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| table.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    for row in &table {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$} "));
        context.out.line(cells.collect::<String>())?;
    }
    Ok(exit::OK)
}

/// The groups that a configuration names.
pub(super) fn groups(config: &Config) -> Vec<String> {
    let values = config.all("lxc.group").flat_map(|item| item.value.split(','));
    values.map(|group| group.trim().to_owned()).filter(|group| !group.is_empty()).collect()
}

/// Those that the agent knows, and those that only have a directory.
pub(super) async fn known(context: &Context) -> Result<BTreeMap<String, Option<Container>>, Trouble> {
    let mut known: BTreeMap<String, Option<Container>> =
        context.all().await?.into_iter().map(|container| (container.name.clone(), Some(container))).collect();
    if context.is_local() {
        let entries = fs::read_dir(context.lxcpath()).into_iter().flatten().flatten();
        let defined = entries.filter(|entry| entry.path().join("config").exists());
        let names = defined.filter_map(|entry| entry.file_name().into_string().ok());
        for name in names.filter(|name| super::context::checked(name).is_ok()) {
            known.entry(name).or_default();
        }
    }
    Ok(known)
}

async fn rows(context: &Context) -> Result<Vec<Row>, Trouble> {
    let rows = known(context).await?.into_iter().map(|(name, container)| {
        // One that cannot be read is listed nevertheless.
        let config = context.stored(&name, container.as_ref()).ok().flatten();
        Row { name, container, config }
    });
    Ok(rows.collect())
}

/// One on a line; as wide as the widest, unless it is asked for one on a line.
fn names(rows: &[Row], line: bool, context: &mut Context) -> Result<u8, Trouble> {
    let width = if line { 0 } else { rows.iter().map(|row| row.name.len()).max().unwrap_or(0) };
    for row in rows {
        context.out.line(format!("{:<width$}", row.name))?;
    }
    Ok(exit::OK)
}

async fn memory(row: &Row, columns: &[String], context: &Context) -> Option<MemoryUsage> {
    let asked = columns.iter().any(|column| column == "RAM" || column == "SWAP");
    let runs = row.container.as_ref().is_some_and(is_active);
    if !asked || !runs {
        return None;
    }
    // It may have ended meanwhile.
    context.call(GetStatsRequest { name: row.name.clone() }).await.ok()?.usage?.memory
}

fn cell(row: &Row, column: &str, memory: Option<&MemoryUsage>) -> String {
    let container = row.container.as_ref().filter(|container| is_active(container));
    let mib = |bytes: u64| {
        let hundredths = u128::from(bytes) * 100 / (1 << 20);
        format!("{}.{:02}MB", hundredths / 100, hundredths % 100)
    };
    let found = match column {
        "NAME" => Some(row.name.clone()),
        "STATE" => Some(row.state().to_owned()),
        "PID" => container.and_then(|container| Some(container.status.as_ref()?.pid.to_string())),
        "RAM" => memory.and_then(|memory| memory.current_bytes).map(mib),
        "SWAP" => memory.and_then(|memory| memory.swap_current_bytes).map(mib),
        "AUTOSTART" => Some(u8::from(row.one("lxc.start.auto").is_some_and(|auto| auto == "1")).to_string()),
        "GROUPS" => Some(row.groups().join(", ")).filter(|groups| !groups.is_empty()),
        "UNPRIVILEGED" => {
            let status = row.container.as_ref().and_then(|container| container.status.as_ref());
            Some(status.is_some_and(|status| status.id_range.is_some()).to_string())
        }
        _ => None,
    };
    found.unwrap_or_else(|| "-".to_owned())
}
