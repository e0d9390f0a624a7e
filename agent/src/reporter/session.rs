//! One connection's life: a lease, everything once, then what changes.

use std::collections::BTreeSet;
use std::time::Duration;

use prost::Message as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tweendeck_proto::etcd::Key;
use tweendeck_proto::v1;

use super::backoff::Backoff;
use super::etcd::{ANSWER, Etcd, EtcdError, Keeper, Write};
use super::notes::Notes;
use super::usage::Sent;
use super::{Inputs, now, stopped};
use crate::causes::causes;
use crate::config;

/// Changes that are not urgent wait this long for company.
const COALESCE: Duration = Duration::from_millis(250);
/// How long until etcd is asked again for what it has refused, and a backoff on top.
const REFUSED: Duration = Duration::from_secs(1);
/// Once in so many signs of life it is looked whether their key is still there; somebody may have deleted it.
const LOOK_EVERY: u32 = 6;
/// Operations in one transaction (etcd's default limit is 128), and bytes (its limit for a request is 1.5 MiB).
const BATCH: (usize, usize) = (100, 512 << 10);

/// Why a session ended before the agent did.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct Ended(#[from] EtcdError);

/// A lease that was alive when it was last heard of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    id: i64,
}

/// What a session needs.
pub(super) struct Session<'a> {
    pub(super) info: &'a v1::NodeInfo,
    pub(super) config: &'a config::Etcd,
    pub(super) inputs: &'a mut Inputs,
    pub(super) notes: &'a Notes,
    pub(super) status: &'a watch::Sender<v1::ReportingStatus>,
    pub(super) lease: &'a mut Option<Lease>,
}

