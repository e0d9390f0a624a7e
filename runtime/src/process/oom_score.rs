//! How likely the kernel's OOM killer takes a process (proc_pid_oom_score_adj(5)).

use std::io;

use super::channel::StartFailure;
use crate::bundle::Plan;

/// Gives a process of a container (`self`, or a PID) the score that is asked for, else 0: what protects the agent is not for containers. Its children inherit it. The
/// lowest that the process may go back to moves along only if the writer has CAP_SYS_RESOURCE over the host; so of a container in a user namespace, where
/// nobody has, the supervisor sets it.
pub(super) fn set(process: &str, plan: &Plan) -> Result<(), StartFailure> {
    let file = format!("/proc/{process}/oom_score_adj");
    let Some(asked) = plan.spec.process().as_ref().and_then(oci_spec::runtime::Process::oom_score_adj) else {
        // Raising the score is always allowed; a lower one than the agent's own may not be.
        let _ = std::fs::write(file, "0");
        return Ok(());
    };
    let failed = |why: &str, error| StartFailure::new("set the OOM score", &format!("{asked}{why}"), &error);
    std::fs::write(&file, asked.to_string()).map_err(|error| match error.raw_os_error() {
        Some(libc::EACCES) => failed(" is below the runtime's own, which takes CAP_SYS_RESOURCE", error),
        Some(_) | None => failed("", error),
    })?;
    let now = std::fs::read_to_string(&file).map_err(|error| failed("", error))?;
    if now.trim().parse() == Ok(asked) {
        return Ok(());
    }
    Err(failed("", io::Error::other(format!("the kernel made {} of it", now.trim()))))
}
