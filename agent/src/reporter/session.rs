//! One connection's life: a lease, everything once, then what changes.

use std::collections::BTreeSet;
use std::time::Duration;

use prost::Message as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tweendeck_proto::etcd::Key;
use tweendeck_proto::v1;

use super::etcd::{ANSWER, Etcd, EtcdError, Keeper, Write};
use super::notes::Notes;
use super::usage::Sent;
use super::{Inputs, now, stopped};
use crate::config;

/// Changes that are not urgent wait this long for company.
const COALESCE: Duration = Duration::from_millis(250);
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
    pub(super) node: &'a str,
    pub(super) boot_id: &'a str,
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
        let mut keeper = self.presence(&mut etcd).await?;
        self.inputs.info.mark_unchanged();
        self.inputs.usage.mark_changed();
        self.everything(&mut etcd).await?;
        tracing::info!(endpoint, lease = format_args!("{:x}", keeper.1.id), "reporting to etcd");
        self.stands();
        self.changes(&mut etcd, &mut keeper.0).await?;
        if let Some(lease) = self.lease.take() {
            // Said once; if it is not heard, the lease runs out by itself.
            let _ = timeout(ANSWER, etcd.revoke(lease.id)).await;
        }
        Ok(())
    }

    /// The lease and the key bound to it: the old one if it is still alive, else a new one.
    async fn presence(&mut self, etcd: &mut Etcd) -> Result<(Keeper, Lease), Ended> {
        let kept = match *self.lease {
            Some(lease) => match etcd.keep(lease.id).await {
                Ok(keeper) => Some((keeper, lease)),
                Err(EtcdError::Silent { step }) => return Err(EtcdError::Silent { step }.into()),
                Err(EtcdError::Refused { .. } | EtcdError::LeaseLost) => None,
            },
            None => None,
        };
        let (keeper, lease) = match kept {
            Some(kept) => kept,
            None => {
                let lease = Lease { id: etcd.grant(self.config.lease_ttl).await? };
                *self.lease = Some(lease);
                (etcd.keep(lease.id).await?, lease)
            }
        };
        let key = Key::Alive { node: self.node.to_owned() }.to_string();
        etcd.put_leased(key, format!("{} {:x}", self.boot_id, lease.id).into_bytes(), lease.id).await?;
        Ok((keeper, lease))
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
        for key in etcd.keys(&Key::container_prefix(self.node)).await? {
            if let Some(Key::Container { name, .. }) = Key::parse(&key)
                && !names.contains(&name)
            {
                // It may have been created since.
                writes.push(self.container(&name));
            }
        }
        self.write(etcd, writes).await
    }

    /// Writes what changes, and keeps the lease alive.
    async fn changes(&mut self, etcd: &mut Etcd, keeper: &mut Keeper) -> Result<(), Ended> {
        let mut stopping = self.inputs.stopping.clone();
        let mut sent = Sent::default();
        let mut beat = self.next_beat();
        loop {
            let refresh = sent.refresh_at(self.config.usage_refresh, Instant::now());
            // In this order: the lease must not starve, and what happened counts more than how much is used.
            tokio::select! { biased;
                () = stopped(&mut stopping) => return self.noted(etcd).await,
                () = sleep_until(beat) => {
                    keeper.beat().await?;
                    beat = self.next_beat();
                    self.stands();
                }
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

    /// A third of the TTL, a tenth more or less.
    fn next_beat(&self) -> Instant {
        Instant::now() + self.config.lease_ttl.mul_f64(rand::random_range(0.3..0.366))
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
        let key = Key::Usage { node: self.node.to_owned() }.to_string();
        self.write(etcd, vec![Write::Put { key, value: usage.encode_to_vec() }]).await?;
        sent.note(usage, Instant::now());
        Ok(())
    }

    fn info(&self) -> Write {
        let key = Key::Info { node: self.node.to_owned() }.to_string();
        Write::Put { key, value: self.inputs.info.borrow().encode_to_vec() }
    }

    /// A container as it is now.
    fn container(&self, name: &str) -> Write {
        let key = Key::Container { node: self.node.to_owned(), name: name.to_owned() }.to_string();
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