impl Session<'_> {
    /// Reports until the agent goes down (`Ok`) or the connection fails.
    pub(super) async fn run(mut self, endpoint: &str) -> Result<(), Ended> {
        let mut etcd = Etcd::connect(endpoint).await?;
        let alive = Alive {
            key: self.key(|node| Key::Alive { node }),
            value: format!("{} {}", self.info.boot_id, self.info.journal_id),
            journal: self.info.journal_id.clone(),
        };
        let keeper = self.presence(&mut etcd, &alive).await?;
        tracing::info!(endpoint, "reporting to etcd");
        let (ttl, status) = (self.config.lease_ttl, self.status);
        // Side by side, so that no amount of writing starves the lease.
        tokio::select! { biased;
            lost = keep_alive(keeper, alive, etcd.clone(), ttl, status) => return Err(lost.into()),
            ended = self.changes(&mut etcd) => ended?,
        }
        if let Some(lease) = self.lease.take() {
            // Said once; if it is not heard, the lease runs out by itself.
            let _ = timeout(ANSWER, etcd.revoke(lease.id)).await;
        }
        Ok(())
    }

    /// The lease and the key bound to it: the old one if it is still alive, else a new one.
    async fn presence(&mut self, etcd: &mut Etcd, alive: &Alive) -> Result<Keeper, Ended> {
        let kept = match *self.lease {
            Some(lease) => match etcd.keep(lease.id).await {
                Ok(keeper) => Some((keeper, lease)),
                Err(error @ EtcdError::Silent { .. }) => return Err(error.into()),
                Err(EtcdError::Refused { .. } | EtcdError::LeaseLost | EtcdError::NodeTaken(_)) => None,
            },
            None => None,
        };
        if let Some((keeper, lease)) = kept {
            if !alive.is_there(etcd).await? {
                alive.put(etcd, lease).await?;
            }
            return Ok(keeper);
        }
        alive.must_be_free(etcd).await?;
        let lease = Lease { id: etcd.grant(self.config.lease_ttl).await? };
        *self.lease = Some(lease);
        let keeper = etcd.keep(lease.id).await?;
        // Also when it says the same already: it is then bound to the lease of an agent that has been killed, and would go with that.
        alive.put(etcd, lease).await?;
        Ok(keeper)
    }

    /// Writes the node and every container, and removes containers that are not there any more.
    async fn everything(&mut self, etcd: &mut Etcd) -> Result<(), Ended> {
        // Notes left from here on are about states that this pass may not have seen.
        let noted = self.notes.take();
        let result = self.write_everything(etcd).await;
        if result.is_err() {
            self.notes.give_back(noted);
        }
        result
    }

    async fn write_everything(&mut self, etcd: &mut Etcd) -> Result<(), Ended> {
        let names: BTreeSet<String> = self.inputs.source.names().into_iter().collect();
        let mut writes = vec![self.info()];
        writes.extend(names.iter().map(|name| self.container(name)));
        for key in etcd.keys(&Key::container_prefix(&self.info.id)).await? {
            if let Some(Key::Container { name, .. }) = Key::parse(&key)
                && !names.contains(&name)
            {
                // It may have been created since.
                writes.push(self.container(&name));
            }
        }
        self.write(etcd, writes).await
    }

    /// Writes everything, then what changes. What etcd answers no to is tried again later, all of it.
    async fn changes(&mut self, etcd: &mut Etcd) -> Result<(), Ended> {
        let mut backoff = Backoff::default();
        loop {
            match self.until_refused(etcd).await {
                Err(Ended(error)) if error.is_answer() => self.refused(&error),
                ended => return ended,
            }
            let mut stopping = self.inputs.stopping.clone();
            tokio::select! { biased;
                () = stopped(&mut stopping) => return Ok(()),
                () = sleep(REFUSED + backoff.next()) => {}
            }
        }
    }

    async fn until_refused(&mut self, etcd: &mut Etcd) -> Result<(), Ended> {
        self.inputs.info.mark_unchanged();
        self.inputs.usage.mark_changed();
        self.everything(etcd).await?;
        self.stands();
        let mut stopping = self.inputs.stopping.clone();
        let mut sent = Sent::default();
        loop {
            let refresh = sent.refresh_at(self.config.usage_refresh, Instant::now());
            // In this order: what happened counts more than how much is used.
            tokio::select! { biased;
                () = stopped(&mut stopping) => return self.noted(etcd).await,
                () = self.notes.ready(COALESCE) => self.noted(etcd).await?,
                Ok(()) = self.inputs.info.changed() => {
                    let info = self.info();
                    self.write(etcd, vec![info]).await?;
                }
                Ok(()) = self.inputs.usage.changed() => self.usage(etcd, &mut sent).await?,
                () = sleep_until(refresh) => self.usage(etcd, &mut sent).await?,
            }
        }
    }

    fn refused(&self, error: &EtcdError) {
        let (error, pending) = (causes(error), self.notes.count());
        self.status.send_modify(|status| {
            if status.last_error.is_empty() {
                tracing::warn!(error, "etcd refuses to take reports; the lease is kept, trying again");
            }
            status.last_error = error;
            status.pending = pending;
        });
    }

    fn key(&self, of: impl FnOnce(String) -> Key) -> String {
        of(self.info.id.clone()).to_string()
    }

    /// Acts upon the notes there are.
    async fn noted(&mut self, etcd: &mut Etcd) -> Result<(), Ended> {
        let noted = self.notes.take();
        if noted.is_empty() {
            return Ok(());
        }
        let writes = noted.iter().map(|name| self.container(name)).collect();
        let result = self.write(etcd, writes).await;
        match &result {
            Ok(()) => self.stands(),
            Err(_) => self.notes.give_back(noted),
        }
        result
    }

    async fn usage(&mut self, etcd: &mut Etcd, sent: &mut Sent) -> Result<(), Ended> {
        let usage = self.inputs.usage.borrow_and_update().clone();
        let capacity = self.inputs.info.borrow().capacity.unwrap_or_default();
        // Before the first sample there is nothing to say.
        if usage.time.is_none() || !sent.is_due(&usage, &capacity, self.config.usage_refresh, Instant::now()) {
            return Ok(());
        }
        let key = self.key(|node| Key::Usage { node });
        self.write(etcd, vec![Write::Put { key, value: usage.encode_to_vec() }]).await?;
        sent.note(usage, Instant::now());
        Ok(())
    }

    fn info(&self) -> Write {
        let key = self.key(|node| Key::Info { node });
        Write::Put { key, value: self.inputs.info.borrow().encode_to_vec() }
    }

    /// A container as it is now.
    fn container(&self, name: &str) -> Write {
        let key = self.key(|node| Key::Container { node, name: name.to_owned() });
        match self.inputs.source.report(name) {
            Some(report) => Write::Put { key, value: report.encode_to_vec() },
            None => Write::Delete { key },
        }
    }

    async fn write(&self, etcd: &mut Etcd, writes: Vec<Write>) -> Result<(), Ended> {
        for batch in batches(writes) {
            etcd.write(batch).await?;
        }
        Ok(())
    }

    fn stands(&self) {
        let pending = self.notes.count();
        self.status.send_modify(|status| {
            status.connected = true;
            status.last_error.clear();
            status.last_success_time = Some(now());
            status.pending = pending;
        });
    }
}

