//! Programs of the host's before a start and after an end. They go on in a task of their own, and the actor hears signals and stops meanwhile.
//!
//! Nothing about them is written down: an agent that is killed while one runs leaves the next to run it again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tweendeck_proto::v1;
use tweendeck_runtime::hook::{self, Hook, Moment, Stop};

use super::actor::{Actor, ShuttingDown};
use crate::causes::causes;
use crate::lifecycle::Phase;
use crate::{blocking, tasks};

/// How long one may take when the caller says nothing.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How many containers' hooks are run at once on a node; the others wait for their turn. Each takes one of the threads that may block.
static ROOM: Semaphore = Semaphore::const_new(32);

/// Hooks that are being run, or wait for their turn.
pub(super) struct Hooking {
    outcome: oneshot::Receiver<Outcome>,
    stop: Arc<Stop>,
    /// Dropped to end the waiting.
    turn: Option<oneshot::Sender<()>>,
    moment: Moment,
}

/// What came of them.
pub(super) type Outcome = Result<(), String>;

impl Hooking {
    /// Ends them if the container has not been started yet. The outcome still comes.
    pub(super) fn stop_start(&mut self) {
        if self.moment == Moment::PreStart {
            self.turn = None;
            self.stop.ask();
        }
    }
}

/// An actor that ends does not wait for them, and nobody else would.
impl Drop for Hooking {
    fn drop(&mut self) {
        self.stop.ask();
    }
}

/// Waits for the outcome of what is under way; for ever when nothing is.
pub(super) async fn outcome(hooking: &mut Option<Hooking>) -> Outcome {
    match hooking {
        Some(hooking) => (&mut hooking.outcome).await.unwrap_or_else(|_| Err("its task has ended".to_owned())),
        None => std::future::pending().await,
    }
}

impl Actor {
    /// Begins to run what is to be run at this moment; whether there is anything.
    pub(super) fn run_hooks(&mut self, moment: Moment) -> bool {
        let spec = self.record.spec();
        let v1::Hooks { pre_start, post_stop } = spec.hooks.unwrap_or_default();
        let asked = match moment {
            Moment::PreStart => pre_start,
            Moment::PostStop => post_stop,
        };
        if asked.is_empty() {
            return false;
        }
        let host = self.around.host.clone();
        let (name, uid, attempt) =
            (self.record.name().to_owned(), self.record.uid().to_owned(), self.record.state.attempt);
        let environment = vec![
            ("TWEENDECK_NAME".to_owned(), name.clone()),
            ("TWEENDECK_UID".to_owned(), uid),
            ("TWEENDECK_ATTEMPT".to_owned(), attempt.to_string()),
            ("TWEENDECK_HOOK".to_owned(), moment.name().to_owned()),
        ];
        let input = hook::state(&name, moment, host.paths(&name).run(), spec.labels);
        let programs = asked.into_iter().map(|asked| {
            // It was there when the container was created; the configuration may have changed since.
            let directory = host.hooks.clone().ok_or_else(|| "this node has no hooks.directory any more".to_owned())?;
            Ok(Hook {
                path: directory.join(&asked.program),
                arguments: asked.arguments,
                environment: asked.env.into_iter().chain(environment.clone()).collect(),
                input: input.clone(),
                timeout: asked.timeout.and_then(|timeout| timeout.try_into().ok()).unwrap_or(TIMEOUT),
            })
        });
        let programs: Result<Vec<Hook>, String> = programs.collect();
        let (sender, outcome) = oneshot::channel();
        let (turn, given_up) = oneshot::channel::<()>();
        let stop = Arc::new(Stop::default());
        self.hooking = Some(Hooking { outcome, stop: stop.clone(), turn: Some(turn), moment });
        tasks::spawn("hooks", async move {
            // Being given up comes first: nothing is begun then.
            let turn = tokio::select! { biased;
                _ = given_up => None,
                turn = ROOM.acquire() => turn.ok(),
            };
            let done = match (programs, turn) {
                (Ok(programs), Some(_turn)) => {
                    let work = move || programs.iter().try_for_each(|program| hook::run(program, &stop));
                    blocking::run(work).await.map_err(|error| error.to_string())
                }
                (Ok(_), None) => Err("it was stopped before its turn".to_owned()),
                (Err(why), _) => Err(why),
            };
            // Nobody is there any more when the agent goes down; the next one begins anew.
            let _ = sender.send(done.and_then(|done| done.map_err(|error| causes(&error))));
        });
        true
    }

    /// They have come to their end.
    pub(super) async fn hooked(&mut self, outcome: Outcome) -> Result<(), ShuttingDown> {
        let Some(moment) = self.hooking.take().map(|hooking| hooking.moment) else { return Ok(()) };
        match (moment, outcome) {
            (Moment::PreStart, Err(why)) => self.never_ran(format!("pre-start hook: {why}")).await,
            (Moment::PreStart, Ok(())) if self.record.state.phase == Phase::Starting => {
                // Boxed: it holds a plan and a record, which are large.
                Box::pin(self.launch()).await
            }
            (Moment::PreStart, Ok(())) => self.never_ran("it was stopped before it was launched".to_owned()).await,
            (Moment::PostStop, outcome) => {
                if let Err(why) = &outcome {
                    tracing::warn!(container = self.record.name(), why, "post-stop hook");
                }
                self.torn_down(outcome.err().map(|why| format!("post-stop hook: {why}"))).await
            }
        }
    }
}
