//! Exec sessions.

use std::time::Duration;

use tweendeck_proto::v1;
use tweendeck_runtime::exec::{CHUNK_MAX, RING_MAX, RING_MIN, Window};

use super::name::is_container_name;
use super::spec::commanded;
use super::{Violations, duration};

/// Input of a command that is run to its end, bytes.
const STDIN_MAX: usize = 1 << 20;
/// Of each of its outputs, bytes: two of them and the rest of an answer are below the largest message.
const OUTPUT_MAX: u32 = 3 << 19;

/// A container's name, in a request where it is not the only one.
pub(in crate::grpc) fn container(name: &str, violations: &mut Violations) {
    let rule = "must be 1 to 63 characters: a letter or digit, then letters, digits, '_', '.' or '-'";
    violations.require(is_container_name(name), "container", rule);
}

/// A session's id, which follows the same rule.
pub(in crate::grpc) fn exec_id(id: &str, field: &str, violations: &mut Violations) {
    let rule = "must be 1 to 63 characters: a letter or digit, then letters, digits, '_', '.' or '-'";
    violations.require(is_container_name(id), field, rule);
}

/// What is to be run in a container of this specification.
pub(in crate::grpc) fn exec(spec: &v1::ExecSpec, container: &v1::ContainerSpec, violations: &mut Violations) {
    // The same rules as for the container's own command.
    let as_container = v1::ContainerSpec {
        command: spec.command.clone(),
        env: spec.env.clone(),
        working_dir: spec.working_dir.clone(),
        user: spec.user.clone(),
        namespaces: container.namespaces.clone(),
        security: container.security.clone(),
        network: container.network,
        ..Default::default()
    };
    commanded(&as_container, violations);
    let umask = spec.user.as_ref().and_then(|user| user.umask).is_none_or(|umask| umask <= 0o777);
    violations.require(umask, "spec.user.umask", "must be 0 to 511 (octal 777)");
    if let Some(terminal) = &spec.terminal {
        for (side, field) in [(terminal.rows, "spec.terminal.rows"), (terminal.columns, "spec.terminal.columns")] {
            violations.require(side <= u16::MAX.into(), field, "must be 1 to 65535, or 0 for the default");
        }
    }
    let ring = spec.ring_bytes == 0 || (RING_MIN..=RING_MAX).contains(&spec.ring_bytes);
    violations.require(ring, "spec.ring_bytes", "must be 4096 (4 KiB) to 16777216 (16 MiB), or 0 for 1 MiB");
    let known = v1::OnFull::try_from(spec.on_full).is_ok();
    violations.require(known, "spec.on_full", "is not a value this version knows");
    match spec.on_disconnect.as_ref().and_then(|on| on.action.as_ref()) {
        None | Some(v1::on_disconnect::Action::Kill(_)) => {}
        Some(v1::on_disconnect::Action::Keep(keep)) => {
            let field = "spec.on_disconnect.keep.ttl";
            violations.require(keep.ttl.is_some(), field, "is missing: how long is it to be kept?");
            duration(keep.ttl, field, violations);
        }
    }
}

/// What is run to its end: nobody is ever attached to it.
pub(in crate::grpc) fn run(request: &v1::RunExecRequest, violations: &mut Violations) -> (Option<Duration>, usize) {
    let spec = request.spec.clone().unwrap_or_default();
    for (given, field) in [
        (spec.terminal.is_some(), "spec.terminal"),
        (spec.stdin, "spec.stdin"),
        (spec.on_disconnect.is_some(), "spec.on_disconnect"),
        (spec.ring_bytes != 0, "spec.ring_bytes"),
        (spec.on_full != 0, "spec.on_full"),
    ] {
        violations.require(!given, field, "must not be there: CreateExec and AttachExec take it");
    }
    violations.require(request.stdin.len() <= STDIN_MAX, "stdin", "must have at most 1048576 bytes");
    let output = request.max_output_bytes <= OUTPUT_MAX;
    violations.require(output, "max_output_bytes", "must be 1 to 1572864, or 0 for 1048576");
    let limit = duration(request.timeout, "timeout", violations);
    violations.require(limit.is_none_or(|limit| limit >= Duration::from_millis(1)), "timeout", "must be at least 1 ms");
    let most = if request.max_output_bytes == 0 { 1 << 20 } else { request.max_output_bytes };
    (limit, usize::try_from(most).unwrap_or_default())
}

/// The size of a window.
pub(in crate::grpc) fn window(size: Option<v1::WindowSize>, violations: &mut Violations) -> Option<Window> {
    let side = |side: u32| u16::try_from(side).ok().filter(|side| *side > 0);
    let window = size.and_then(|size| Some(Window { rows: side(size.rows)?, columns: side(size.columns)? }));
    violations.require(window.is_some(), "size", "must have rows and columns of 1 to 65535");
    window
}

/// How to attach.
pub(in crate::grpc) fn mode(mode: i32, violations: &mut Violations) -> bool {
    let mode = v1::AttachMode::try_from(mode);
    violations.require(mode.is_ok(), "mode", "is not a value this version knows");
    mode != Ok(v1::AttachMode::ReadOnly)
}

/// A piece of input.
pub(in crate::grpc) fn chunk(data: &[u8], violations: &mut Violations) {
    violations.require(data.len() <= CHUNK_MAX, "stdin.data", "must have at most 65536 bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_field_of_a_session_is_named() {
        let keep =
            |ttl| v1::OnDisconnect { action: Some(v1::on_disconnect::Action::Keep(v1::KeepOnDisconnect { ttl })) };
        let good = v1::ExecSpec {
            command: vec!["true".into()],
            on_disconnect: Some(keep(Some(prost_types::Duration { seconds: 86_400, nanos: 0 }))),
            ring_bytes: RING_MAX,
            ..Default::default()
        };
        let wrong = |spec: &v1::ExecSpec| {
            let mut violations = Violations::default();
            exec(spec, &v1::ContainerSpec::default(), &mut violations);
            violations.fields().into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(wrong(&good), Vec::<String>::new());
        let bad = v1::ExecSpec {
            command: Vec::new(),
            env: [("A=".to_owned(), String::new())].into(),
            working_dir: "x".into(),
            user: Some(v1::User { uid: 65_536, umask: Some(0o1000), ..Default::default() }),
            terminal: Some(v1::Terminal { rows: 65_536, columns: 0 }),
            on_disconnect: Some(keep(None)),
            ring_bytes: RING_MIN - 1,
            on_full: 9,
            ..Default::default()
        };
        let expected = [
            "spec.command",
            "spec.working_dir",
            "spec.env",
            "spec.user.uid",
            "spec.user.umask",
            "spec.terminal.rows",
            "spec.ring_bytes",
            "spec.on_full",
            "spec.on_disconnect.keep.ttl",
        ];
        assert_eq!(wrong(&bad), expected);
        let mut violations = Violations::default();
        let request = v1::RunExecRequest {
            spec: Some(v1::ExecSpec { stdin: true, ..bad }),
            stdin: vec![0; STDIN_MAX + 1],
            max_output_bytes: OUTPUT_MAX + 1,
            timeout: Some(prost_types::Duration { seconds: 0, nanos: 1 }),
            ..Default::default()
        };
        run(&request, &mut violations);
        let expected = [
            "spec.terminal",
            "spec.stdin",
            "spec.on_disconnect",
            "spec.ring_bytes",
            "spec.on_full",
            "stdin",
            "max_output_bytes",
            "timeout",
        ];
        assert_eq!(violations.fields(), expected);
    }
}
