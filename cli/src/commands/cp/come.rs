//! Out of a container.

use std::fs;
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;
use tweendeck_archive::tree::{Cause, Owner, Put, Terms};
use tweendeck_archive::{Bounds, Entry, Kind, Name, Problem, Reader};
use tweendeck_proto::v1::read_files_response::Item;
use tweendeck_proto::v1::{ReadFilesRequest, ReadSummary};

use super::place::{There, name, target};
use super::stream::{Counter, Incoming};
use super::{CHUNK, WAITING, bounds, is_directory, refused, stat};
use crate::agent::Agent;
use crate::args::CopyArgs;
use crate::failure::Failure;
use crate::output::{Printer, notice, printable};
use crate::progress;

/// An archive on standard output.
pub(super) async fn to_stream(args: &CopyArgs, name: String, path: String, agent: &Agent) -> Result<(), Failure> {
    let (chunks, mut incoming) = mpsc::channel::<Vec<u8>>(WAITING);
    let writing = tokio::task::spawn_blocking(move || -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        while let Some(chunk) = incoming.blocking_recv() {
            stdout.write_all(&chunk)?;
        }
        stdout.flush()
    });
    let read = receive(args, name, path, agent, chunks).await;
    let written = writing.await.map_err(io::Error::other).and_then(|written| written);
    match (read, written) {
        (_, Err(error)) => Err(Failure::Output(error)),
        (Err(failure), Ok(())) => Err(failure),
        (Ok(summary), Ok(())) => summary.map_or(Err(cut_off()), |summary| {
            tell(&summary);
            Ok(())
        }),
    }
}

/// Files here.
pub(super) async fn to_files(
    args: &CopyArgs,
    container: String,
    path: String,
    to: PathBuf,
    agent: &Agent,
    out: &mut Printer,
) -> Result<(), Failure> {
    let found = stat(agent, &container, &path, args.follow_link || path.ends_with('/')).await?;
    let found = found.ok_or_else(|| refused(format!("nothing is at {path:?} in container {container:?}")))?;
    let destination = to.to_str().ok_or_else(|| refused("the destination's name is no UTF-8"))?;
    let there = match fs::metadata(&to) {
        Ok(found) if found.is_dir() => There::Directory,
        Ok(_) => There::Something,
        Err(_) if fs::symlink_metadata(&to).is_ok() => There::Something,
        Err(_) => There::Nothing,
    };
    let target = target(&path, is_directory(&found), destination, there).map_err(refused)?;
    let directory = if target.directory.is_empty() { "." } else { &target.directory };
    let directory = fs::File::open(directory).and_then(|opened| {
        if opened.metadata()?.is_dir() { Ok(opened) } else { Err(io::ErrorKind::NotADirectory.into()) }
    });
    let directory = directory.map_err(|error| refused(format!("open {:?}: {error}", target.directory)))?;
    let terms = Terms {
        owner: if args.archive { Owner::Archive } else { Owner::Maker },
        replace: !args.no_clobber,
        privileges: args.archive,
        most: args.max_entries,
    };
    // The archive calls it by its own last part, or says `.`; here it is called by what was decided.
    let renamed = Renamed { from: name(&path).unwrap_or_default().into(), to: target.name.unwrap_or_default().into() };
    let (chunks, incoming) = mpsc::channel(WAITING);
    let limits = bounds(args);
    let writing = tokio::task::spawn_blocking(move || {
        write(Incoming::new(incoming), Put::new(directory.into(), terms), limits, &renamed)
    });
    let read = receive(args, container, path, agent, chunks).await;
    let written = writing.await.map_err(|error| refused(format!("write the files: {error}")))?;
    let summary = match (read, written) {
        // What was refused here ended the call, and is the reason.
        (Ok(None), Ok(_)) => return Err(cut_off()),
        (Ok(_), Err(failure)) => return Err(Failure::Files(failure)),
        // What the agent says is the reason for an archive that was cut off.
        (Err(failure), _) => return Err(failure),
        (Ok(Some(summary)), Ok(left_out)) => {
            if left_out > 0 {
                notice(format!("{left_out} extended attributes were left out"));
            }
            summary
        }
    };
    tell(&summary);
    if out.is_json() { out.answer(&summary, |_| "") } else { Ok(()) }
}

