//! `lxc-wait`: until a container is in one of some states.

use std::time::Duration;

use tweendeck_proto::v1::watch_containers_response::Item;
use tweendeck_proto::v1::{ChangeKind, WatchContainersRequest};

use super::context::{Context, state};
use super::trouble::Trouble;
use crate::commands::following::Following;
use crate::exit;

pub(super) async fn run(
    name: &str,
    states: &[String],
    timeout: Option<Duration>,
    context: &mut Context,
) -> Result<u8, Trouble> {
    super::context::checked(name)?;
    let reached = |found: &str| states.iter().any(|wanted| wanted == found);
    // What nobody knows does not run.
    let now = context.find(name).await?;
    if reached(now.as_ref().map_or("STOPPED", state)) {
        return Ok(exit::OK);
    }
    let over = || Trouble::said(format!("it was not {} in time", states.join(" or ")));
    match timeout {
        Some(Duration::ZERO) => Err(over()),
        Some(limit) => tokio::time::timeout(limit, until(name, &reached, context)).await.map_err(|_| over())?,
        None => until(name, &reached, context).await,
    }
}

/// Watches from what is now, so that no state is missed between two looks.
async fn until(name: &str, reached: &impl Fn(&str) -> bool, context: &Context) -> Result<u8, Trouble> {
    let mut following = Following::default();
    let mut request = WatchContainersRequest { name: name.to_owned(), ..Default::default() };
    loop {
        let broken = match context.agent.watch(request.clone()).await {
            Ok(mut items) => {
                following.opened();
                loop {
                    match items.message().await {
                        Ok(Some(response)) => {
                            following.heard();
                            request.resume_token = response.resume_token;
                            if response.item.as_ref().is_some_and(|item| reached(seen(item))) {
                                return Ok(exit::OK);
                            }
                        }
                        Ok(None) => break tonic::Status::unavailable("the agent ended the watch"),
                        Err(status) => break status,
                    }
                }
            }
            Err(status) => status,
        };
        following.survive(&context.agent, broken, "").await?;
    }
}

/// The state that an item shows; none of any that can be waited for if it shows none.
fn seen(item: &Item) -> &'static str {
    match item {
        Item::Snapshot(container) => state(container),
        Item::Change(change) => {
            let deleted = change.kind() == ChangeKind::Deleted;
            change.container.as_ref().map_or("STOPPED", |container| if deleted { "STOPPED" } else { state(container) })
        }
        Item::SnapshotEnd(_) | Item::Bookmark(_) | Item::Gap(_) => "",
    }
}
