//! Directories of the host in layers.

use std::path::{Path, PathBuf};

use super::super::Mapped;
use super::super::inside::failure;
use super::super::root::not_the_hosts;
use super::{Outcome, layers, layers_in_memory, memory};
use crate::bundle::Upper;

/// The root of these layers, highest first.
pub(in crate::rootfs) fn overlay(
    lower: &[PathBuf],
    upper: &Upper,
    scratch: &Path,
    mapped: Option<&Mapped>,
) -> Outcome<PathBuf> {
    let lower: Vec<&Path> = lower.iter().map(PathBuf::as_path).collect();
    lower.iter().try_for_each(|path| not_the_hosts(path))?;
    match upper {
        Upper::Directory { upper, .. } if mapped.is_some() => Err(failure(
            "use the upper layer",
            upper,
            "cannot be id-mapped together with its work directory: use a layer in memory, or the host's user namespace",
        )),
        Upper::Directory { upper, work } => {
            // With an index, overlayfs refuses a layer that another mount writes to, which it otherwise only warns of in the kernel's log; and a
            // layer whose lower ones are others now (overlayfs.rst, "Inode index").
            layers(&lower, upper, work, ",index=on", scratch)?;
            Ok(scratch.to_owned())
        }
        Upper::Memory { bytes } => {
            memory(scratch, *bytes)?;
            layers_in_memory(&lower, scratch, mapped)
        }
    }
}
