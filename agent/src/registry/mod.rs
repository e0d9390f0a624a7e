//! All containers of the node, by name.
//!
//! The journal decides whether a name is free; the registry only knows the actors. It is also what others observe the node through: the
//! reporter's and the sampler's source.

mod ids;
mod view;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tweendeck_proto::v1;
use uuid::Uuid;

use crate::adoption::{self, Stranger};
use crate::blocking;
use crate::host::Host;
use crate::journal::{Change, Commit, Committed, Journal, JournalError, Record, Request, Restarts};
use crate::lifecycle::{Event, State, step};
use crate::moment::Moment;
use crate::reporter;
use crate::tasks;
use crate::workload::{self, Handle, Namespaces, Observer, Outlook, Surroundings};

pub use view::Filter;

/// All containers of the node. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    around: Surroundings,
    /// Never locked across an await: each use is a look-up, an insert or a copy.
    handles: Mutex<BTreeMap<String, Handle>>,
    /// One create per name at a time, from its transaction until its actor is registered: whoever repeats it then finds the actor.
    turns: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    quarantined: Mutex<Vec<Stranger>>,
    ids: Mutex<ids::Pool>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// The actors' way back to the registry; weak, because the registry owns the actors.
struct Notice {
    registry: Weak<Inner>,
    reporter: reporter::Handle,
}

impl Observer for Notice {
    fn changed(&self, record: &Record) {
        self.reporter.changed(record.name(), urgency(record));
    }

    fn removed(&self, record: &Record) {
        if let Some(inner) = self.registry.upgrade() {
            inner.forget(record);
        }
        self.reporter.changed(record.name(), reporter::Urgency::Urgent);
    }

    fn find(&self, name: &str) -> Option<Arc<Record>> {
        let inner = self.registry.upgrade()?;
        let handle = lock(&inner.handles).get(name).cloned()?;
        Some(handle.view())
    }

    fn take_ids(&self) -> Option<v1::IdRange> {
        let inner = self.registry.upgrade()?;
        lock(&inner.ids).take()
    }

    fn give_back_ids(&self, range: v1::IdRange) {
        if let Some(inner) = self.registry.upgrade() {
            lock(&inner.ids).give_back(range);
        }
    }
}

/// When a new container is to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// When somebody asks for it.
    Later,
    /// At once.
    Now,
}

/// What a create made, or had made before.
#[derive(Debug)]
pub enum Created {
    /// A new container.
    New(Handle, Arc<Record>),
    /// The same request came before; this is the container as it was then.
    Before(Box<v1::Container>),
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new(host: Arc<Host>, journal: Journal, reporter: reporter::Handle) -> Self {
        let ranges = host.id_ranges;
        let inner = Arc::new_cyclic(|registry: &Weak<Inner>| {
            let observer = Arc::new(Notice { registry: registry.clone(), reporter });
            Inner {
                around: Surroundings { host, journal, observer },
                handles: Mutex::default(),
                turns: Mutex::default(),
                quarantined: Mutex::default(),
                ids: Mutex::new(ids::Pool::new(ranges)),
            }
        });
        Self { inner }
    }

    /// Takes over what is stored and what is found on the node. Called once, before anything is served. A store that is new has its containers
    /// looked for in the run directory; an agent that dies in the middle leaves the rest to the next.
    ///
    /// # Errors
    /// [`JournalError`] when the store cannot be read or written.
    pub async fn adopt(&self, recovered: bool) -> Result<(), JournalError> {
        let around = &self.inner.around;
        let (mut records, _) = around.journal.snapshot().await?;
        if !recovered {
            for record in adoption::recover(&around.host) {
                let commit = Commit { change: Change::Recover(Box::new(record)), request: None };
                match around.journal.commit(commit).await {
                    Ok(Committed::Done(record)) => records.push(*record),
                    // An earlier agent came as far as this.
                    Err(JournalError::Exists) => {}
                    Ok(Committed::Repeated(_) | Committed::Reservation(_) | Committed::Noted) => {
                        return Err(JournalError::RequestIdReused);
                    }
                    Err(error) => return Err(error),
                }
            }
            around.journal.mark_recovered().await?;
        }
        let known = records.iter().map(|record| record.name().to_owned()).collect();
        *lock(&self.inner.quarantined) = adoption::quarantine(&around.host, &known);
        {
            let mut ids = lock(&self.inner.ids);
            records
                .iter()
                .filter_map(id_range)
                .chain(adoption::id_ranges(&around.host))
                .for_each(|range| ids.mark(range));
        }
        for record in records {
            let outlook = adoption::look_for(&around.host, &record);
            tracing::info!(container = record.name(), phase = ?record.state.phase, observed = ?outlook.observed, "adopted");
            self.take(record, outlook);
        }
        Ok(())
    }

