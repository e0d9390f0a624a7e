//! `cp`: files into a container, and out of it.
//!
//! Files here are read and written by a thread of their own (`tweendeck_archive::tree`), which never follows a symbolic link on its way: an archive from a hostile
//! container leads nowhere else. Chunks go between it and the connection through a short queue, so that neither runs away from the other.

mod come;
mod go;
mod place;
mod stream;

use tweendeck_archive::Bounds;
use tweendeck_proto::v1::{FileKind, FileStat, StatFileRequest};

use crate::agent::Agent;
use crate::args::{CopyArgs, Side};
use crate::exit;
use crate::failure::Failure;
use crate::output::{Printer, notice};

/// Chunks that wait.
const WAITING: usize = 4;
/// Bytes of a chunk.
const CHUNK: usize = 256 << 10;

pub(super) async fn run(args: CopyArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    match (args.source.clone(), args.destination.clone()) {
        (Side::Container { name, path }, Side::Stream) => come::to_stream(&args, name, path, agent).await?,
        (Side::Container { name, path }, Side::Local(to)) => come::to_files(&args, name, path, to, agent, out).await?,
        (Side::Stream, Side::Container { name, path }) => go::from_stream(&args, name, path, agent, out).await?,
        (Side::Local(from), Side::Container { name, path }) => {
            go::from_files(&args, from, name, path, agent, out).await?;
        }
        (Side::Container { .. }, Side::Container { .. }) => {
            notice("only one side can be in a container; two copies through a directory here, or a pipe of two, do it");
            return Ok(exit::USAGE);
        }
        (Side::Local(_) | Side::Stream, Side::Local(_) | Side::Stream) => {
            notice("one side must be in a container: CONTAINER:/PATH");
            return Ok(exit::USAGE);
        }
    }
    Ok(exit::OK)
}

fn bounds(args: &CopyArgs) -> Bounds {
    Bounds { bytes: args.max_size, entries: args.max_entries, id: u32::MAX - 1 }
}

/// What is at a path in a container; `None` for nothing.
async fn stat(agent: &Agent, name: &str, path: &str, follow: bool) -> Result<Option<FileStat>, Failure> {
    let request = StatFileRequest { name: name.to_owned(), path: path.to_owned(), follow, uid: String::new() };
    match agent.call(request).await {
        Ok(answer) => Ok(answer.file),
        Err(failure) if failure.reason() == Some(tweendeck_proto::v1::ErrorReason::FileNotFound) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn is_directory(stat: &FileStat) -> bool {
    stat.kind() == FileKind::Directory
}

/// A failure of this side, in words.
fn refused(message: impl Into<String>) -> Failure {
    Failure::Files(tweendeck_archive::tree::Failure::new(tweendeck_archive::tree::Cause::Refused, message))
}
