//! Files into containers and out of them.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{Api, assert_refused, fields, script};
use tweendeck_integration_tests::eventually::eventually;
use tweendeck_integration_tests::{kernel, tools};
use tweendeck_proto::v1::write_files_request::Item;
use tweendeck_proto::v1::*;

/// What sets an attribute of the file that is copied; nothing where a tmpfs, which it is copied to, has none of that kind (before Linux 6.6).
const ATTRIBUTE: &str = r#"
import errno, os, tempfile
try:
    with tempfile.TemporaryFile(dir="/dev/shm") as probe:
        os.setxattr(probe.fileno(), "user.a", b"")
except OSError as error:
    if error.errno != errno.EOPNOTSUPP:
        raise
else:
    os.setxattr("d/file", "user.a", b"value")
"#;

/// A tree with something of everything that a copy keeps.
fn sample(root: &Path) {
    let at = |name: &str| root.join(name);
    fs::create_dir_all(at("d/sub")).unwrap();
    fs::write(at("d/file"), "hello").unwrap();
    fs::set_permissions(at("d/file"), Permissions::from_mode(0o4750)).unwrap();
    fs::hard_link(at("d/file"), at("d/sub/hard")).unwrap();
    fs::write(at(&format!("d/{}", "n".repeat(200))), "long").unwrap();
    symlink("/etc/passwd", at("d/link")).unwrap();
    let holes = File::create(at("d/holes")).unwrap();
    holes.write_all_at(b"x", 3 << 20).unwrap();
    holes.set_len(64 << 20).unwrap();
    for (name, uid) in [("d/file", 1000), ("d/sub", 7), ("d/link", 65_535)] {
        std::os::unix::fs::lchown(at(name), Some(uid), Some(uid)).unwrap();
    }
    fs::set_permissions(at("d/file"), Permissions::from_mode(0o4750)).unwrap();
    for line in [
        "mkfifo d/fifo",
        format!("python3 -c '{ATTRIBUTE}'").as_str(),
        "touch -h -d 2001-02-03T04:05:06.123456789Z d/file d/link d/sub",
    ] {
        let done = Command::new("sh").args(["-c", line]).current_dir(root).status().unwrap();
        assert!(done.success(), "{line}");
    }
}