    /// Makes a container known, durably; with `begin` it is started in the same transaction. A caller that gives up does not undo it.
    ///
    /// # Errors
    /// [`JournalError`]: the name is taken, the node is full, the request id was used for something else, the store refuses.
    pub async fn create(
        &self,
        name: String,
        spec: v1::ContainerSpec,
        reservation: Option<String>,
        request: Option<Request>,
        begin: Begin,
    ) -> Result<Created, JournalError> {
        if let Some(stranger) = self.stranger(&name).await {
            return Err(JournalError::Quarantined(stranger));
        }
        let mut record = self.draft(name, spec);
        if begin == Begin::Now {
            // A container that was just created can always be started; the actor finds it promised and carries it out.
            record.set_state(step(&record.state, &Event::Start).map_or(record.state.clone(), |step| step.next));
        }
        let registry = self.clone();
        // A caller that gives up here has begun nothing, so that repeated calls do not pile up behind the first.
        let turn = self.turn(record.name()).lock_owned().await;
        // Not cancelled with the caller from here on: a container that is durable must have its actor.
        let made = tasks::complete("create", async move {
            let made = registry.write_new(record, reservation, request).await;
            drop(turn);
            made
        });
        made.await?
    }

    /// A container as it would be created now.
    ///
    /// # Errors
    /// [`JournalError`]: what a create would be refused with.
    pub async fn rehearse(
        &self,
        name: String,
        spec: v1::ContainerSpec,
        reservation: Option<String>,
    ) -> Result<Record, JournalError> {
        if let Some(stranger) = self.stranger(&name).await {
            return Err(JournalError::Quarantined(stranger));
        }
        let record = self.draft(name, spec);
        let change = Change::Rehearse { record: Box::new(record.clone()), reservation };
        self.inner.around.journal.commit(Commit { change, request: None }).await?;
        if Namespaces::of(&record.spec()).user.is_private() && lock(&self.inner.ids).is_empty() {
            return Err(JournalError::NoUserIds);
        }
        Ok(record)
    }

    /// What was found at the start under this name and is still there.
    async fn stranger(&self, name: &str) -> Option<String> {
        let found: Vec<Stranger> =
            lock(&self.inner.quarantined).iter().filter(|stranger| stranger.name == name).cloned().collect();
        if found.is_empty() {
            return None;
        }
        let host = self.host().clone();
        let still = blocking::run(move || found.into_iter().find(|stranger| stranger.is_there(&host))).await;
        match still {
            Ok(Some(stranger)) => Some(stranger.to_string()),
            Ok(None) => {
                lock(&self.inner.quarantined).retain(|stranger| stranger.name != name);
                None
            }
            Err(error) => Some(error.to_string()),
        }
    }

    async fn write_new(
        &self,
        mut record: Record,
        reservation: Option<String>,
        request: Option<Request>,
    ) -> Result<Created, JournalError> {
        let range = self.take_ids(&record, request.as_ref()).await?;
        record.status_mut().id_range = range;
        let commit = Commit { change: Change::Create { record: Box::new(record), reservation }, request };
        let committed = self.inner.around.journal.commit(commit).await;
        if !matches!(committed, Ok(Committed::Done(_)))
            && let Some(range) = range
        {
            lock(&self.inner.ids).give_back(range);
        }
        match committed? {
            Committed::Done(record) => {
                let handle = self.take((*record).clone(), Outlook::new_container());
                self.inner.around.observer.changed(&record);
                Ok(Created::New(handle, Arc::new(*record)))
            }
            Committed::Repeated(container) => Ok(Created::Before(container)),
            Committed::Reservation(_) | Committed::Noted => Err(JournalError::RequestIdReused),
        }
    }

