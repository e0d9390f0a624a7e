//! The same with an agent above it, which is killed too: the next agent brings every container to an end and takes it away. A sample of the steps.

use std::fs;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use tonic::Code;
use tweendeck_integration_tests::agent::{Agent, reach};
use tweendeck_integration_tests::api::{Api, exit, script, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_proto::v1::{ContainerSpec, ContainerState, ExitReason, MemoryResources, PidsResources, Resources};

use crate::container::{CODE, SAYS};
use crate::tracer::{Armed, Fault, Report, Role, Script, Tracer, kill_if_it_runs, stopped};

/// Steps of each role that are tried.
const SAMPLE: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn the_next_agent_ends_and_removes_what_a_kill_at_any_step_left() {
    let mut told = Vec::new();
    for role in [Role::Agent, Role::Template, Role::Supervisor, Role::First, Role::Main] {
        let steps = Box::pin(life(Script { role, fault: None })).await.steps.len();
        // The template makes but a few.
        assert!(steps > if role == Role::Template { 1 } else { 2 * SAMPLE }, "{role:?} makes {steps} steps");
        let (mut struck, sample) = (0, SAMPLE.min(steps));
        for number in 0..sample {
            let step = steps * (2 * number + 1) / (2 * sample);
            let report = Box::pin(life(Script { role, fault: Some((step, Fault::Kill)) })).await;
            struck += usize::from(report.steps.len() > step);
        }
        told.push(format!("{role:?}: {struck} of {steps} steps").to_lowercase());
    }
    println!("CRASH killed under an agent: {}", told.join("; "));
}

/// One container, from its creation to its deletion, under one agent and the next.
async fn life(script: Script) -> Report {
    let mut agent = Agent::prepared(&[]);
    let (mut command, log) = (agent.command(), fs::File::create(agent.log()).unwrap());
    let (armed, (tell, told)) = (Armed::default(), mpsc::channel());
    let of_tracer = Arc::clone(&armed);
    let tracer = std::thread::spawn(move || {
        command = stopped(&command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let pid = i32::try_from(command.spawn().unwrap().id()).unwrap();
        tell.send(pid).unwrap();
        Tracer::seize(pid, Role::Agent, script, of_tracer).run()
    });
    let pid = told.recv().unwrap();
    let socket = agent.socket();
    let answers = || async {
        assert!(!tracer.is_finished(), "the tracer has ended");
        let api = reach(&socket).await?;
        api.node().await.ok().map(|_| api)
    };
    let api = eventually_async("the traced agent answers", answers).await;
    armed.store(true, Ordering::Relaxed);
    // Cut short by the kill, wherever that is.
    let _ = attempt(&api).await;
    armed.store(false, Ordering::Relaxed);
    kill_if_it_runs(pid, &agent.run_dir());
    let report = tokio::task::spawn_blocking(|| tracer.join().unwrap()).await.unwrap();
    agent.resume().await;
    settle(&agent.api().await).await;
    report
}

async fn attempt(api: &Api) -> Result<(), tonic::Status> {
    let limits = Resources {
        memory: Some(MemoryResources { max_bytes: Some(64 << 20), ..Default::default() }),
        pids: Some(PidsResources { max: Some(20) }),
        ..Default::default()
    };
    let text = format!("echo {SAYS}; exit {CODE}");
    api.create("box", ContainerSpec { resources: Some(limits), ..script(&text) }).await?;
    api.start("box").await?;
    api.wait("box").await?;
    api.delete("box").await.map(drop)
}

/// It ends, with a reason, and can be deleted; or it has never been promised, or its deletion had been, and is done at any moment.
async fn settle(api: &Api) {
    if let Err(refusal) = end(api).await {
        assert_eq!(refusal.code(), Code::NotFound, "{refusal:?}");
    }
    assert_eq!(api.get("box").await.unwrap_err().code(), Code::NotFound);
}

async fn end(api: &Api) -> Result<(), tonic::Status> {
    if state(&api.get("box").await?) != ContainerState::Created {
        let ended = exit(&api.wait("box").await?);
        let known = [ExitReason::Exited, ExitReason::Signaled, ExitReason::StartFailed, ExitReason::Lost];
        assert!(known.contains(&ended.reason()), "{ended:?}");
        assert!(ended.reason() != ExitReason::Exited || ended.code == CODE, "{ended:?}");
    }
    api.delete("box").await.map(drop)
}
