//! Between the API's messages and what the supervisor knows.

use std::time::Duration;

use tweendeck_proto::v1;
use tweendeck_runtime::exec::packet::Stream;
use tweendeck_runtime::exec::{
    Create, End, EndCause, Exit, OnDisconnect, OnFull, RING_DEFAULT, RequestId, Session, State, StreamRange, User,
    Window,
};

use crate::journal::Record;
use crate::workload::timestamp;

/// Rows and columns of a terminal when nobody says how many; what a command takes it for.
const SIZE: (u16, u16) = (24, 80);
const DEFAULT_TERM: &str = "TERM=xterm";

/// What was asked, validated.
pub(super) fn create(id: String, request: Option<RequestId>, spec: v1::ExecSpec) -> Create {
    let mut env: Vec<String> = spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if spec.terminal.is_some() && !spec.env.contains_key("TERM") {
        env.push(DEFAULT_TERM.to_owned());
    }
    let user = |user: v1::User| User {
        uid: user.uid,
        gid: user.gid,
        additional_gids: user.additional_gids,
        umask: user.umask,
    };
    let on_full = match spec.on_full() {
        v1::OnFull::Unspecified | v1::OnFull::Wait => OnFull::Wait,
        v1::OnFull::DropOldest => OnFull::DropOldest,
    };
    let on_disconnect = match spec.on_disconnect.and_then(|on| on.action) {
        None | Some(v1::on_disconnect::Action::Kill(_)) => OnDisconnect::Kill,
        Some(v1::on_disconnect::Action::Keep(keep)) => {
            let ttl = keep.ttl.and_then(|ttl| Duration::try_from(ttl).ok()).unwrap_or_default();
            OnDisconnect::Keep { ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX) }
        }
    };
    Create {
        id,
        request,
        args: spec.command,
        env,
        cwd: (!spec.working_dir.is_empty()).then(|| spec.working_dir.into()),
        user: spec.user.map(user),
        terminal: spec
            .terminal
            .map(|terminal| Window { rows: side(terminal.rows, SIZE.0), columns: side(terminal.columns, SIZE.1) }),
        stdin: spec.stdin,
        on_disconnect,
        ring_bytes: if spec.ring_bytes == 0 { RING_DEFAULT } else { spec.ring_bytes },
        on_full,
    }
}

fn side(asked: u32, default: u16) -> u16 {
    u16::try_from(asked).ok().filter(|side| *side > 0).unwrap_or(default)
}

/// A session, as callers see it.
pub(super) fn exec(record: &Record, session: Session) -> v1::Exec {
    let state = match session.state {
        State::Starting | State::Running => v1::ExecState::Running,
        State::Ending => v1::ExecState::Ending,
        State::Exited => v1::ExecState::Exited,
    };
    let action = match session.on_disconnect {
        OnDisconnect::Kill => v1::on_disconnect::Action::Kill(v1::KillOnDisconnect {}),
        OnDisconnect::Keep { ttl_ms } => {
            let ttl = Duration::from_millis(ttl_ms).try_into().ok();
            v1::on_disconnect::Action::Keep(v1::KeepOnDisconnect { ttl })
        }
    };
    v1::Exec {
        container: record.name().to_owned(),
        id: session.id,
        container_uid: record.uid().to_owned(),
        state: state.into(),
        command: session.args,
        command_cut: session.args_cut,
        user: Some(v1::User {
            uid: session.user.uid,
            gid: session.user.gid,
            additional_gids: session.user.additional_gids,
            umask: session.user.umask,
        }),
        terminal: session.terminal,
        on_disconnect: Some(v1::OnDisconnect { action: Some(action) }),
        pid: session.pid.unwrap_or_default(),
        create_time: Some(timestamp(session.created_unix_ms)),
        exit: session.exit.map(exit),
        stdin_offset: session.stdin,
        stdout: Some(range(session.stdout)),
        stderr: Some(range(session.stderr)),
        attached: session.attached,
        expire_time: session.expires_unix_ms.map(timestamp),
    }
}

fn range(range: StreamRange) -> v1::StreamRange {
    v1::StreamRange { start: range.start, end: range.end }
}

/// How a session ended.
pub(super) fn exit(exit: Exit) -> v1::ExecExit {
    let (exit_code, signal) = match exit.end {
        End::Code(code) => (code, 0),
        End::Signal(signal) => (signal.saturating_add(128), signal),
    };
    let cause = match exit.cause {
        EndCause::Process => v1::ExecEndCause::Process,
        EndCause::Deleted => v1::ExecEndCause::Deleted,
        EndCause::Disconnected => v1::ExecEndCause::Disconnected,
        EndCause::Container => v1::ExecEndCause::Container,
        EndCause::Timeout => v1::ExecEndCause::Timeout,
    };
    v1::ExecExit { exit_code, signal, cause: cause.into(), end_time: Some(timestamp(exit.ended_unix_ms)) }
}

/// A stream of output.
pub(super) fn stream(stream: Stream) -> v1::OutputStream {
    match stream {
        Stream::Stdout => v1::OutputStream::Stdout,
        Stream::Stderr => v1::OutputStream::Stderr,
    }
}