/// What of a tree must be the same after a copy, by another's eyes.
fn picture(root: &Path) -> String {
    let text = "find . -printf '%p %y %m %U %G %n %s %l\\n' | sort; find . ! -type l -type f -exec md5sum {} + | sort; stat -c '%n %y' file link sub; python3 -c 'import os; print([(name, os.getxattr(\"file\", name)) for name in os.listxattr(\"file\")])'";
    let output = Command::new("sh").args(["-c", text]).current_dir(root.join("d")).output().unwrap();
    assert!(output.status.success());
    // The size of a directory is its file system's business.
    let lines = String::from_utf8(output.stdout).unwrap();
    let plain = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        if words.get(1) == Some(&"d") { words[..5].join(" ") } else { line.to_owned() }
    };
    lines.lines().map(plain).collect::<Vec<_>>().join("\n")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn ok(agent: &Agent, arguments: &[&str]) -> String {
    let output = agent.tween(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
    said(&output)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_goes_in_and_comes_back_as_it_was() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    api.run("web", script("exec sleep 1000")).await.unwrap();
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample(from.path());
    let (source, back) = (from.path().join("d"), to.path().to_str().unwrap());
    assert_eq!(ok(&agent, &["cp", "-a", source.to_str().unwrap(), "web:/run"]), "");
    assert_eq!(ok(&agent, &["cp", "-a", "web:/run/d", back]), "");
    assert_eq!(picture(to.path()), picture(from.path()));
    assert!(fs::metadata(to.path().join("d/holes")).unwrap().blocks() <= 16, "holes stay holes");
}

fn header(name: &str, directory: &str) -> WriteFilesHeader {
    WriteFilesHeader { name: name.into(), directory: directory.into(), ..Default::default() }
}

/// Begins to write; chunks go into the channel, whose end is the end of the archive.
fn begin(
    api: &Api,
    header: WriteFilesHeader,
) -> (mpsc::Sender<Vec<u8>>, tokio::task::JoinHandle<Result<WriteFilesResponse, Status>>) {
    let (sender, mut chunks) = mpsc::channel(1);
    let (messages, receiver) = mpsc::channel(1);
    let mut files = api.files.clone();
    let call = tokio::spawn(async move { Ok(files.write_files(ReceiverStream::new(receiver)).await?.into_inner()) });
    tokio::spawn(async move {
        let _ = messages.send(WriteFilesRequest { item: Some(Item::Header(header)) }).await;
        while let Some(chunk) = chunks.recv().await {
            if messages.send(WriteFilesRequest { item: Some(Item::Chunk(chunk)) }).await.is_err() {
                return;
            }
        }
    });
    (sender, call)
}

async fn write(api: &Api, header: WriteFilesHeader, archive: &[u8]) -> Result<WriteFilesResponse, Status> {
    let (sender, call) = begin(api, header);
    for chunk in archive.chunks(1 << 18) {
        // Refused in the middle, it takes no more.
        let _ = sender.send(chunk.to_vec()).await;
    }
    drop(sender);
    call.await.unwrap()
}

async fn stat(api: &Api, name: &str, path: &str) -> Result<FileStat, Status> {
    let request = StatFileRequest { name: name.into(), path: path.into(), ..Default::default() };
    Ok(api.files.clone().stat_file(request).await?.into_inner().file.unwrap())
}

/// An archive that Python makes: names with their kinds and links, which need not be sensible.
fn made(entries: &str) -> Vec<u8> {
    let text = format!(
        "import tarfile, sys, io\nt = tarfile.open(fileobj=sys.stdout.buffer, mode='w|')\nfor name, kind, link, size in [{entries}]:\n e = tarfile.TarInfo(name); e.type = kind; e.linkname = link; e.size = size\n t.addfile(e, io.BytesIO(b'x' * size))\nt.close()"
    );
    let output = Command::new("python3").args(["-c", &text]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    output.stdout
}

/// Processes that copy for an agent.
fn copiers(agent: &Agent) -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|found| found.unwrap().file_name().to_str()?.parse().ok());
    let is_one = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| stat.contains("(tweendeck-cp)") && stat.contains(&format!(") S {} ", agent.pid())))
    };
    pids.filter(is_one).collect()
}

