//! Restarts, probes, hooks, isolation.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use tweendeck_proto::v1::probe::Check;
use tweendeck_proto::v1::{
    self, ContainerSpec, ExecCheck, GrpcCheck, Hook, HttpCheck, IsolationAction, Probe, RestartMode, TcpCheck,
};

use super::Violations;
use super::name::is_container_name;
use crate::host::Host;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Variables by which the loader, a shell or an interpreter finds code to run, and how others like them begin. A hook is a file that only root and the agent's user can
/// change; what it runs is not to be a caller's.
const FINDS_CODE: [&str; 9] = ["PATH", "IFS", "ENV", "CDPATH", "SHELLOPTS", "PS4", "GCONV_PATH", "ZDOTDIR", "FPATH"];
const FIND_CODE: [&str; 8] = ["LD_", "BASH", "GLIBC_", "PYTHON", "PERL", "RUBY", "NODE_", "JAVA_"];

/// What of a specification is about what becomes of the container by itself.
pub(super) fn supervision(host: &Host, spec: &ContainerSpec, violations: &mut Violations) {
    restart(spec, violations);
    if let Some(v1::Probes { startup, readiness, liveness }) = spec.probes.as_deref() {
        let named = [("startup", startup), ("readiness", readiness), ("liveness", liveness)];
        for (name, asked) in named {
            if let Some(asked) = asked {
                probe(&format!("spec.probes.{name}"), asked, violations);
            }
        }
    }
    hooks(host, spec, violations);
    isolation(host, spec, violations);
}

fn restart(spec: &ContainerSpec, violations: &mut Violations) {
    let Some(asked) = &spec.restart else { return };
    let field = |name: &str| format!("spec.restart.{name}");
    let known = RestartMode::try_from(asked.mode);
    violations.require(known.is_ok(), &field("mode"), "is not a value this version knows");
    let again = matches!(known, Ok(RestartMode::OnFailure | RestartMode::Always));
    let bare = v1::RestartPolicy { mode: asked.mode, ..Default::default() };
    violations.require(
        again || *asked == bare,
        &field("mode"),
        "must be ON_FAILURE or ALWAYS, or nothing else be said of restarts",
    );
    violations.require(
        !(again && spec.ephemeral),
        &field("mode"),
        "must be NEVER with ephemeral: what is deleted at its end cannot be started again",
    );
    violations.require(asked.max_restarts <= 1_000_000, &field("max_restarts"), "must be at most 1000000");
    within(asked.window, &field("window"), SECOND..=DAY, "1 s to 24 h", violations);
    let delay = within(asked.delay, &field("delay"), Duration::ZERO..=HOUR, "0 s to 1 h", violations);
    // What fails at once and comes back at once, for ever, leaves the node no time for others.
    let pause = Duration::from_millis(100);
    violations.require(
        asked.max_restarts > 0 || delay.is_none_or(|delay| delay >= pause),
        &field("delay"),
        "must be 100 ms at least without max_restarts",
    );
    let max = within(asked.max_delay, &field("max_delay"), Duration::ZERO..=DAY, "0 s to 24 h", violations);
    violations.require(
        max.is_none_or(|max| max >= delay.unwrap_or(SECOND)),
        &field("max_delay"),
        "must not be less than delay (1 s unless it is given)",
    );
    within(asked.stable_after, &field("stable_after"), SECOND..=DAY, "1 s to 24 h", violations);
}