    /// Ids for a new container, if it is to have its own.
    async fn take_ids(&self, record: &Record, request: Option<&Request>) -> Result<Option<v1::IdRange>, JournalError> {
        if !Namespaces::of(&record.spec()).user.is_private() {
            return Ok(None);
        }
        let taken = lock(&self.inner.ids).take();
        if taken.is_some() {
            return Ok(taken);
        }
        // What else there is to say about the request goes before that.
        let repeated = match request {
            Some(request) => self.inner.around.journal.request(request.clone()).await?.is_some(),
            None => false,
        };
        match self.get(record.name()) {
            _ if repeated => Ok(None),
            Some(_) => Err(JournalError::Exists),
            None => Err(JournalError::NoUserIds),
        }
    }

    fn turn(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = lock(&self.inner.turns);
        turns.retain(|_, turn| turn.strong_count() > 0);
        match turns.get(name).and_then(Weak::upgrade) {
            Some(turn) => turn,
            None => {
                let turn = Arc::default();
                turns.insert(name.to_owned(), Arc::downgrade(&turn));
                turn
            }
        }
    }

    /// A container as it would be created.
    #[must_use]
    pub fn draft(&self, name: String, spec: v1::ContainerSpec) -> Record {
        let state = State::created(spec.ephemeral);
        let host = &self.inner.around.host;
        let status = v1::ContainerStatus {
            cgroup_path: host.cgroup_path(&name),
            log_dir: host.paths(&name).logs().to_string_lossy().into_owned(),
            ..Default::default()
        };
        let container = v1::Container {
            status: Some(status),
            name,
            uid: Uuid::new_v4().to_string(),
            create_time: Some(std::time::SystemTime::now().into()),
            spec: Some(spec),
            ..Default::default()
        };
        let mut record = Record {
            container,
            state: state.clone(),
            boot_id: host.boot_id.clone(),
            replaced: None,
            since: Moment::now(&host.boot_id),
            restart: Restarts::default(),
            unhealthy: false,
            root: 0,
        };
        record.set_state(state);
        record
    }

    fn take(&self, record: Record, outlook: Outlook) -> Handle {
        let name = record.name().to_owned();
        // Under the lock, so that an actor that ends at once finds itself when it takes itself out.
        let mut handles = lock(&self.inner.handles);
        let handle = workload::start(self.inner.around.clone(), record, outlook);
        handles.insert(name, handle.clone());
        handle
    }

    /// The container of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Handle> {
        lock(&self.inner.handles).get(name).cloned()
    }

    /// Every actor, by name order.
    #[must_use]
    pub fn handles(&self) -> Vec<Handle> {
        lock(&self.inner.handles).values().cloned().collect()
    }

    /// The node.
    #[must_use]
    pub fn host(&self) -> &Arc<Host> {
        &self.inner.around.host
    }

    /// Its memory.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.inner.around.journal
    }

    /// What was found on the node and belongs to no container.
    #[must_use]
    pub fn quarantined(&self) -> Vec<String> {
        lock(&self.inner.quarantined).iter().map(Stranger::to_string).collect()
    }
}

impl Inner {
    /// Drops the actor of a container that is gone, unless the name has a new owner.
    fn forget(&self, record: &Record) {
        let mut handles = lock(&self.handles);
        if handles.get(record.name()).is_some_and(|handle| handle.view().uid() == record.uid()) {
            handles.remove(record.name());
            if let Some(range) = id_range(record) {
                lock(&self.ids).give_back(range);
            }
        }
    }
}

/// The user ids that a container has.
fn id_range(record: &Record) -> Option<v1::IdRange> {
    record.container.status.as_ref().and_then(|status| status.id_range)
}

/// What a scheduler waits for goes out at once: that something runs, is frozen, ended, was killed for memory, is gone.
fn urgency(record: &Record) -> reporter::Urgency {
    use v1::ContainerState as S;
    match record.state.visible() {
        S::Running | S::Frozen | S::Stopped | S::Aborting | S::Restarting => reporter::Urgency::Urgent,
        S::Unspecified | S::Created | S::Starting | S::Freezing | S::Thawed | S::Stopping => reporter::Urgency::Normal,
    }
}

/// A panic of a holder cannot leave these maps half changed, so poison is no reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
