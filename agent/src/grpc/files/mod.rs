//! `FileService`: bytes are passed on between a caller and the process that copies (`tweendeck_runtime::files`), which alone reads what is in them.

mod copying;
mod place;
mod read;
mod write;

use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Request, Response, Status, Streaming};
use tweendeck_proto::v1::file_service_server::FileService;
use tweendeck_proto::v1::{
    FileKind, FileStat, ReadFilesRequest, StatFileRequest, StatFileResponse, WriteFilesRequest, WriteFilesResponse,
};
use tweendeck_runtime::files::{Cause, Failure, Found, Job, Outcome, Sort, Task};

use super::serve::Api;
use super::status::Refusal;
use super::validate::{self, Violations};
use copying::Copying;

/// How long a copy may stand still.
const IDLE: Duration = Duration::from_secs(5 * 60);
/// How many copies go on at once on a node. Each is a process and a few buffers; what they keep busy is the disk.
pub(super) const COPIES: usize = 16;

#[tonic::async_trait]
impl FileService for Api {
    async fn stat_file(&self, request: Request<StatFileRequest>) -> Result<Response<StatFileResponse>, Status> {
        let StatFileRequest { name, path, follow, uid } = request.into_inner();
        let mut violations = Violations::default();
        validate::container_name(&name, &mut violations);
        let precondition = validate::precondition(&uid, "", &mut violations);
        validate::inside_path(&path, "path", &mut violations);
        violations.finish()?;
        let place = self.place(&name, &precondition, false).await?;
        let task = Task::Stat { path, follow };
        let job = Job { place: place.place, task, bytes: 0, entries: 1, id: place.id };
        let turn = self.turn()?;
        let copying = Copying::start(self, job, turn).await?;
        match copying.outcome().await? {
            Outcome::Found(found) => Ok(Response::new(StatFileResponse { file: Some(file_stat(found)) })),
            other @ (Outcome::Sent(_) | Outcome::Written(_) | Outcome::Failed(_)) => Err(unexpected(&other).into()),
        }
    }

    type ReadFilesStream = read::Items;

    async fn read_files(&self, request: Request<ReadFilesRequest>) -> Result<Response<read::Items>, Status> {
        Ok(Response::new(self.read(request.into_inner()).await?))
    }

    async fn write_files(
        &self,
        request: Request<Streaming<WriteFilesRequest>>,
    ) -> Result<Response<WriteFilesResponse>, Status> {
        // In a box: what is kept of a stream would fill the caller's stack.
        Box::pin(self.write(request.into_inner())).await.map(Response::new)
    }
}

impl Api {
    /// Room for one more copy.
    fn turn(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let busy = || Refusal::Busy(format!("{COPIES} copies of files are under way on this node; try again later"));
        self.copies().try_acquire_owned().map_err(|_| busy())
    }
}

/// As many turns as there may be copies.
pub(super) fn turns() -> Semaphore {
    Semaphore::new(COPIES)
}

/// What no process says to this question.
fn unexpected(outcome: &Outcome) -> Refusal {
    match outcome {
        Outcome::Failed(failure) => Refusal::File(failure.clone()),
        Outcome::Found(_) | Outcome::Sent(_) | Outcome::Written(_) => {
            Refusal::Internal("the process that copies answered another question".to_owned())
        }
    }
}

fn file_stat(found: Found) -> FileStat {
    let Found { sort, size, mode, uid, gid, seconds, nanos, target } = found;
    let kind = match sort {
        Sort::File => FileKind::File,
        Sort::Directory => FileKind::Directory,
        Sort::Symlink => FileKind::Symlink,
        Sort::Fifo => FileKind::Fifo,
        Sort::Socket => FileKind::Socket,
        Sort::Device => FileKind::Device,
    };
    FileStat {
        kind: kind.into(),
        size_bytes: if sort == Sort::File { size } else { 0 },
        mode,
        owner_uid: uid,
        owner_gid: gid,
        modify_time: Some(prost_types::Timestamp { seconds, nanos: nanos.cast_signed() }),
        link_target: target.unwrap_or_default(),
    }
}

/// Whether the agent goes down; then a copy ends, and its caller may repeat it with the next one.
async fn going_down(mut stopping: tokio::sync::watch::Receiver<bool>) {
    // A closed channel means the same.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// A copy over which nothing moves.
fn stands_still() -> Refusal {
    let text = format!("nothing was read or written for {} minutes", IDLE.as_secs() / 60);
    Refusal::File(Failure::new(Cause::Stream, text))
}
