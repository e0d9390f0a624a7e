//! The configurations that Debian's packages ship, with `/bin/true` in a root of busybox.
//!
//! But for those that name a network device of the host: `lxc-phys.conf` takes `eth0` away and gives it back without its addresses. Those are never run,
//! neither with LXC nor with ours, whose agent is in the host's network.

use std::path::PathBuf;

use crate::session::Session;

const DIRECTORIES: [&str; 2] = ["/usr/share/lxc/config", "/usr/share/doc/lxc/examples"];

/// How many start with LXC, at least: if it is less, something else is wrong.
const LEAST: usize = 40;

/// Starts each with both, and asserts that ours starts what LXC starts.
pub(crate) async fn compare(session: &Session) {
    let (mut by_lxc, mut lost) = (0, Vec::new());
    for (number, file) in files().into_iter().enumerate() {
        let script = format!(
            "quiet lxc-execute $P -n $N -f $(conf /dev/null 'lxc.include = {}' \"lxc.rootfs.path = dir:$ROOTFS\") -- /bin/true",
            file.display()
        );
        let both = session.run(900 + number, &script).await;
        let starts = |ran: &Option<crate::script::Ran>| ran.as_ref().map(|ran| ran.output.trim() == "rc=0");
        let (lxc, ours) = (starts(&both.lxc), starts(&both.ours));
        let word = |starts| match starts {
            Some(true) => "starts",
            Some(false) => "does not start",
            None => "not run",
        };
        println!("CORPUS {} | LXC: {} | ours: {}", file.display(), word(lxc), word(ours));
        by_lxc += usize::from(lxc == Some(true));
        if lxc != Some(false) && ours == Some(false) {
            lost.push((file, both.ours.map(|ran| ran.to_string())));
        }
    }
    assert!(lost.is_empty(), "start with LXC and not here: {lost:#?}");
    println!("CORPUS {by_lxc} start with LXC");
    assert!(by_lxc >= LEAST || !session.has_lxc(), "{by_lxc} start with LXC");
}

fn files() -> Vec<PathBuf> {
    let entries = DIRECTORIES.iter().flat_map(|directory| {
        std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{directory}: {error}: run scripts/setup test"))
    });
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
        // Not configurations, but what lxc.seccomp.profile names.
        .filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with("seccomp"))
        .collect();
    let before = files.len();
    files.retain(|file| !names_a_device(&std::fs::read_to_string(file).unwrap()));
    assert!(before > files.len(), "the examples with devices of the host are not found: has their form changed?");
    files.sort();
    files
}

/// Whether a container of that configuration would use a network device of the host.
fn names_a_device(configuration: &str) -> bool {
    let keys = configuration.lines().filter_map(|line| line.split_once('=')).map(|(key, _)| key.trim());
    let mut keys = keys.filter(|key| key.starts_with("lxc.net"));
    keys.any(|key| key.ends_with(".link"))
}

#[test]
fn devices_of_the_host_are_seen_in_a_configuration() {
    assert!(names_a_device("lxc.uts.name = x\nlxc.net.0.type = phys\nlxc.net.0.link = eth0\n"));
    assert!(names_a_device("lxc.network.link=eth0"));
    assert!(!names_a_device("lxc.net.0.type = empty\n# lxc.net.0.link = eth0\n"));
}
