//! The task `holder`: a scope whose holder has been killed would go away with its last container, so a new holder is put in.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tweendeck_runtime::hold::Holder;

use super::scope::{self, Scope};
use crate::causes::causes;
use crate::host::Host;
use crate::{pollable, tasks};

/// Between two attempts to get a holder.
const RETRY: Duration = Duration::from_secs(2);

/// Keeps the scope held until it is dropped. The holder lives on: that is what it is for.
#[derive(Debug)]
pub struct Keeper(AbortHandle);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Watches the holder, and replaces it when it ends.
#[must_use]
pub fn keep(host: Arc<Host>, scope: Scope, holder: Holder) -> Keeper {
    Keeper(tasks::spawn("holder", async move {
        let mut holder = holder;
        loop {
            if let Err(error) = end(holder).await {
                tracing::error!(%error, scope = scope.unit, "watch the holder; the next agent does");
                return;
            }
            tracing::warn!(scope = scope.unit, "the holder has ended; another takes its place");
            holder = replace(&host, &scope).await;
        }
    }))
}

async fn end(holder: Holder) -> std::io::Result<()> {
    let mut holder = pollable::readable(holder)?;
    drop(holder.readable().await?);
    holder.get_mut().reap();
    Ok(())
}

async fn replace(host: &Host, scope: &Scope) -> Holder {
    loop {
        match scope::ensure(scope, &host.hierarchies, &host.runtime).await {
            Ok((_, holder)) => return holder,
            Err(error) => tracing::warn!(error = causes(&error), scope = scope.unit, "get a holder"),
        }
        tokio::time::sleep(RETRY).await;
    }
}
