//! Into a container.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, BufWriter, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tweendeck_archive::Bounds;
use tweendeck_archive::tree::{self, Last, Sent, Walk};
use tweendeck_proto::v1::write_files_request::Item;
use tweendeck_proto::v1::{FileOwner, OverwritePolicy, WriteFilesHeader, WriteFilesRequest, WriteFilesResponse};
use uuid::Uuid;

use super::come::is_local_directory;
use super::place::{There, target};
use super::stream::{Counter, Outgoing};
use super::{CHUNK, WAITING, bounds, is_directory, refused, stat};
use crate::agent::Agent;
use crate::args::CopyArgs;
use crate::failure::Failure;
use crate::output::{Printer, notice, printable};
use crate::progress;

/// An archive from standard input.
pub(super) async fn from_stream(
    args: &CopyArgs,
    name: String,
    directory: String,
    agent: &Agent,
    out: &mut Printer,
) -> Result<(), Failure> {
    let (chunks, outgoing) = mpsc::channel(WAITING);
    let (done, read) = oneshot::channel();
    // A thread that nobody waits for at the end: nothing may ever come over standard input.
    std::thread::spawn(move || {
        let _ = done.send(pass_on(&chunks));
    });
    let answer = send(args, name, directory, agent, outgoing).await;
    if let Ok(answer) = &answer {
        let read = read.await.map_err(io::Error::other).and_then(|read| read);
        read.map_err(|error| refused(format!("read standard input: {error}")))?;
        told(answer);
    }
    answer.and_then(|answer| if out.is_json() { out.answer(&answer, |_| "") } else { Ok(()) })
}

fn pass_on(chunks: &mpsc::Sender<Vec<u8>>) -> io::Result<()> {
    let mut stdin = io::stdin().lock();
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        (&mut stdin).take(CHUNK as u64).read_to_end(&mut chunk)?;
        if chunk.is_empty() || chunks.blocking_send(chunk).is_err() {
            return Ok(());
        }
    }
}

/// Files from here.
pub(super) async fn from_files(
    args: &CopyArgs,
    from: PathBuf,
    container: String,
    path: String,
    agent: &Agent,
    out: &mut Printer,
) -> Result<(), Failure> {
    let source = from.to_str().ok_or_else(|| refused("the source's name is no UTF-8"))?.to_owned();
    let follow = args.follow_link || source.ends_with('/');
    let directory = is_local_directory(&from, follow).map_err(|error| refused(format!("open {source:?}: {error}")))?;
    let there = match stat(agent, &container, &path, true).await? {
        Some(found) if is_directory(&found) => There::Directory,
        Some(_) => There::Something,
        None => There::Nothing,
    };
    let target = target(&source, directory, &path, there).map_err(refused)?;
    let (chunks, outgoing) = mpsc::channel(WAITING);
    let (limits, top) = (bounds(args), target.name.unwrap_or_default());
    let reading = tokio::task::spawn_blocking(move || read(&from, follow, &top, limits, chunks));
    let answer = send(args, container, target.directory, agent, outgoing).await;
    let read = reading.await.map_err(|error| refused(format!("read the files: {error}")))?;
    let (answer, sent) = match (answer, read) {
        // What could not be read here is why the archive was cut off; a stream that broke is the agent's word.
        (_, Err(failure)) if failure.cause != tree::Cause::Stream => return Err(Failure::Files(failure)),
        (Err(failure), _) => return Err(failure),
        (Ok(_), Err(failure)) => return Err(Failure::Files(failure)),
        (Ok(answer), Ok(sent)) => (answer, sent),
    };
    for skipped in &sent.told {
        notice(format!("{}: {}", printable(&skipped.name), printable(&skipped.why)));
    }
    let more = sent.skipped.saturating_sub(sent.told.len() as u64);
    if more > 0 {
        notice(format!("and {more} more that were left out, or are not as they were"));
    }
    told(&answer);
    if out.is_json() { out.answer(&answer, |_| "") } else { Ok(()) }
}

fn read(
    from: &Path,
    follow: bool,
    top: &str,
    bounds: Bounds,
    chunks: mpsc::Sender<Vec<u8>>,
) -> Result<Sent, tree::Failure> {
    let failed = |error: io::Error| tree::Failure::new(tree::Cause::System, format!("open {from:?}: {error}"));
    let path = std::path::absolute(from).map_err(failed)?;
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|error| failed(error.into()))?;
    let root = File::open("/").map_err(failed)?;
    let last = if follow { Last::Followed } else { Last::Itself };
    let mut walk = Walk::new(BufWriter::with_capacity(CHUNK, Outgoing(chunks)), bounds);
    walk.send(root.as_fd(), &path, last, top.as_bytes())?;
    walk.finish()
}

/// Sends the header and what comes, and waits for the answer.
async fn send(
    args: &CopyArgs,
    name: String,
    directory: String,
    agent: &Agent,
    chunks: mpsc::Receiver<Vec<u8>>,
) -> Result<WriteFilesResponse, Failure> {
    let overwrite = if args.no_clobber { OverwritePolicy::Refuse } else { OverwritePolicy::Replace };
    let header = WriteFilesHeader {
        name,
        uid: String::new(),
        directory: if directory.is_empty() { "/".to_owned() } else { directory },
        owner: (!args.archive).then_some(FileOwner { uid: 0, gid: 0 }),
        overwrite: overwrite.into(),
        max_unpacked_bytes: Some(args.max_size),
        max_entries: Some(args.max_entries),
        request_id: Uuid::new_v4().to_string(),
    };
    let counter = Counter::default();
    let counted = counter.clone();
    let chunks = ReceiverStream::new(chunks).map(move |chunk| {
        counted.add(chunk.len());
        WriteFilesRequest { item: Some(Item::Chunk(chunk)) }
    });
    let messages = tokio_stream::once(WriteFilesRequest { item: Some(Item::Header(header)) }).chain(chunks);
    let work = async { agent.write_files(messages).await.map_err(|status| agent.failure(status)) };
    progress::counted("copying", || counter.text(), agent.bounded(work)).await
}

fn told(answer: &WriteFilesResponse) {
    if answer.attributes_left_out > 0 {
        notice(format!("{} extended attributes were left out", answer.attributes_left_out));
    }
}
