//! What is struck in an agent, from outside: the library of `fault/` stands before libc in it, and is told through a file that both have mapped.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use nix::errno::Errno;
use tweendeck_integration_tests::agent::Agent;

const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fault"));

/// Places, as `fault/control.h` numbers them.
pub(crate) const STORE: u32 = 1;
pub(crate) const EVERYWHERE: u32 = 63;
/// All but the store, and but what is said to callers.
pub(crate) const ELSEWHERE: u32 = 30;
/// Kinds, the same.
pub(crate) const WRITES: u32 = 1;
pub(crate) const SYNCS: u32 = 2;
pub(crate) const READS: u32 = 8;
/// Whatever makes a difference to others.
pub(crate) const ALL: u32 = 7;

/// Offsets in the file.
const PLACES: u64 = 4;
const FIRST: u64 = 24;
const COUNTED: u64 = 40;
const STRUCK: u64 = 48;
const SHIFT: u64 = 56;
const SUBJECT: u64 = 64;
const SUBJECT_BYTES: usize = 256;

/// What happens to which calls.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Strike {
    /// They are counted.
    Count,
    /// SIGKILL before the nth, from 1.
    Kill(u64),
    /// So many fail, from the nth on.
    Fail { errno: Errno, first: u64, times: u64 },
    /// SIGKILL for another process before the nth.
    Other { pid: i32, first: u64 },
}

/// What was seen since it was armed.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) counted: u64,
    pub(crate) struck: u64,
    /// The call that was struck last, and what it was about.
    pub(crate) subject: String,
}

#[derive(Debug)]
pub(crate) struct Fault(File);

impl Fault {
    /// Has an agent that has not been started stand behind the library.
    pub(crate) fn before(agent: &mut Agent) -> Self {
        let (library, control) = (agent.directory().join("fault.so"), agent.directory().join("fault"));
        fs::write(&library, LIBRARY).unwrap();
        fs::write(&control, [0; 4096]).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&control).unwrap();
        let directory = agent.directory().to_owned();
        agent.set("LD_PRELOAD", &library);
        agent.set("TWEENDECK_FAULT", &control);
        agent.set("TWEENDECK_FAULT_DIRECTORY", &directory);
        Self(file)
    }

    /// From now on.
    pub(crate) fn arm(&self, strike: Strike, places: u32, kinds: u32) {
        let (action, error, other, first, times) = match strike {
            Strike::Count => (0, 0, 0, 1, 0),
            Strike::Kill(first) => (1, 0, 0, first, 1),
            Strike::Fail { errno, first, times } => (2, errno as i32, 0, first, times),
            Strike::Other { pid, first } => (3, 0, pid, first, 1),
        };
        self.disarm();
        self.words(PLACES, &[places, kinds, action, error.cast_unsigned(), other.cast_unsigned()]);
        self.write(FIRST, &[first, times, 0, 0].map(u64::to_ne_bytes).concat());
        self.write(SUBJECT, &[0; SUBJECT_BYTES]);
        self.words(0, &[1]);
    }

    /// Nothing is struck or counted from now on; what was.
    pub(crate) fn disarm(&self) -> Seen {
        self.words(0, &[0]);
        self.seen()
    }

    /// What was seen so far.
    pub(crate) fn seen(&self) -> Seen {
        let mut subject = [0; SUBJECT_BYTES];
        self.0.read_exact_at(&mut subject, SUBJECT).unwrap();
        let subject = String::from_utf8_lossy(&subject).trim_end_matches('\0').to_owned();
        Seen { counted: self.number(COUNTED), struck: self.number(STRUCK), subject }
    }

    /// Waits until nothing has been counted for a while: what was begun has come to its end, or the agent has died.
    pub(crate) async fn settled(&self) {
        let mut before = self.number(COUNTED);
        loop {
            tokio::time::sleep(Duration::from_millis(60)).await;
            let now = self.number(COUNTED);
            if now == before {
                return;
            }
            before = now;
        }
    }

    /// Sets the wall clock of the agent so many seconds ahead.
    pub(crate) fn shift(&self, seconds: i64) {
        self.write(SHIFT, &seconds.to_ne_bytes());
    }

    fn words(&self, at: u64, words: &[u32]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.write(at, &bytes);
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.0.write_all_at(bytes, at).unwrap();
    }

    fn number(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, at).unwrap();
        u64::from_ne_bytes(bytes)
    }
}