fn probe(field: &str, asked: &Probe, violations: &mut Violations) {
    let of = |name: &str| format!("{field}.{name}");
    match &asked.check {
        None => violations.add(field, "must have one of exec, tcp, http and grpc"),
        Some(Check::Exec(ExecCheck { command })) => {
            let bytes: usize = command.iter().map(|argument| argument.len().saturating_add(1)).sum();
            let program = command.first().is_some_and(|program| !program.is_empty());
            violations.require(
                program && command.len() <= 64 && bytes <= 4096 && !command.iter().any(|word| word.contains('\0')),
                &of("exec.command"),
                "must name a program, with at most 64 words, together at most 4096 bytes, without NUL",
            );
        }
        Some(Check::Tcp(TcpCheck { port, address })) => place(&of("tcp"), *port, address, violations),
        Some(Check::Http(HttpCheck { port, address, path, headers })) => {
            place(&of("http"), *port, address, violations);
            let good = path.is_empty() || path.starts_with('/') && path.len() <= 2048 && is_visible(path);
            violations.require(
                good && (path.is_empty() || path.parse::<http::Uri>().is_ok()),
                &of("http.path"),
                "must begin with '/', and be at most 2048 visible ASCII characters",
            );
            let fine = |(name, value): (&String, &String)| {
                name.len() <= 1024
                    && value.len() <= 1024
                    && name.parse::<http::HeaderName>().is_ok()
                    && value.parse::<http::HeaderValue>().is_ok()
                    && value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
            };
            violations.require(
                headers.len() <= 16 && headers.iter().all(fine),
                &of("http.headers"),
                "must be at most 16, with names of HTTP and values of at most 1024 visible ASCII characters",
            );
        }
        Some(Check::Grpc(GrpcCheck { port, address, service })) => {
            place(&of("grpc"), *port, address, violations);
            violations.require(service.len() <= 256, &of("grpc.service"), "must be at most 256 bytes");
        }
    }
    let tenth = Duration::from_millis(100);
    within(asked.period, &of("period"), tenth..=HOUR, "100 ms to 1 h", violations);
    let minutes = Duration::from_millis(10)..=Duration::from_secs(600);
    within(asked.timeout, &of("timeout"), minutes, "10 ms to 10 min", violations);
    violations.require(asked.failure_threshold <= 10_000, &of("failure_threshold"), "must be at most 10000");
    violations.require(asked.success_threshold <= 10_000, &of("success_threshold"), "must be at most 10000");
    within(asked.initial_delay, &of("initial_delay"), Duration::ZERO..=DAY, "0 s to 24 h", violations);
}