/// Passes chunks on until the end; `None` when whoever took them has gone.
async fn receive(
    args: &CopyArgs,
    name: String,
    path: String,
    agent: &Agent,
    chunks: mpsc::Sender<Vec<u8>>,
) -> Result<Option<ReadSummary>, Failure> {
    let request = ReadFilesRequest {
        name,
        follow: args.follow_link || path.ends_with('/'),
        path,
        uid: String::new(),
        max_unpacked_bytes: Some(args.max_size),
        max_entries: Some(args.max_entries),
    };
    let counter = Counter::default();
    let work = async {
        let mut items = agent.read_files(request).await.map_err(|status| agent.failure(status))?;
        loop {
            match items.message().await.map_err(|status| agent.failure(status))?.and_then(|item| item.item) {
                Some(Item::Chunk(chunk)) => {
                    counter.add(chunk.len());
                    if chunks.send(chunk).await.is_err() {
                        return Ok(None);
                    }
                }
                Some(Item::Summary(summary)) => return Ok(Some(summary)),
                None => return Err(Failure::Incomplete("summary of the files")),
            }
        }
    };
    // Behind the work: dropping the sender is the end of the archive for whoever takes it.
    let done = progress::counted("copying", || counter.text(), agent.bounded(work)).await;
    drop(chunks);
    done
}

fn write(
    from: Incoming,
    mut put: Put,
    bounds: Bounds,
    renamed: &Renamed,
) -> Result<u64, tweendeck_archive::tree::Failure> {
    let broken = |problem: Problem| tweendeck_archive::tree::Failure::new(Cause::Archive, problem.to_string());
    let mut reader = Reader::new(BufReader::with_capacity(CHUNK, from), bounds);
    let mut left_out = 0_u64;
    while let Some(entry) = reader.next_entry().map_err(broken)? {
        let entry = renamed.entry(entry)?;
        left_out = left_out.saturating_add(put.put(&entry, &mut reader)?.left_out);
    }
    put.finish()?;
    reader.finish().map_err(broken)?;
    Ok(left_out)
}

/// Another first part of names.
struct Renamed {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Renamed {
    /// The entry by its name here. One that does not begin as asked is none of what was asked for.
    fn entry(&self, entry: Entry) -> Result<Entry, tweendeck_archive::tree::Failure> {
        let name = self.name(&entry.name)?;
        let kind = match entry.kind {
            Kind::Link(target) => Kind::Link(self.name(&target)?),
            kind @ (Kind::Directory | Kind::File(_) | Kind::Symlink(_) | Kind::Fifo | Kind::Device) => kind,
        };
        Ok(Entry { name, kind, ..entry })
    }

