//! WriteFiles.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tonic::{Status, Streaming};
use tonic_types::FieldViolation;
use tweendeck_proto::v1::write_files_request::Item;
use tweendeck_proto::v1::{OverwritePolicy, WriteFilesHeader, WriteFilesRequest, WriteFilesResponse};
use tweendeck_runtime::files::{Job, Outcome, Task};

use super::super::serve::Api;
use super::super::status::Refusal;
use super::super::validate::{self, Violations};
use super::copying::Copying;
use super::{IDLE, going_down, stands_still, unexpected};

/// Most bytes of a chunk.
const CHUNK_MAX: usize = 1 << 20;

impl Api {
    pub(super) async fn write(&self, mut messages: Streaming<WriteFilesRequest>) -> Result<WriteFilesResponse, Status> {
        let header = match next(&mut messages).await? {
            Some(Item::Header(header)) => header,
            Some(Item::Chunk(_)) | None => {
                return Err(field("header", "must come first, in a message of its own").into());
            }
        };
        let copying = self.begin(header).await?;
        tokio::select! { biased;
            written = pass_on(copying, &mut messages) => written,
            () = going_down(self.stopping()) => Err(Refusal::NotReady.into()),
        }
    }

    async fn begin(&self, header: WriteFilesHeader) -> Result<Copying, Refusal> {
        let WriteFilesHeader { name, uid, directory, owner, overwrite, max_unpacked_bytes, max_entries, request_id } =
            header;
        let mut violations = Violations::default();
        validate::container_name(&name, &mut violations);
        let precondition = validate::precondition(&uid, "", &mut violations);
        validate::inside_path(&directory, "header.directory", &mut violations);
        let known = OverwritePolicy::try_from(overwrite);
        violations.require(known.is_ok(), "header.overwrite", "is not a value this version knows");
        let (bytes, entries) = validate::copy_bounds(max_unpacked_bytes, max_entries, "header.", &mut violations);
        validate::request_id(&request_id, [0; 32], &mut violations);
        violations.finish()?;
        let located = self.place(&name, &precondition, true).await?;
        let mut violations = Violations::default();
        if let Some(owner) = owner {
            let allowed = format!("must be 0 to {}", located.id);
            violations.require(owner.uid <= located.id, "header.owner.uid", &allowed);
            violations.require(owner.gid <= located.id, "header.owner.gid", &allowed);
        }
        violations.finish()?;
        tracing::info!(container = name, directory, request_id, "files are written into it");
        let owner = owner.map(|owner| (owner.uid, owner.gid));
        let replace = known != Ok(OverwritePolicy::Refuse);
        let task = Task::Write { directory, owner, replace };
        let job = Job { place: located.place, task, bytes, entries, id: located.id };
        Copying::start(self, job, self.turn()?).await
    }
}

/// Passes chunks on until there are no more, or the process has ended. A caller who leaves in the middle makes this an error, which drops the copy.
async fn pass_on(
    mut copying: Copying,
    messages: &mut Streaming<WriteFilesRequest>,
) -> Result<WriteFilesResponse, Status> {
    let (mut ended, mut stream) = copying.stream()?.into_split();
    let mut nothing = [0];
    loop {
        let item = tokio::select! { biased;
            item = next(messages) => item?,
            // It says nothing there before its end.
            _ = ended.read(&mut nothing) => break,
        };
        match item {
            Some(Item::Chunk(chunk)) if chunk.len() <= CHUNK_MAX => {
                let written = timeout(IDLE, stream.write_all(&chunk)).await.map_err(|_| stands_still())?;
                // It has ended, and its outcome says why.
                if written.is_err() {
                    break;
                }
            }
            Some(Item::Chunk(_)) => return Err(field("chunk", "must be at most 1048576 bytes").into()),
            Some(Item::Header(_)) => return Err(field("header", "must come once, before everything else").into()),
            None => break,
        }
    }
    // Without an end mark before it, this end makes the archive one that was cut off.
    drop((ended, stream));
    match copying.outcome().await? {
        Outcome::Written(written) => Ok(WriteFilesResponse {
            entries: written.entries,
            bytes: written.bytes,
            attributes_left_out: written.attributes,
        }),
        other @ (Outcome::Found(_) | Outcome::Sent(_) | Outcome::Failed(_)) => Err(unexpected(&other).into()),
    }
}

/// What the caller sends next; `None` at the end.
async fn next(messages: &mut Streaming<WriteFilesRequest>) -> Result<Option<Item>, Status> {
    let message = timeout(IDLE, messages.message()).await.map_err(|_| stands_still())?;
    match message? {
        None => Ok(None),
        Some(WriteFilesRequest { item: Some(item) }) => Ok(Some(item)),
        Some(WriteFilesRequest { item: None }) => Err(field("item", "must be a header or a chunk").into()),
    }
}

fn field(name: &str, text: &str) -> Refusal {
    Refusal::Fields(vec![FieldViolation::new(name, text)])
}