fn place(field: &str, port: u32, address: &str, violations: &mut Violations) {
    violations.require((1..=65_535).contains(&port), &format!("{field}.port"), "must be 1 to 65535");
    let valid = address.is_empty() || address.parse::<IpAddr>().is_ok();
    violations.require(valid, &format!("{field}.address"), "must be an IP address, such as 127.0.0.1 or ::1");
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn hooks(host: &Host, spec: &ContainerSpec, violations: &mut Violations) {
    let Some(v1::Hooks { pre_start, post_stop }) = &spec.hooks else { return };
    for (name, hooks) in [("pre_start", pre_start), ("post_stop", post_stop)] {
        let field = format!("spec.hooks.{name}");
        violations.require(hooks.len() <= 8, &field, "has more than 8 hooks");
        if !hooks.is_empty() && host.hooks.is_none() {
            violations
                .add(&field, "is refused: this node has no directory of hooks (hooks.directory in its configuration)");
        }
        for (number, hook) in hooks.iter().enumerate() {
            let Hook { program, arguments, timeout, env } = hook;
            let of = |name: &str| format!("{field}[{number}].{name}");
            violations.require(
                is_container_name(program),
                &of("program"),
                "must be a file's name in hooks.directory: a letter or digit, then up to 62 letters, digits, '_', '.' or '-'",
            );
            let bytes: usize = arguments.iter().map(|argument| argument.len().saturating_add(1)).sum();
            violations.require(
                arguments.len() <= 64 && bytes <= 4096 && !arguments.iter().any(|argument| argument.contains('\0')),
                &of("arguments"),
                "must be at most 64, together at most 4096 bytes, without NUL",
            );
            let range = Duration::from_millis(100)..=Duration::from_secs(600);
            within(*timeout, &of("timeout"), range, "100 ms to 10 min", violations);
            hook_environment(&of("env"), env, violations);
        }
    }
}

fn hook_environment(field: &str, env: &BTreeMap<String, String>, violations: &mut Violations) {
    violations.require(env.len() <= 64, field, "has more than 64 variables");
    let bytes: usize = env.iter().map(|(name, value)| name.len().saturating_add(value.len()).saturating_add(2)).sum();
    violations.require(bytes <= 32 << 10, field, "has more than 32768 bytes");
    for (name, value) in env {
        if name.is_empty() || name.contains(['=', '\0']) {
            violations.add(field, format!("the name {name:?} must not be empty or contain '=' or NUL"));
        }
        if name.starts_with("TWEENDECK_") {
            violations.add(field, format!("{name:?} is refused: names that begin with TWEENDECK_ are the node's own"));
        }
        if FINDS_CODE.contains(&name.as_str()) || FIND_CODE.iter().any(|start| name.starts_with(start)) {
            violations.add(field, format!("{name:?} is refused: it decides which code a program of the host's runs"));
        }
        if value.contains('\0') {
            violations.add(field, format!("the value of {name:?} contains a NUL byte"));
        }
    }
}

fn isolation(host: &Host, spec: &ContainerSpec, violations: &mut Violations) {
    let Some(asked) = &spec.isolation else { return };
    let action = IsolationAction::try_from(asked.action);
    violations.require(action.is_ok(), "spec.isolation.action", "is not a value this version knows");
    let acts = matches!(action, Ok(IsolationAction::Stop | IsolationAction::Freeze));
    violations.require(
        !acts || host.lease_ttl.is_some(),
        "spec.isolation.action",
        "must be CONTINUE: this node has no etcd to lose contact with (etcd.endpoints in its configuration)",
    );
    let after = within(asked.after, "spec.isolation.after", SECOND..=DAY, "1 s to 24 h", violations);
    violations.require(
        !acts || asked.after.is_some(),
        "spec.isolation.after",
        "must be given with another action than CONTINUE",
    );
    violations.require(acts || asked.after.is_none(), "spec.isolation.after", "must not be given with CONTINUE");
    // Signs of life come less often than that.
    let sure = after.zip(host.lease_ttl).is_none_or(|(after, ttl)| after >= ttl);
    violations.require(!acts || sure, "spec.isolation.after", "must not be less than etcd.lease_ttl of this node");
}

/// A duration within a range; `None` when it is absent or wrong.
fn within(
    asked: Option<prost_types::Duration>,
    field: &str,
    range: RangeInclusive<Duration>,
    words: &str,
    violations: &mut Violations,
) -> Option<Duration> {
    let found = Duration::try_from(asked?).ok().filter(|duration| range.contains(duration));
    violations.require(found.is_some(), field, &format!("must be {words}"));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_gets_variables_that_lead_it_to_no_code_and_are_not_the_nodes() {
        let of = |pairs: &[(&str, &str)]| {
            let env = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let mut violations = Violations::default();
            hook_environment("env", &env, &mut violations);
            violations.count()
        };
        let long = "x".repeat((32 << 10) - 5);
        assert_eq!(of(&[("LXC_NAME", "web"), ("A", ""), ("TWEENDECK", "a=b\n")]), 0);
        assert_eq!((of(&[("NAM", &long)]), of(&[("NAME", &long)])), (0, 1));
        for wrong in ["", "A=B", "A\0", "TWEENDECK_NAME", "TWEENDECK_", "PATH", "LD_PRELOAD", "BASH_ENV", "PYTHONPATH"]
        {
            assert_eq!(of(&[(wrong, "")]), 1, "{wrong}");
        }
        assert_eq!(of(&[("A", "\0")]), 1);
        let many: Vec<String> = (0..65).map(|number| format!("V{number}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "")).collect();
        assert_eq!((of(&many), of(&many[1..])), (1, 0));
    }
}
