//! The options that say what becomes of a container by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use tweendeck_proto::v1::{self, ContainerSpec, probe::Check};

use super::value::{self, Pair};

/// Restarts, probes, hooks, isolation.
#[derive(Debug, Args)]
#[command(next_help_heading = "Supervision", group = clap::ArgGroup::new("hook").args(["pre_start", "post_stop"]).multiple(true))]
pub(crate) struct SupervisionArgs {
    /// Start it again by itself: no, on-failure, always; with :NUMBER at most so often in --restart-window [default: no].
    #[arg(long, value_parser = restart, conflicts_with = "ephemeral", value_name = "WHEN[:NUMBER]")]
    restart: Option<(v1::RestartMode, u32)>,
    /// The time in which restarts are counted, 1s to 24h [default: 10m].
    #[arg(long, requires = "restart", value_parser = value::duration, value_name = "DURATION")]
    restart_window: Option<Duration>,
    /// Before the first restart, 0s to 1h; it doubles with each further one [default: 1s].
    #[arg(long, requires = "restart", value_parser = value::duration, value_name = "DURATION")]
    restart_delay: Option<Duration>,
    /// The most that delay grows to [default: 5m].
    #[arg(long, requires = "restart", value_parser = value::duration, value_name = "DURATION")]
    restart_max_delay: Option<Duration>,
    /// A run that lasted this long makes the delay the first one again [default: 10m].
    #[arg(long, requires = "restart", value_parser = value::duration, value_name = "DURATION")]
    restart_stable: Option<Duration>,
    /// Whether it has come up; see --help [default: it has when its command has been executed].
    ///
    /// What a probe does is exec:COMMAND (a line for a shell in the container, without options), or tcp:PORT, http:PORT[/PATH] or grpc:PORT[/SERVICE], in the container's network, at 127.0.0.1. Options behind it: period=DURATION (10s),
    /// timeout=DURATION (1s), failures=NUMBER in a row (3; of a startup probe 30), successes=NUMBER (1), delay=DURATION before the first (0s),
    /// address=IP.
    #[arg(long, value_parser = probe, value_name = "PROBE[,OPTION...]")]
    startup_probe: Option<v1::Probe>,
    /// Whether it takes work.
    #[arg(long, value_parser = probe, value_name = "PROBE[,OPTION...]")]
    readiness_probe: Option<v1::Probe>,
    /// Whether it is to go on; otherwise it is stopped, and --restart says what follows.
    #[arg(long, value_parser = probe, value_name = "PROBE[,OPTION...]")]
    liveness_probe: Option<v1::Probe>,
    /// A program in the node's hooks.directory that is run before each start; may be repeated. Words behind its name are its arguments.
    #[arg(long, value_name = "PROGRAM [ARGUMENT...]")]
    pre_start: Vec<String>,
    /// The same, after each end.
    #[arg(long, value_name = "PROGRAM [ARGUMENT...]")]
    post_stop: Vec<String>,
    /// An environment variable of all these programs; may be repeated, up to 64 times.
    #[arg(long, requires = "hook", value_parser = value::pair, value_name = "KEY=VALUE")]
    hook_env: Vec<Pair>,
    /// What becomes of it when the node has had no contact with etcd for so long: stop:DURATION or freeze:DURATION [default: it runs on].
    #[arg(long, value_parser = isolation, value_name = "ACTION:DURATION")]
    on_isolation: Option<v1::IsolationPolicy>,
}

impl SupervisionArgs {
    pub(crate) fn into_spec(self, spec: &mut ContainerSpec) {
        let message = |duration: Option<Duration>| duration.and_then(|duration| duration.try_into().ok());
        spec.restart = self.restart.map(|(mode, max_restarts)| v1::RestartPolicy {
            mode: mode.into(),
            max_restarts,
            window: message(self.restart_window),
            delay: message(self.restart_delay),
            max_delay: message(self.restart_max_delay),
            stable_after: message(self.restart_stable),
        });
        let probes =
            v1::Probes { startup: self.startup_probe, readiness: self.readiness_probe, liveness: self.liveness_probe };
        spec.probes = (probes != v1::Probes::default()).then(|| probes.into());
        let env = BTreeMap::from_iter(self.hook_env);
        let hooks = |lines: &[String]| lines.iter().map(|line| hook(line, &env)).collect();
        let hooks = v1::Hooks { pre_start: hooks(&self.pre_start), post_stop: hooks(&self.post_stop) };
        spec.hooks = (hooks != v1::Hooks::default()).then_some(hooks);
        spec.isolation = self.on_isolation;
    }
}

fn restart(text: &str) -> Result<(v1::RestartMode, u32), String> {
    let (when, max) = text.split_once(':').unwrap_or((text, "0"));
    let mode = match when {
        "no" => v1::RestartMode::Never,
        "on-failure" => v1::RestartMode::OnFailure,
        "always" => v1::RestartMode::Always,
        _ => return Err("must be no, on-failure or always, perhaps with :NUMBER".to_owned()),
    };
    Ok((mode, max.parse().map_err(|_| format!("{max:?} is no number of restarts"))?))
}