    fn name(&self, name: &Name) -> Result<Name, tweendeck_archive::tree::Failure> {
        let refuse = |why: &str| {
            let name = printable(&String::from_utf8_lossy(name.as_bytes()));
            tweendeck_archive::tree::Failure::new(Cause::Archive, format!("the archive's entry {name:?} {why}"))
        };
        let bytes = name.as_bytes();
        let rest = if self.from.is_empty() {
            Some(bytes)
        } else {
            let rest = bytes.strip_prefix(self.from.as_slice());
            rest.and_then(|rest| if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") })
        };
        let rest = rest.ok_or_else(|| refuse("is not below what was asked for"))?;
        let parts: Vec<&[u8]> = [self.to.as_slice(), rest].into_iter().filter(|part| !part.is_empty()).collect();
        let joined = parts.join(&b'/');
        Name::parse(if joined.is_empty() { b"." } else { &joined }).map_err(refuse)
    }
}

fn cut_off() -> Failure {
    refused("the copy was not taken to its end")
}

/// What is not there as it was.
fn tell(summary: &ReadSummary) {
    for skipped in &summary.skipped {
        notice(format!("{}: {}", printable(&skipped.name), printable(&skipped.reason)));
    }
    let more = summary.skipped_total.saturating_sub(summary.skipped.len() as u64);
    if more > 0 {
        notice(format!("and {more} more that were left out, or are not as they were"));
    }
}

/// Whether a path is a directory here.
pub(super) fn is_local_directory(path: &Path, follow: bool) -> io::Result<bool> {
    let found = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
    found.map(|found| found.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use tweendeck_archive::{Content, END, Time, header, padding};

    fn entry(name: &str, kind: Kind) -> Entry {
        let name = Name::parse(name.as_bytes()).unwrap();
        let modified = Time { seconds: 1, nanos: 0 };
        Entry { name, kind, mode: 0o6755, uid: 1, gid: 1, modified, attributes: Vec::new(), left_out: 0 }
    }

    fn file(name: &str) -> Entry {
        entry(name, Kind::File(Content { size: 1, pieces: None }))
    }

    /// What comes of these entries, each file with one byte, in a directory.
    fn arrive(entries: &[Entry], to: &Path, renamed: (&str, &str)) -> Result<u64, String> {
        let (sender, receiver) = mpsc::channel(1);
        let entries = entries.to_vec();
        let sending = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            for entry in &entries {
                bytes.extend(header(entry));
                if matches!(entry.kind, Kind::File(_)) {
                    bytes.push(b'x');
                    bytes.resize(bytes.len() + padding(1), 0);
                }
            }
            bytes.extend(END);
            // In small pieces; whoever refuses something takes no more.
            bytes.chunks(700).all(|chunk| sender.blocking_send(chunk.to_vec()).is_ok())
        });
        let terms = Terms { owner: Owner::Maker, replace: true, privileges: false, most: 10 };
        let put = Put::new(fs::File::open(to).unwrap().into(), terms);
        let renamed = Renamed { from: renamed.0.into(), to: renamed.1.into() };
        let bounds = Bounds { bytes: 1 << 20, entries: 100, id: u32::MAX };
        let written = write(Incoming::new(receiver), put, bounds, &renamed);
        sending.join().unwrap();
        written.map_err(|failure| failure.message)
    }

    #[test]
    fn what_comes_is_called_as_it_was_decided_and_has_no_rights_of_others() {
        let here = tempfile::tempdir().unwrap();
        let hard = entry("d/hard", Kind::Link(Name::parse(b"d/f").unwrap()));
        arrive(&[entry("d", Kind::Directory), file("d/f"), hard], here.path(), ("d", "new")).unwrap();
        let found = fs::metadata(here.path().join("new/f")).unwrap();
        assert_eq!((found.permissions().mode() & 0o7777, found.nlink(), found.mtime()), (0o755, 2, 1));
        arrive(&[entry(".", Kind::Directory), file("f")], here.path(), ("", "")).unwrap();
        assert!(here.path().join("f").is_file());
    }

    #[test]
    fn a_hostile_container_gets_nothing_out_of_the_destination() {
        let place = tempfile::tempdir().unwrap();
        let (here, outside) = (place.path().join("here"), place.path().join("outside"));
        fs::create_dir(&here).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("f"), "mine").unwrap();
        let away = || CString::new(outside.to_str().unwrap()).unwrap();
        // CVE-2018-1002100 and CVE-2019-11246: a name that was not asked for; CVE-2019-1002101: a link, then something through it.
        for (entries, why) in [
            (vec![file("other/f")], "is not below what was asked for"),
            (vec![file("dir/f")], "is not below what was asked for"),
            (vec![entry("d", Kind::Symlink(away())), file("d/f")], "symbolic link in its path"),
            (vec![file("d/x"), entry("d/l", Kind::Symlink(away())), file("d/l/f")], "symbolic link in its path"),
            (vec![entry("d/h", Kind::Link(Name::parse(b"outside/f").unwrap()))], "is not below what was asked for"),
            (vec![entry("d/null", Kind::Device)], "device node"),
        ] {
            let refused = arrive(&entries, &here, ("d", "d")).unwrap_err();
            assert!(refused.contains(why), "{refused}");
            fs::remove_dir_all(&here).unwrap();
            fs::create_dir(&here).unwrap();
        }
        // A link that was here before is replaced, not followed.
        symlink(outside.join("f"), here.join("d")).unwrap();
        arrive(&[file("d")], &here, ("d", "d")).unwrap();
        assert_eq!(fs::read_to_string(outside.join("f")).unwrap(), "mine");
        assert_eq!(fs::read_to_string(here.join("d")).unwrap(), "x");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }
}
