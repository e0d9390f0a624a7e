//! A configuration is checked whole before anything is touched.

use std::process::Command;

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::tools;

#[test]
fn a_wrong_configuration_is_refused_whole_and_touches_nothing() {
    let agent = Agent::prepared(&[]);
    let file = agent.directory().join("tweendeckd.toml");
    std::fs::write(&file, "surprise = 1\n[limits]\nmax_containers = -5\n[log]\nformat = \"xml\"\n").unwrap();
    let output = agent.command().arg("--config").arg(&file).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{errors}");
    for setting in ["surprise", "limits.max_containers", "log.format"] {
        assert!(errors.contains(setting), "{setting} is not named:\n{errors}");
    }
    assert!(!agent.state_dir().exists() && !agent.run_dir().exists());
}

#[test]
fn a_configuration_can_be_checked_without_starting() {
    let agent = Agent::prepared(&[]);
    let output = agent.command().arg("--check-config").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(!agent.state_dir().exists());
    let output = Command::new(tools::binary("tweendeckd")).arg("--config=/no/such/file").output().unwrap();
    assert_eq!(output.status.code(), Some(78));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_with_the_same_directories_is_refused() {
    let agent = Agent::start().await;
    let output = agent.command().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("in use"), "{output:?}");
    agent.api().await.node().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_is_served_when_it_was_asked_for() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("--grpc-listen=127.0.0.1:{port}");
    let agent = Agent::with(&[&listen, "--grpc-allow-unauthenticated=true"]).await;
    let channel =
        tonic::transport::Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap().connect().await.unwrap();
    let node = tweendeck_integration_tests::api::Api::new(channel).node().await.unwrap();
    assert_eq!(node.id, agent.node());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_moved_aside_and_what_runs_is_found_again() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    let spec = tweendeck_integration_tests::api::spec(&["sleep", "1000"]);
    let before = api.run("survivor", spec).await.unwrap();
    agent.kill();
    for name in ["store.db", "store.db-wal"] {
        std::fs::write(agent.state_dir().join(name), vec![0x5a; 16384]).unwrap();
    }
    agent.resume().await;
    let after = agent.api().await.get("survivor").await.unwrap();
    assert_eq!(after.uid, before.uid);
    assert_eq!(after.status.as_ref().unwrap().pid, before.status.unwrap().pid);
    let aside = std::fs::read_dir(agent.state_dir()).unwrap().flatten();
    assert!(aside.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("store.db.damaged-")));
}
