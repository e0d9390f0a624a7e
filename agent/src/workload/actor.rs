//! The actor's loop: one thing at a time, facts before wishes.

use std::collections::{HashMap, VecDeque};
use std::future;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use tweendeck_proto::state;
use tweendeck_runtime::control::Status;

use super::command::{Accepted, Command, CommandError};
use super::freezer::FreezerRequest;
use super::hooks::{self, Hooking};
use super::link::{self, Link, News};
use super::purge;
use super::resize::{self, Resizing};
use super::unpack::{self, Unpacking};
use super::unstored::Unstored;
use super::{Handle, Surroundings};
use crate::journal::{self, Change, Commit, Committed, JournalError, Record, Request};
use crate::lifecycle::{Effect, Event, Observed, Phase, Resumption, State, resume, step};
use crate::probe::{self, Probing};
use crate::tasks;

/// Commands that may wait for one container before callers are told `Busy`.
const QUEUE: usize = 64;

/// What a new actor finds of its container on the node.
#[derive(Debug)]
pub struct Outlook {
    /// The supervisor's connection, if there is one.
    pub link: Option<Link>,
    /// What else was found.
    pub observed: Observed,
}

impl Outlook {
    /// Of a container that was just created.
    #[must_use]
    pub fn new_container() -> Self {
        Self { link: None, observed: Observed::Unlaunched }
    }
}

/// Starts the actor of a durable record.
#[must_use]
pub fn start(around: Surroundings, record: Record, outlook: Outlook) -> Handle {
    let (sender, commands) = mpsc::channel(QUEUE);
    let (view_sender, view) = watch::channel(Arc::new(record.clone()));
    let followers = Arc::new(watch::Sender::new(()));
    let actor = Actor {
        around,
        record,
        view: view_sender,
        link: outlook.link,
        todo: VecDeque::new(),
        signals: HashMap::new(),
        freezer: None,
        freezing: None,
        grace_over: None,
        restart_at: None,
        retry: None,
        failures: 0,
        look_again: None,
        unstored: None,
        resizing: None,
        unpacking: None,
        followers: followers.clone(),
        purge_by: None,
        hooking: None,
        probing: None,
        amend: None,
        amend_after: Instant::now(),
    };
    tasks::spawn("container", actor.run(commands, outlook.observed));
    Handle { commands: sender, view, followers }
}

pub(super) struct Actor {
    pub(super) around: Surroundings,
    /// The container as it last was durable.
    pub(super) record: Record,
    view: watch::Sender<Arc<Record>>,
    pub(super) link: Option<Link>,
    /// Effects of durable steps, still to be carried out.
    pub(super) todo: VecDeque<Effect>,
    /// Signals on their way, by the id the supervisor will answer with.
    pub(super) signals: HashMap<u64, PendingSignal>,
    /// The freeze or thaw that was asked of the supervisor last, by the same.
    pub(super) freezer: Option<(u64, FreezerRequest)>,
    /// Who asked for the freeze that is under way.
    pub(super) freezing: Option<Request>,
    pub(super) grace_over: Option<Instant>,
    /// When it is started again.
    pub(super) restart_at: Option<Instant>,
    /// An effect to be tried again, and when.
    pub(super) retry: Option<(Instant, Effect)>,
    /// How often the present effect has failed in a row.
    pub(super) failures: u32,
    /// The supervisor is to be looked for (again) then; set while the container may have one and there is no link to it.
    pub(super) look_again: Option<Instant>,
    /// A fact that the store has refused so far. Until it is stored nothing else is decided.
    pub(super) unstored: Option<Unstored>,
    /// Limits that are on their way to the kernel.
    pub(super) resizing: Option<Resizing>,
    /// Its root, which is being unpacked before the launch.
    pub(super) unpacking: Option<Unpacking>,
    /// Has a receiver for each who follows its log.
    pub(super) followers: Arc<watch::Sender<()>>,
    /// Its files are to be removed when nobody follows its log any more, or then.
    pub(super) purge_by: Option<Instant>,
    /// Hooks that are run before the launch, or after the end.
    pub(super) hooking: Option<Hooking>,
    /// Its probes, while it runs.
    pub(super) probing: Option<Probing>,
    /// News of the supervisor that repeat what is known but for numbers, and when they are written down.
    pub(super) amend: Option<(Instant, Box<Status>)>,
    /// Numbers are not written down again before then.
    pub(super) amend_after: Instant,
}

/// A signal that has been sent and not yet answered.
pub(super) struct PendingSignal {
    pub(super) request: Option<Request>,
    /// Whoever asked, and whoever repeated the same request meanwhile.
    pub(super) replies: Vec<oneshot::Sender<Result<Accepted, CommandError>>>,
}

/// The journal is closed: the agent is going down, and so is the actor.
#[derive(Debug)]
pub(super) struct ShuttingDown;

