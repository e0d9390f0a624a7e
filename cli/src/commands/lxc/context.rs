//! What every command has: the agent, the place of containers' directories, and how to look containers up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use tweendeck_lxc::command::Common;
use tweendeck_proto::v1::{Container, ContainerState, ErrorReason, GetContainerRequest, ListContainersRequest};

use super::trouble::{Trouble, log_to, say};
use crate::agent::{Address, Agent, Call, DEFAULT_ADDRESS};
use crate::args::Format;
use crate::failure::Failure;
use crate::output::Printer;

/// How long a container's removal may take until it is no more waited for: its log waits for its readers.
const REMOVAL: Duration = Duration::from_secs(15);
/// Between two looks at that: at first, and then.
const LOOK: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(10));
/// Containers that are asked for at a time.
const PAGE: i32 = 1000;

/// What every command has.
pub(crate) struct Context {
    /// The command's name, for what is said.
    pub(crate) command: String,
    pub(crate) agent: Agent,
    pub(crate) common: Common,
    pub(crate) out: Printer,
    lxcpath: PathBuf,
}

impl Context {
    pub(crate) fn new(command: &str, common: Common, host: Option<Address>) -> Result<Self, Trouble> {
        if let Some(file) = &common.logfile {
            log_to(file)?;
        }
        let said = common.host.clone().or_else(|| std::env::var("TWEEN_HOST").ok());
        let address = match (&said, host) {
            (Some(said), _) => said.parse().map_err(|why| Trouble::said(format!("the address {said:?} {why}")))?,
            (None, Some(host)) => host,
            (None, None) => DEFAULT_ADDRESS.parse().map_err(Trouble::said)?,
        };
        let lxcpath = match &common.lxcpath {
            Some(path) => PathBuf::from(path),
            None => PathBuf::from(super::config::of_system()?.lxcpath()),
        };
        let lxcpath =
            std::path::absolute(&lxcpath).map_err(|error| Trouble::said(format!("{}: {error}", lxcpath.display())))?;
        Ok(Self {
            command: command.to_owned(),
            agent: Agent::new(address, None),
            common,
            out: Printer::new(Format::Table)?,
            lxcpath,
        })
    }

    /// Whether files of this machine are the node's.
    pub(crate) fn is_local(&self) -> bool {
        match self.agent.address() {
            Address::Unix(_) => true,
            Address::Http(_) => false,
        }
    }

    /// Where containers' directories are.
    pub(crate) fn lxcpath(&self) -> &Path {
        &self.lxcpath
    }

    /// A container's directory, there or not.
    pub(crate) fn directory(&self, name: &str) -> Result<PathBuf, Trouble> {
        Ok(self.lxcpath.join(checked(name)?))
    }

    /// Says something about a container.
    pub(crate) fn say(&self, name: &str, text: &str) {
        if !self.common.quiet {
            say(&self.command, name, text);
        }
    }

    pub(crate) async fn call<C: Call>(&self, request: C) -> Result<C::Answer, Trouble> {
        Ok(Box::pin(self.agent.call(request)).await?)
    }

    /// A container of that name, if there is one.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<Container>, Trouble> {
        let request = GetContainerRequest { name: checked(name)?.to_owned() };
        match self.agent.call(request).await {
            Ok(answer) => Ok(Some(answer.container.ok_or(Failure::Incomplete("container"))?)),
            Err(failure) if failure.reason() == Some(ErrorReason::ContainerNotFound) => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// The same; of one that is about to be deleted, what is there when that is done.
    pub(crate) async fn settled(&self, name: &str) -> Result<Option<Container>, Trouble> {
        let begun = Instant::now();
        let mut pause = LOOK.0;
        loop {
            let found = self.find(name).await?;
            let goes = found.as_ref().is_some_and(|container| {
                container.status.as_ref().is_some_and(|status| status.deleting) && !is_active(container)
            });
            if !goes || begun.elapsed() >= REMOVAL {
                return Ok(found);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK.1);
        }
    }

    /// All containers, by name.
    pub(crate) async fn all(&self) -> Result<Vec<Container>, Trouble> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListContainersRequest { page_size: PAGE, page_token, ..Default::default() };
            let answer = self.call(request).await?;
            all.extend(answer.containers);
            if answer.next_page_token.is_empty() {
                return Ok(all);
            }
            page_token = answer.next_page_token;
        }
    }
}

/// A name that can be a container's: it is a part of paths, too.
pub(crate) fn checked(name: &str) -> Result<&str, Trouble> {
    let mut bytes = name.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if begins && rest && name.len() <= 63 {
        return Ok(name);
    }
    Err(Trouble::said(format!(
        "{name:?} is no name of a container: a letter or digit, then up to 62 of A-Z a-z 0-9 _ . -"
    )))
}

/// The state, of those that LXC has: what was never started is stopped, as is what waits for its next start.
pub(crate) fn state(container: &Container) -> &'static str {
    match container.status.as_ref().map(tweendeck_proto::v1::ContainerStatus::state).unwrap_or_default() {
        ContainerState::Unspecified
        | ContainerState::Created
        | ContainerState::Stopped
        | ContainerState::Restarting => "STOPPED",
        ContainerState::Starting => "STARTING",
        ContainerState::Running => "RUNNING",
        ContainerState::Freezing => "FREEZING",
        ContainerState::Frozen => "FROZEN",
        ContainerState::Thawed => "THAWED",
        ContainerState::Stopping => "STOPPING",
        ContainerState::Aborting => "ABORTING",
    }
}

/// Whether something of it runs.
pub(crate) fn is_active(container: &Container) -> bool {
    state(container) != "STOPPED"
}
