//! Trees of files that are copied or exchanged: whole, or not at all.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;

use super::trouble::Trouble;

/// Copies a tree with owners, modes, times, links, holes and attributes (cp(1)), aside first: what is at the target is complete.
pub(super) async fn copy(from: &Path, to: &Path) -> Result<(), Trouble> {
    let aside = to.with_extension("part");
    remove(&aside)?;
    let mut command = tokio::process::Command::new("cp");
    command.args(["-a", "--reflink=auto", "--sparse=auto", "--one-file-system", "--"]).arg(from).arg(&aside);
    let status = command.stdin(Stdio::null()).kill_on_drop(true).status().await;
    let failed = |why: String| Trouble::said(format!("copy {}: {why}", from.display()));
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => {
            remove(&aside)?;
            return Err(failed(format!("cp has failed: {status}")));
        }
        Err(error) => return Err(failed(error.to_string())),
    }
    fs::rename(&aside, to).map_err(|error| failed(error.to_string()))
}

/// Removes a tree; of one that is not there, nothing. It follows no link.
pub(super) fn remove(tree: &Path) -> Result<(), Trouble> {
    match fs::remove_dir_all(tree) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Trouble::said(format!("remove {}: {error}", tree.display())))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