/// What a running container's root has, as the host sees it.
fn inside(container: &Container, path: &str) -> std::path::PathBuf {
    format!("/proc/{}/root{path}", container.status.as_ref().unwrap().pid).into()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|found| found.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn with_tmpfs(size_bytes: u64) -> ContainerSpec {
    let tmpfs = TmpfsMount { size_bytes: Some(size_bytes), ..Default::default() };
    let mount = Mount { target: "/scratch".into(), source: Some(mount::Source::Tmpfs(tmpfs)) };
    ContainerSpec { mounts: vec![mount], ..script("exec sleep 1000") }
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_are_those_of_the_container_and_names_go_where_cp_would_put_them() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let container = api.run("web", script("exec sleep 1000")).await.unwrap();
    let here = tempfile::tempdir().unwrap();
    let at = |name: &str| here.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(at("d")).unwrap();
    fs::write(at("d/f"), "hello").unwrap();
    std::os::unix::fs::chown(at("d/f"), Some(1000), Some(1000)).unwrap();
    ok(&agent, &["cp", &at("d/f"), "web:/run/g"]);
    ok(&agent, &["cp", "--archive", &at("d"), "web:/run/new"]);
    ok(&agent, &["cp", &at("d/."), "web:/run"]);
    let of = async |path: &str| {
        let found = stat(&api, "web", path).await.unwrap();
        (found.kind(), found.size_bytes, found.owner_uid, found.owner_gid)
    };
    assert_eq!(of("/run/g").await, (FileKind::File, 5, 0, 0));
    assert_eq!(of("/run/new/f").await, (FileKind::File, 5, 1000, 1000));
    assert_eq!(of("/run/f").await, (FileKind::File, 5, 0, 0));
    // The first id of a range of the container's own, not the host's.
    assert!(fs::metadata(inside(&container, "/run/g")).unwrap().uid() >= 65_536);
    ok(&agent, &["cp", "web:/run/new", &at("back")]);
    assert_eq!(fs::read_to_string(at("back/f")).unwrap(), "hello");
    assert_eq!(fs::metadata(at("back/f")).unwrap().uid(), 0);
    ok(&agent, &["cp", "web:/run/new/f", &at("d")]);
    ok(&agent, &["cp", "web:/run/new/.", &at("back")]);
    assert_eq!(names(Path::new(&at("back"))), ["f"]);
    for (arguments, code) in [
        (vec!["cp", "web:/none", &at("x")], 1),
        (vec!["cp", "web:/run/new", &at("d/f")], 1),
        (vec!["cp", &at("none"), "web:/run"], 1),
        (vec!["cp", &at("d/f"), "web:/none/"], 1),
        (vec!["cp", &at("d/f"), "web:/none/x"], 1),
        (vec!["cp", &at("d/f"), "web:/run/new/f", "--no-clobber"], 1),
        (vec!["cp", &at("d/f"), &at("x")], 2),
        (vec!["cp", "web:/run/f", "web:/run/g"], 2),
        (vec!["cp", "web:run/f", &at("x")], 2),
    ] {
        let output = agent.tween(&arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        assert!(!Path::new(&at("x")).exists(), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_come_and_go_over_pipes() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    api.run("web", script("exec sleep 1000")).await.unwrap();
    let from = tempfile::tempdir().unwrap();
    sample(from.path());
    let tar = Command::new("tar")
        .args(["-c", "--xattrs", "--sparse", "--format=posix", "-C"])
        .arg(from.path())
        .arg("d")
        .output()
        .unwrap();
    let socket = format!("unix://{}", agent.socket().display());
    let tween = || {
        let mut command = Command::new(tools::binary("tween"));
        command.args(["--host", &socket]);
        command
    };
    let mut put = tween().args(["cp", "-a", "-", "web:/run"]).stdin(Stdio::piped()).spawn().unwrap();
    put.stdin.take().unwrap().write_all(&tar.stdout).unwrap();
    assert!(put.wait().unwrap().success());
    let got = tween().args(["cp", "web:/run/d", "-"]).output().unwrap();
    assert!(got.status.success(), "{}", said(&got));
    let to = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar");
    tar.args(["-x", "-p", "--xattrs", "--numeric-owner", "-C"]).arg(to.path()).stdin(Stdio::piped());
    let mut tar = tar.spawn().unwrap();
    tar.stdin.take().unwrap().write_all(&got.stdout).unwrap();
    assert!(tar.wait().unwrap().success());
    assert_eq!(picture(to.path()), picture(from.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_does_not_run_is_served_if_its_root_outlives_it() {
    let agent = Agent::with(&["--security-allow-privileged=true"]).await;
    let api = agent.api().await;
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("srv/sub")).unwrap();
    // Links lead to where they would inside.
    symlink("/srv/sub", root.path().join("link")).unwrap();
    let path = root.path().to_str().unwrap().to_owned();
    let rooted = |readonly: bool| {
        let directory = DirectoryRootfs { path: path.clone(), readonly };
        let rootfs = Some(RootFilesystem { source: Some(root_filesystem::Source::Directory(directory)) });
        ContainerSpec { rootfs, ..script("true") }
    };
    api.create("still", rooted(false)).await.unwrap();
    let owner = Some(FileOwner { uid: 5, gid: 65_535 });
    let into = WriteFilesHeader { owner, ..header("still", "/link") };
    let archive = made("('a/f', b'0', '', 3)");
    let written = write(&api, into, &archive).await.unwrap();
    assert_eq!((written.entries, written.bytes), (1, 3));
    let found = fs::metadata(root.path().join("srv/sub/a/f")).unwrap();
    assert_eq!((found.uid(), found.gid(), found.len()), (5, 65_535, 3));
    let here = tempfile::tempdir().unwrap();
    ok(&agent, &["cp", "still:/srv/sub/a", here.path().to_str().unwrap()]);
    assert_eq!(fs::read_to_string(here.path().join("a/f")).unwrap(), "xxx");
    assert_eq!(stat(&api, "still", "/link").await.unwrap().link_target, b"/srv/sub");

    api.create("readonly", rooted(true)).await.unwrap();
    assert_refused(write(&api, header("readonly", "/"), &archive).await, Code::FailedPrecondition, "FILE_REFUSED");
    api.create("shared", script("true")).await.unwrap();
    assert_refused(stat(&api, "shared", "/etc").await, Code::FailedPrecondition, "WRONG_STATE");
    api.run("frozen", script("exec sleep 1000")).await.unwrap();
    api.freeze("frozen").await.unwrap();
    assert_refused(stat(&api, "frozen", "/etc").await, Code::FailedPrecondition, "WRONG_STATE");
    api.thaw("frozen").await.unwrap();
    stat(&api, "frozen", "/etc").await.unwrap();
    assert_refused(stat(&api, "none", "/etc").await, Code::NotFound, "CONTAINER_NOT_FOUND");
    let host = |name| NamespaceOptions { mount: Some(name), ..Default::default() };
    let mode = namespace::Source::Mode(NamespaceMode::Host.into());
    let namespaces = Some(host(Namespace { source: Some(mode) }));
    let privileged = SecurityOptions { privileged: true, ..Default::default() };
    let open = ContainerSpec { namespaces, security: Some(privileged), ..script("exec sleep 1000") };
    api.run("open", open).await.unwrap();
    assert_refused(stat(&api, "open", "/etc").await, Code::FailedPrecondition, "FILE_REFUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_hosts_user_ids_every_id_is_the_containers_and_capabilities_of_files_are_kept() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let mode = namespace::Source::Mode(NamespaceMode::Host.into());
    let user = Some(Namespace { source: Some(mode) });
    let namespaces = Some(NamespaceOptions { user, ..Default::default() });
    api.run("host", ContainerSpec { namespaces, ..with_tmpfs(4 << 20) }).await.unwrap();
    api.run("own", with_tmpfs(4 << 20)).await.unwrap();
    let owner = Some(FileOwner { uid: 3_000_000, gid: 70_000 });
    let archive = made("('f', b'0', '', 3)");
    write(&api, WriteFilesHeader { owner, ..header("host", "/scratch") }, &archive).await.unwrap();
    let found = stat(&api, "host", "/scratch/f").await.unwrap();
    assert_eq!((found.owner_uid, found.owner_gid), (3_000_000, 70_000));
    let here = tempfile::tempdir().unwrap();
    let program = here.path().join("program");
    fs::write(&program, "x").unwrap();
    // cap_net_raw+ep, as setcap(8) writes it.
    let set = "import os, sys; os.setxattr(sys.argv[1], 'security.capability', bytes.fromhex('0100000200200000000000000000000000000000'))";
    assert!(Command::new("python3").args(["-c", set]).arg(&program).status().unwrap().success());
    let get = "import os, sys; print(os.getxattr(sys.argv[1], 'security.capability').hex())";
    let program = program.to_str().unwrap();
    for (container, path) in [("host", "/scratch/program"), ("own", "/run/program")] {
        let inside = format!("{container}:{path}");
        ok(&agent, &["cp", program, &inside]);
        let back = here.path().join(container);
        ok(&agent, &["cp", "-a", &inside, back.to_str().unwrap()]);
        let read = Command::new("python3").args(["-c", get]).arg(&back).output().unwrap();
        assert_eq!(said(&read).trim(), "0100000200200000000000000000000000000000", "{container}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_call_is_said_and_nothing_is_written() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let container = api.run("web", with_tmpfs(4 << 20)).await.unwrap();
    let scratch = inside(&container, "/scratch");
    let plain = made("('f', b'0', '', 3)");
    let all = WriteFilesHeader {
        directory: "scratch".into(),
        overwrite: 7,
        max_entries: Some(0),
        request_id: "\n".into(),
        ..header("-", "")
    };
    let refused = write(&api, all, &plain).await.unwrap_err();
    assert_eq!(fields(&refused), ["name", "header.directory", "header.overwrite", "header.max_entries", "request_id"]);
    let wrong = WriteFilesHeader { uid: "another".into(), ..header("web", "/scratch") };
    assert_refused(write(&api, wrong, &plain).await, Code::Aborted, "UID_MISMATCH");
    let owner = Some(FileOwner { uid: 65_536, gid: 0 });
    let refused = write(&api, WriteFilesHeader { owner, ..header("web", "/scratch") }, &plain).await.unwrap_err();
    assert_eq!(fields(&refused), ["header.owner.uid"]);
    for (entries, code, reason) in [
        ("('../../f', b'0', '', 1)", Code::InvalidArgument, "FIELD_INVALID"),
        ("('/f', b'0', '', 1)", Code::InvalidArgument, "FIELD_INVALID"),
        ("('null', b'3', '', 0)", Code::FailedPrecondition, "FILE_REFUSED"),
        ("('way', b'2', '/etc', 0), ('way/f', b'0', '', 1)", Code::FailedPrecondition, "FILE_REFUSED"),
        ("('way', b'2', '/etc', 0), ('hard', b'1', 'way/passwd', 0)", Code::FailedPrecondition, "FILE_REFUSED"),
        ("('hard', b'1', '../etc/passwd', 0)", Code::InvalidArgument, "FIELD_INVALID"),
    ] {
        assert_refused(write(&api, header("web", "/scratch"), &made(entries)).await, code, reason);
    }
    assert_refused(write(&api, header("web", "/scratch"), &plain[..514]).await, Code::InvalidArgument, "FIELD_INVALID");
    assert_refused(write(&api, header("web", "/scratch"), b"no archive").await, Code::InvalidArgument, "FIELD_INVALID");
    assert_refused(write(&api, header("web", "/none"), &plain).await, Code::NotFound, "FILE_NOT_FOUND");
    let small = WriteFilesHeader { max_unpacked_bytes: Some(2), ..header("web", "/scratch") };
    assert_refused(write(&api, small, &plain).await, Code::ResourceExhausted, "FILES_TOO_LARGE");
    assert_eq!(names(&scratch), ["way"], "the link, which is one of theirs");

    let large = made("('large', b'0', '', 8 << 20)");
    assert_refused(write(&api, header("web", "/scratch"), &large).await, Code::ResourceExhausted, "FILE_SYSTEM_FULL");
    assert_eq!(names(&scratch), ["way"]);
    write(&api, header("web", "/scratch"), &plain).await.unwrap();
    let once = WriteFilesHeader { overwrite: OverwritePolicy::Refuse.into(), ..header("web", "/scratch") };
    assert_refused(write(&api, once, &plain).await, Code::FailedPrecondition, "FILE_REFUSED");

    let read = async |path: &str, entries| {
        let request =
            ReadFilesRequest { name: "web".into(), path: path.into(), max_entries: entries, ..Default::default() };
        let mut items = api.files.clone().read_files(request).await?.into_inner();
        while items.message().await?.is_some() {}
        Ok::<(), Status>(())
    };
    assert_refused(read("/scratch", Some(1)).await, Code::ResourceExhausted, "FILES_TOO_LARGE");
    assert_refused(read("/scratch/none", None).await, Code::NotFound, "FILE_NOT_FOUND");
    assert_refused(read("/proc/1", None).await, Code::FailedPrecondition, "FILE_REFUSED");
    assert_refused(read("/dev/null", None).await, Code::FailedPrecondition, "FILE_REFUSED");
    read("/dev", None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_that_copies_has_given_up_everything_and_is_the_containers() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let container = api.run("web", with_tmpfs(64 << 20)).await.unwrap();
    let (sender, call) = begin(&api, header("web", "/scratch"));
    let archive = made("('f', b'0', '', 1 << 20)");
    sender.send(archive[..1 << 19].to_vec()).await.unwrap();
    let pid = eventually("it copies", || copiers(&agent).first().copied());
    let status = || fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    eventually("it is confined", || status().contains("Seccomp:\t2").then_some(()));
    let has = |line: &str| assert!(status().lines().any(|found| found == line), "{line}: {}", status());
    has("NoNewPrivs:\t1");
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETFCAP: over what belongs to the container's user namespace.
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        has(&format!("{set}:\t000000008000001b"));
    }
    let main = container.status.as_ref().unwrap().pid;
    for kind in ["mnt", "user"] {
        let of = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_eq!(of(pid), of(main), "{kind}");
    }
    let memory = |pid: i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        text.lines().find(|line| line.contains(":memory:") || line.starts_with("0::")).unwrap().to_owned()
    };
    assert_eq!(memory(pid), memory(main));
    for fd in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|fd| fd.unwrap().path()) {
        let path = fs::read_link(&fd).unwrap();
        let container = path.starts_with("/scratch") || path == Path::new("/");
        assert!(container || !path.is_absolute(), "{fd:?} {path:?}");
    }
    sender.send(archive[1 << 19..].to_vec()).await.unwrap();
    drop(sender);
    assert_eq!(call.await.unwrap().unwrap().bytes, 1 << 20);
    eventually("it has gone", || (!kernel::runs(pid)).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_in_the_middle_leaves_nothing() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    let container = api.run("web", with_tmpfs(64 << 20)).await.unwrap();
    let scratch = inside(&container, "/scratch");
    let archive = made("('f', b'0', '', 1 << 20)");
    let half = || archive[..1 << 19].to_vec();
    let gone = |pid: i32| eventually("it has gone", || (!kernel::runs(pid)).then_some(()));
    let blocks = || scratch.metadata().unwrap().len();
    let before = blocks();

    // The caller.
    let (sender, call) = begin(&api, header("web", "/scratch"));
    sender.send(half()).await.unwrap();
    let pid = eventually("it copies", || copiers(&agent).first().copied());
    call.abort();
    gone(pid);
    assert_eq!(names(&scratch), [""; 0]);

    // A caller who reads, and stops reading.
    write(&api, header("web", "/scratch"), &made("('g', b'0', '', 16 << 20)")).await.unwrap();
    let request = ReadFilesRequest { name: "web".into(), path: "/scratch/g".into(), ..Default::default() };
    let mut items = api.files.clone().read_files(request).await.unwrap().into_inner();
    items.message().await.unwrap().unwrap();
    let pid = eventually("it copies", || copiers(&agent).first().copied());
    drop(items);
    gone(pid);
    fs::remove_file(scratch.join("g")).unwrap();

    // The process itself, by whatever hand.
    let (sender, call) = begin(&api, header("web", "/scratch"));
    sender.send(half()).await.unwrap();
    let pid = eventually("it copies", || copiers(&agent).first().copied());
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_refused(call.await.unwrap(), Code::Aborted, "COPY_CUT_OFF");
    // Where a file without a name cannot be given one, nobody is left who would remove what it was made under (docs/files.md).
    for left in names(&scratch) {
        assert!(left.starts_with(".tweendeck-") && !kernel::is_at_least(6, 10), "{left}");
        fs::remove_file(scratch.join(left)).unwrap();
    }

    // The agent.
    let (sender, call) = begin(&api, header("web", "/scratch"));
    sender.send(half()).await.unwrap();
    let pid = eventually("it copies", || copiers(&agent).first().copied());
    agent.kill();
    gone(pid);
    assert!(call.await.unwrap().is_err());
    assert_eq!(names(&scratch), [""; 0]);
    assert_eq!(blocks(), before);
    agent.resume().await;

    // The container.
    let api = agent.api().await;
    let (sender, call) = begin(&api, header("web", "/scratch"));
    sender.send(half()).await.unwrap();
    let pid = eventually("it copies", || copiers(&agent).first().copied());
    let began = Instant::now();
    api.stop("web", Duration::from_secs(1)).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "a copy holds up no stop");
    gone(pid);
    assert_refused(call.await.unwrap(), Code::Aborted, "COPY_CUT_OFF");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_swaps_directories_for_links_meanwhile_leads_nobody_out() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    // Where the host's files would be, if anything led to them; and where the container's own secret is.
    let outside = tempfile::tempdir_in("/tmp").unwrap();
    fs::write(outside.path().join("secret"), "a secret of the host").unwrap();
    let target = outside.path().display();
    let text = format!(
        "mkdir -p /scratch/d/sub /scratch/d/away && echo plain >/scratch/d/sub/f && ln -s {target} /scratch/d/link && cd /scratch/d
        while :; do mv sub keep; mv link sub; mv sub link; mv keep sub; done"
    );
    api.run("swaps", ContainerSpec { command: script(&text).command, ..with_tmpfs(4 << 20) }).await.unwrap();
    let archive = made("('d/sub/new', b'0', '', 3), ('d/sub/deeper/new', b'0', '', 3)");
    for _ in 0..60 {
        let here = tempfile::tempdir().unwrap();
        let read = agent.tween(&["cp", "swaps:/scratch/d", here.path().to_str().unwrap()]);
        if read.status.success() {
            let found = Command::new("grep").args(["-r", "secret of the host"]).arg(here.path()).output().unwrap();
            assert_eq!(said(&found), "");
        }
        let _ = write(&api, header("swaps", "/scratch"), &archive).await;
        let _ = write(&api, header("swaps", "/scratch/d/sub"), &archive).await;
    }
    assert_eq!(names(outside.path()), ["secret"]);
}
