//! `lxc-autostart`: those containers that say so, in the order that they say.

use std::time::Duration;

use tokio::time::sleep;
use tweendeck_lxc::command::Autostart;
use tweendeck_lxc::config::Config;
use tweendeck_lxc::translate::Purpose;
use tweendeck_proto::v1::Container;

use super::context::{Context, is_active};
use super::trouble::Trouble;
use super::{console_log, hooks, list, stop};
use crate::exit;

/// A container that may be meant.
struct Candidate {
    name: String,
    container: Option<Container>,
    config: Config,
}

impl Candidate {
    fn number(&self, key: &str) -> i64 {
        self.config.one(key).and_then(|item| item.value.parse().ok()).unwrap_or(0)
    }

    fn groups(&self) -> Vec<String> {
        list::groups(&self.config)
    }

    fn runs(&self) -> bool {
        self.container.as_ref().is_some_and(is_active)
    }
}

pub(super) async fn run(autostart: Autostart, context: &mut Context) -> Result<u8, Trouble> {
    let mut all = candidates(context).await?;
    if all.is_empty() {
        return Ok(exit::FAILED);
    }
    all.retain(|candidate| autostart.ignore_auto || candidate.number("lxc.start.auto") == 1);
    let groups = if autostart.groups.is_empty() { vec![String::new()] } else { autostart.groups.clone() };
    let mut meant: Vec<Candidate> = Vec::new();
    if autostart.all {
        meant = all;
    } else {
        // Group by group, in the order in which they were named; each container once.
        for group in &groups {
            let (now, later): (Vec<_>, Vec<_>) = all.into_iter().partition(|candidate| is_in(candidate, group));
            meant.extend(ordered(now));
            all = later;
        }
    }
    if autostart.all {
        meant = ordered(meant);
    }
    let ends = autostart.shutdown || autostart.kill || autostart.reboot;
    meant.retain(|candidate| candidate.runs() == ends || autostart.list && !ends && !candidate.runs());
    let mut code = exit::OK;
    for candidate in meant {
        let delay = u64::try_from(candidate.number("lxc.start.delay")).unwrap_or(0);
        if autostart.list {
            context.out.line(if ends { candidate.name } else { format!("{} {delay}", candidate.name) })?;
            continue;
        }
        let name = candidate.name.clone();
        // One that fails holds up no other.
        if let Err(trouble) = Box::pin(one(&candidate, &autostart, context)).await {
            trouble.report(&context.command, &name);
            code = exit::FAILED;
        } else if !ends {
            sleep(Duration::from_secs(delay)).await;
        }
    }
    Ok(code)
}

fn is_in(candidate: &Candidate, group: &str) -> bool {
    let groups = candidate.groups();
    if group.is_empty() { groups.is_empty() } else { groups.iter().any(|known| known == group) }
}

/// The lowest first, and by name where nothing else is said.
fn ordered(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    candidates.sort_by(|a, b| (a.number("lxc.start.order"), &a.name).cmp(&(b.number("lxc.start.order"), &b.name)));
    candidates
}

async fn candidates(context: &Context) -> Result<Vec<Candidate>, Trouble> {
    let mut found = Vec::new();
    for (name, container) in list::known(context).await? {
        match context.stored(&name, container.as_ref()) {
            Ok(Some(config)) => found.push(Candidate { name, container, config }),
            Ok(None) => {}
            Err(trouble) => trouble.report(&context.command, &name),
        }
    }
    Ok(found)
}

async fn one(candidate: &Candidate, autostart: &Autostart, context: &Context) -> Result<(), Trouble> {
    if let Some(container) = &candidate.container
        && candidate.runs()
    {
        if autostart.kill {
            stop::kill_all(context, container).await?;
        } else {
            stop::end(context, container, autostart.timeout).await?;
        }
        if !autostart.reboot {
            return Ok(());
        }
    }
    let definition = context.definition(&candidate.name).await?;
    let translated = context.translated(&candidate.name, &candidate.config, Purpose::Start(Vec::new()), false).await?;
    let container = context.prepare(&candidate.name, &definition, translated.spec).await?;
    if let Some(file) = &translated.extras.console_logfile {
        console_log::begin(context, &container, file)?;
    }
    let started = context.begin(&container).await?;
    hooks::after_start(context, &translated.extras.start_host, &started).await
}