/// The key that is there as long as the lease.
#[derive(Clone, Debug)]
struct Alive {
    key: String,
    /// Boot id and journal id.
    value: String,
    journal: String,
}

impl Alive {
    async fn put(&self, etcd: &mut Etcd, lease: Lease) -> Result<(), EtcdError> {
        etcd.put_leased(self.key.clone(), self.value.clone().into_bytes(), lease.id).await
    }

    async fn is_there(&self, etcd: &mut Etcd) -> Result<bool, EtcdError> {
        Ok(etcd.get(self.key.clone()).await?.is_some_and(|found| found == self.value.as_bytes()))
    }

    /// Somebody else's sign of life under this node's id is either an agent's that was given the same id, or an earlier one's, which runs out.
    async fn must_be_free(&self, etcd: &mut Etcd) -> Result<(), EtcdError> {
        match etcd.get(self.key.clone()).await? {
            // Of this journal: an earlier life of this agent, perhaps before a reboot.
            Some(found) if !found.ends_with(self.journal.as_bytes()) => {
                Err(EtcdError::NodeTaken(String::from_utf8_lossy(&found).into_owned()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Keeps the lease alive, and looks now and then whether its key still is there; ends when either is not.
async fn keep_alive(
    mut keeper: Keeper,
    alive: Alive,
    mut etcd: Etcd,
    ttl: Duration,
    status: &watch::Sender<v1::ReportingStatus>,
) -> EtcdError {
    for beat in 1_u32.. {
        // A third of the TTL, a tenth more or less.
        sleep(ttl.mul_f64(rand::random_range(0.3..0.366))).await;
        if let Err(error) = keeper.beat().await {
            return error;
        }
        if beat % LOOK_EVERY == 0 {
            match alive.is_there(&mut etcd).await {
                Ok(true) => {}
                Ok(false) => return EtcdError::LeaseLost,
                Err(error) if error.is_answer() => {}
                Err(error) => return error,
            }
        }
        status.send_modify(|status| status.last_success_time = Some(now()));
    }
    EtcdError::LeaseLost
}

/// Writes in groups that etcd takes in one transaction.
fn batches(writes: Vec<Write>) -> Vec<Vec<Write>> {
    let mut batches: Vec<Vec<Write>> = Vec::new();
    let mut room = (0, 0);
    for write in writes {
        let size = write.size();
        match batches.last_mut().filter(|_| room.0 > 0 && room.1 >= size) {
            Some(batch) => batch.push(write),
            None => {
                batches.push(vec![write]);
                room = BATCH;
            }
        }
        room = (room.0 - 1, room.1.saturating_sub(size));
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn batches_keep_order_and_bounds(sizes in proptest::collection::vec(0_usize..300_000, 0..400)) {
            let writes: Vec<_> = sizes.iter().enumerate()
                .map(|(number, size)| Write::Put { key: number.to_string(), value: vec![0; *size] })
                .collect();
            let batches = batches(writes.clone());
            for batch in &batches {
                proptest::prop_assert!(!batch.is_empty() && batch.len() <= BATCH.0);
                let bytes: usize = batch.iter().map(Write::size).sum();
                proptest::prop_assert!(bytes <= BATCH.1 || batch.len() == 1);
            }
            proptest::prop_assert_eq!(batches.concat(), writes);
        }
    }
}