fn isolation(text: &str) -> Result<v1::IsolationPolicy, String> {
    let (action, after) = text.split_once(':').ok_or("must be stop:DURATION or freeze:DURATION")?;
    let action = match action {
        "stop" => v1::IsolationAction::Stop,
        "freeze" => v1::IsolationAction::Freeze,
        _ => return Err("must be stop:DURATION or freeze:DURATION".to_owned()),
    };
    Ok(v1::IsolationPolicy { action: action.into(), after: value::duration(after)?.try_into().ok() })
}

fn hook(line: &str, env: &BTreeMap<String, String>) -> v1::Hook {
    let mut words = line.split_whitespace().map(ToOwned::to_owned);
    v1::Hook { program: words.next().unwrap_or_default(), arguments: words.collect(), timeout: None, env: env.clone() }
}

fn probe(text: &str) -> Result<v1::Probe, String> {
    const RULE: &str =
        "must be exec:COMMAND, tcp:PORT, http:PORT[/PATH] or grpc:PORT[/SERVICE], perhaps with options behind commas";
    let mut parts = text.split(',');
    if let Some(command) = text.strip_prefix("exec:") {
        // Whatever a shell would make of it: commas are its own.
        let command = ["sh", "-c", command].map(ToOwned::to_owned).to_vec();
        return Ok(v1::Probe { check: Some(Check::Exec(v1::ExecCheck { command })), ..Default::default() });
    }
    let (kind, place) = parts.next().and_then(|check| check.split_once(':')).ok_or(RULE)?;
    let (port, rest) = place.split_once('/').map_or((place, None), |(port, rest)| (port, Some(rest)));
    let port: u32 = port.parse().map_err(|_| format!("{port:?} is no port"))?;
    let mut probe = v1::Probe::default();
    let mut address = String::new();
    for option in parts {
        let (name, given) = option.split_once('=').ok_or_else(|| format!("{option:?} is no option: name=value"))?;
        let duration = || value::duration(given).map(|duration| duration.try_into().ok());
        let number = || given.parse().map_err(|_| format!("{name}: {given:?} is no number"));
        match name {
            "period" => probe.period = duration()?,
            "timeout" => probe.timeout = duration()?,
            "delay" => probe.initial_delay = duration()?,
            "failures" => probe.failure_threshold = number()?,
            "successes" => probe.success_threshold = number()?,
            "address" => given.clone_into(&mut address),
            _ => return Err(format!("{name:?} is no option: period, timeout, delay, failures, successes, address")),
        }
    }
    probe.check = Some(match (kind, rest) {
        ("tcp", None) => Check::Tcp(v1::TcpCheck { port, address }),
        ("http", path) => {
            let path = path.map(|path| format!("/{path}")).unwrap_or_default();
            Check::Http(v1::HttpCheck { port, address, path, ..Default::default() })
        }
        ("grpc", service) => {
            Check::Grpc(v1::GrpcCheck { port, address, service: service.unwrap_or_default().to_owned() })
        }
        _ => return Err(RULE.to_owned()),
    });
    Ok(probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_a_check_and_its_options() {
        let given = probe("http:8080/ready?x=1,period=2s,failures=5,address=::1").unwrap();
        let check =
            v1::HttpCheck { port: 8080, address: "::1".into(), path: "/ready?x=1".into(), ..Default::default() };
        assert_eq!(given.check, Some(Check::Http(check)));
        assert_eq!((given.period.map(|period| period.seconds), given.failure_threshold), (Some(2), 5));
        let grpc = v1::GrpcCheck { port: 9, service: "a.B".into(), ..Default::default() };
        assert_eq!(probe("grpc:9/a.B").unwrap().check, Some(Check::Grpc(grpc)));
        let line = probe("exec:test -e /ready,period=2s").unwrap().check;
        let command = ["sh", "-c", "test -e /ready,period=2s"].map(ToOwned::to_owned).to_vec();
        assert_eq!(line, Some(Check::Exec(v1::ExecCheck { command })));
        for bad in ["", "tcp", "tcp:x", "tcp:1/2", "udp:1", "tcp:1,period", "tcp:1,often=2", "tcp:1,failures=x"] {
            assert!(probe(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn restarts_hooks_and_isolation_are_what_was_written() {
        assert_eq!(restart("on-failure:3"), Ok((v1::RestartMode::OnFailure, 3)));
        assert_eq!(restart("always"), Ok((v1::RestartMode::Always, 0)));
        assert!(restart("sometimes").is_err() && restart("always:x").is_err());
        let hook = hook("mount  /a /b", &BTreeMap::new());
        assert_eq!((hook.program.as_str(), hook.arguments), ("mount", vec!["/a".to_owned(), "/b".to_owned()]));
        let policy = isolation("freeze:2m").unwrap();
        assert_eq!((policy.action(), policy.after.unwrap().seconds), (v1::IsolationAction::Freeze, 120));
        assert!(isolation("freeze").is_err() && isolation("explode:1s").is_err());
    }
}