impl Actor {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, observed: Observed) {
        if self.resume(observed).await.is_err() {
            return;
        }
        loop {
            match Box::pin(self.turn(&mut commands)).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(ShuttingDown) => return,
            }
        }
        self.around.observer.removed(&self.record);
    }

    async fn resume(&mut self, observed: Observed) -> Result<(), ShuttingDown> {
        match resume(&self.record.state, observed) {
            Resumption::Effects(effects) => {
                for effect in effects {
                    self.todo.push_back(self.what_is_left_of(effect));
                }
                if observed == Observed::Supervised && self.link.is_none() {
                    self.look_again = Some(Instant::now());
                }
                Ok(())
            }
            Resumption::Event(_) => self.ended().await,
        }
    }

    /// A grace period began when the stop was written down, not when this agent found it.
    fn what_is_left_of(&self, effect: Effect) -> Effect {
        let Effect::ArmGrace(grace) = effect else { return effect };
        Effect::ArmGrace(grace.saturating_sub(self.now().since(&self.record.since)))
    }

    /// One turn; `false` when the container is gone.
    async fn turn(&mut self, commands: &mut mpsc::Receiver<Command>) -> Result<bool, ShuttingDown> {
        if self.unstored.is_some() {
            return Box::pin(self.wait_for_the_store(commands)).await;
        }
        if let Some(effect) = self.todo.pop_front() {
            // What is done now and then takes no room in every container's task.
            Box::pin(self.carry_out(effect)).await?;
            return Ok(true);
        }
        if self.record.state.phase == Phase::Removed {
            return Ok(false);
        }
        self.attend();
        let (grace_over, retry_at) = (self.grace_over, self.retry.as_ref().map(|(at, _)| *at));
        let (restart_at, purge_by) = (self.restart_at, self.purge_by);
        let (look_again, amend_at) = (self.look_again, self.amend.as_ref().map(|(at, _)| *at));
        // In this order: what has happened counts before what time says, and both before what callers wish,
        // so that a wish is judged by the latest state.
        tokio::select! { biased;
            news = link::next(&mut self.link) => Box::pin(self.news(news)).await?,
            outcome = resize::outcome(&mut self.resizing) => Box::pin(self.resized(outcome)).await?,
            outcome = unpack::outcome(&mut self.unpacking) => self.unpacked(outcome).await?,
            outcome = hooks::outcome(&mut self.hooking) => Box::pin(self.hooked(outcome)).await?,
            verdict = probe::next(&mut self.probing) => Box::pin(self.probed(verdict)).await?,
            () = at(grace_over) => {
                self.grace_over = None;
                self.happened(Event::GraceOver, |_| {}).await?;
            }
            () = at(restart_at) => self.restart().await?,
            () = at(look_again) => self.look_for_supervisor().await?,
            () = at(amend_at) => Box::pin(self.amend_now()).await?,
            () = purge::due(purge_by, &self.followers) => Box::pin(self.purge()).await?,
            () = at(retry_at) => self.todo.extend(self.retry.take().map(|(_, effect)| effect)),
            command = commands.recv() => match command {
                // Boxed: it holds records, which are large.
                Some(command) => Box::pin(self.command(command)).await?,
                // Every handle is gone; the registry keeps one as long as the container exists.
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    async fn news(&mut self, news: News) -> Result<(), ShuttingDown> {
        match news {
            News::Status(status) => self.status(&status).await,
            News::Reply { id, error } => self.answered(id, error).await,
            News::Closed => {
                self.hung_up();
                self.look_for_supervisor().await
            }
        }
    }

    /// There is no connection to the supervisor any more. That says nothing about the container.
    pub(super) fn hung_up(&mut self) {
        self.link = None;
        self.freezer = None;
        self.give_up_signals("the connection to its supervisor was lost; it may or may not have been delivered");
        self.look_again = Some(Instant::now());
    }

    /// Takes an event that has happened: it is made durable however long that takes, then its effects are queued.
    pub(super) async fn happened(&mut self, event: Event, amend: impl FnOnce(&mut Record)) -> Result<(), ShuttingDown> {
        let decision = match step(&self.record.state, &event) {
            Ok(decision) => decision,
            Err(refusal) => {
                tracing::debug!(container = self.record.name(), ?event, phase = ?self.record.state.phase, %refusal, "event ignored");
                return Ok(());
            }
        };
        let mut next = self.record.clone();
        amend(&mut next);
        next.set_state(decision.next);
        if next == self.record {
            self.todo.extend(decision.effects);
            return Ok(());
        }
        self.store(next, decision.effects).await
    }

    /// Makes `next` durable and publishes it. `None`: the request had been committed before.
    pub(super) async fn commit(
        &mut self,
        mut next: Record,
        request: Option<Request>,
    ) -> Result<Option<Arc<Record>>, JournalError> {
        if next.state.phase != self.record.state.phase {
            next.since = self.now();
        }
        let change = match next.state.phase {
            Phase::Removed => Change::Delete(Box::new(next)),
            Phase::Created
            | Phase::Starting
            | Phase::Running
            | Phase::Freezing
            | Phase::Frozen
            | Phase::Thawing
            | Phase::Stopping { .. }
            | Phase::Killing
            | Phase::Reaping { .. }
            | Phase::Waiting
            | Phase::Stopped
            | Phase::Removing => {
                let kinds = journal::between(&self.record.container, &next.container);
                Change::Update { record: Box::new(next), kinds }
            }
        };
        match self.around.journal.commit(Commit { change, request }).await? {
            Committed::Done(record) => Ok(Some(self.publish(*record))),
            Committed::Repeated(_) | Committed::Reservation(_) | Committed::Noted => Ok(None),
        }
    }

    pub(super) fn publish(&mut self, record: Record) -> Arc<Record> {
        log_transition(&self.record.state, &record);
        self.record = record;
        let shared = Arc::new(self.record.clone());
        self.view.send_replace(shared.clone());
        self.around.observer.changed(&shared);
        shared
    }
}

fn log_transition(before: &State, after: &Record) {
    if before.phase != after.state.phase {
        tracing::info!(
            container = after.name(),
            attempt = after.state.attempt,
            from = state::name(before.visible()),
            to = state::name(after.state.visible()),
            phase = ?after.state.phase,
            "container"
        );
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => future::pending().await,
    }
}
