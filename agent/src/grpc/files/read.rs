//! ReadFiles.

use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tweendeck_proto::v1::read_files_response::Item;
use tweendeck_proto::v1::{ReadFilesRequest, ReadFilesResponse, ReadSummary, SkippedFile};
use tweendeck_runtime::files::{Job, Outcome, Sent, Task};

use super::super::serve::Api;
use super::super::status::Refusal;
use super::super::validate::{self, Violations};
use super::copying::Copying;
use super::{IDLE, going_down, stands_still, unexpected};
use crate::tasks;

/// Most bytes of a chunk; and how many wait for a slow caller.
const CHUNK: u64 = 256 << 10;
const WAITING: usize = 2;

pub(super) type Items = ReceiverStream<Result<ReadFilesResponse, Status>>;

impl Api {
    pub(super) async fn read(&self, request: ReadFilesRequest) -> Result<Items, Refusal> {
        let ReadFilesRequest { name, path, follow, uid, max_unpacked_bytes, max_entries } = request;
        let mut violations = Violations::default();
        validate::container_name(&name, &mut violations);
        let precondition = validate::precondition(&uid, "", &mut violations);
        validate::inside_path(&path, "path", &mut violations);
        let (bytes, entries) = validate::copy_bounds(max_unpacked_bytes, max_entries, "", &mut violations);
        violations.finish()?;
        let located = self.place(&name, &precondition, false).await?;
        tracing::info!(container = name, path, "its files are read");
        let top = top(&path).to_owned();
        let job = Job { place: located.place, task: Task::Read { path, follow, top }, bytes, entries, id: located.id };
        let copying = Copying::start(self, job, self.turn()?).await?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let stopping = self.stopping();
        tasks::spawn("read files", async move {
            // A caller who leaves drops the receiver; the copy is dropped with this task's work, which ends it.
            let ended = tokio::select! { biased;
                ended = pass_on(copying, &sender) => ended,
                () = sender.closed() => return,
                () = going_down(stopping) => Err(Refusal::NotReady),
            };
            let last = ended.map(|summary| ReadFilesResponse { item: Some(Item::Summary(summary)) });
            let _ = sender.send(last.map_err(Status::from)).await;
        });
        Ok(ReceiverStream::new(receiver))
    }
}

async fn pass_on(
    mut copying: Copying,
    to: &mpsc::Sender<Result<ReadFilesResponse, Status>>,
) -> Result<ReadSummary, Refusal> {
    let mut stream = copying.stream()?;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK as usize);
        let read = timeout(IDLE, (&mut stream).take(CHUNK).read_to_end(&mut chunk)).await;
        // A process that died has reset the connection; its outcome says so.
        let ended = !matches!(read.map_err(|_| stands_still())?, Ok(length) if length as u64 == CHUNK);
        if !chunk.is_empty() {
            let item = ReadFilesResponse { item: Some(Item::Chunk(chunk)) };
            let sent = timeout(IDLE, to.send(Ok(item))).await.map_err(|_| stands_still())?;
            if sent.is_err() {
                return Err(Refusal::Internal("nobody reads the files any more".to_owned()));
            }
        }
        if ended {
            break;
        }
    }
    drop(stream);
    match copying.outcome().await? {
        Outcome::Sent(sent) => Ok(summary(sent)),
        other @ (Outcome::Found(_) | Outcome::Written(_) | Outcome::Failed(_)) => Err(unexpected(&other)),
    }
}

/// What a path is called in the archive: its last part, or nothing if that is a way to say "here".
fn top(path: &str) -> &str {
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if matches!(last, "." | "..") { "" } else { last }
}

fn summary(sent: Sent) -> ReadSummary {
    let Sent { entries, bytes, skipped, told } = sent;
    let told = told.into_iter().map(|skipped| SkippedFile { name: skipped.name, reason: skipped.why });
    ReadSummary { entries, bytes, skipped_total: skipped, skipped: told.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_called_by_its_last_part() {
        for (path, name) in
            [("/", ""), ("/a", "a"), ("/a/b/", "b"), ("/a/.", ""), ("/a/..", ""), ("//", ""), ("/.a", ".a")]
        {
            assert_eq!(top(path), name, "{path}");
        }
    }
}
