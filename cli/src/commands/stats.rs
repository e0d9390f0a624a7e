//! `stats`: what containers use, over an interval.

use std::collections::BTreeSet;

use tokio::time::sleep;
use tweendeck_proto::v1::{ContainerState, ErrorReason, GetStatsRequest, GetStatsResponse, ListContainersRequest};

use super::interrupts::Interrupts;
use super::{ls, usage};
use crate::agent::Agent;
use crate::args::StatsArgs;
use crate::exit;
use crate::failure::Failure;
use crate::output::Printer;
use crate::refusal;

pub(super) async fn run(args: StatsArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let mut reader = Reader { agent, names: args.names, complained: BTreeSet::new() };
    if !args.watch {
        if out.is_json() {
            // Counters as they are: an interval would add nothing.
            print_items(&reader.read().await?, out)?;
        } else {
            let before = reader.read().await?;
            sleep(args.interval).await;
            out.line(usage::table(&before, &reader.read().await?))?;
        }
        return Ok(if reader.complained.is_empty() { exit::OK } else { exit::FAILED });
    }
    let mut interrupts = Interrupts::listen()?;
    tokio::select! { biased;
        _ = interrupts.next() => Ok(exit::OK),
        result = follow(&mut reader, args.interval, out) => result.map(|()| exit::OK),
    }
}

/// Prints a table for each interval, until nobody reads it.
async fn follow(reader: &mut Reader<'_>, interval: std::time::Duration, out: &mut Printer) -> Result<(), Failure> {
    let mut before = reader.read().await?;
    while !out.is_closed() {
        if out.is_json() {
            print_items(&before, out)?;
        }
        sleep(interval).await;
        let now = reader.read().await?;
        if !out.is_json() {
            out.line(format!("{}\n", usage::table(&before, &now)))?;
        }
        before = now;
    }
    Ok(())
}

fn print_items(answers: &[GetStatsResponse], out: &mut Printer) -> Result<(), Failure> {
    answers.iter().try_for_each(|answer| out.item(answer, |_| None::<&str>))
}

/// Reads the usage of the containers that were named, or of all that run.
struct Reader<'a> {
    agent: &'a Agent,
    names: Vec<String>,
    /// The named containers that cannot be read at present, so that each is told of once.
    complained: BTreeSet<String>,
}

impl Reader<'_> {
    async fn read(&mut self) -> Result<Vec<GetStatsResponse>, Failure> {
        let names = if self.names.is_empty() { self.running().await? } else { self.names.clone() };
        let mut answers = Vec::new();
        for name in names {
            match self.agent.call(GetStatsRequest { name: name.clone() }).await {
                Ok(answer) => {
                    self.complained.remove(&name);
                    answers.push(answer);
                }
                Err(failure) if failure.is_final() => return Err(failure),
                // It ended after it was listed.
                Err(failure) if self.names.is_empty() && is_gone(&failure) => {}
                Err(failure) => {
                    if self.complained.insert(name.clone()) {
                        refusal::report(&failure, Some(&name));
                    }
                }
            }
        }
        Ok(answers)
    }

    async fn running(&self) -> Result<Vec<String>, Failure> {
        let live = [ContainerState::Running, ContainerState::Freezing, ContainerState::Frozen, ContainerState::Thawed];
        let states = live.map(i32::from).to_vec();
        let answer = ls::list(self.agent, ListContainersRequest { states, ..Default::default() }).await?;
        Ok(answer.containers.into_iter().map(|container| container.name).collect())
    }
}

fn is_gone(failure: &Failure) -> bool {
    matches!(failure.reason(), Some(ErrorReason::WrongState | ErrorReason::ContainerNotFound))
}
