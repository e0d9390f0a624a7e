//! What the copying process is to do, and what it says at its end.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use tweendeck_archive::tree::{Failure, Found, Sent};

use crate::unpack::Unpacked;

/// The longest job, bytes: a path of 4095 bytes takes six times as many at worst.
const JOB_MAX: u32 = 64 << 10;

/// What a copying process is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Where the files are.
    pub place: Place,
    /// What to do with them.
    pub task: Task,
    /// Sizes of all files together, holes too, bytes.
    pub bytes: u64,
    /// Entries, a count.
    pub entries: u64,
    /// The highest user and group id that is written.
    pub id: u32,
}

/// Where the files are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In a container that runs: what its processes see.
    Running {
        /// A process of its.
        pid: i32,
        /// Its cgroup, below each hierarchy's mount point.
        cgroup: String,
    },
    /// The root of a container that does not run: the process' working directory, without what a start mounts in it.
    Directory {
        /// Which, for [`super::Copy::start`]; absolute.
        path: std::path::PathBuf,
    },
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Say what is at a path.
    Stat {
        /// Absolute path inside.
        path: String,
        /// Whether a symbolic link at its end is followed.
        follow: bool,
    },
    /// Send what is at a path, and what is below it, as an archive.
    Read {
        /// Absolute path inside.
        path: String,
        /// Whether a symbolic link at its end is followed.
        follow: bool,
        /// Its name in the archive; empty for `.`.
        top: String,
    },
    /// Write an archive below a directory.
    Write {
        /// Absolute path inside.
        directory: String,
        /// Whose the files are: user and group; absent: as the archive says.
        owner: Option<(u32, u32)>,
        /// Whether files may take the place of files.
        replace: bool,
    },
}

impl Job {
    pub(super) fn send(&self, to: &mut impl Write) -> io::Result<()> {
        let job = serde_json::to_vec(self)?;
        let length = u32::try_from(job.len()).unwrap_or(u32::MAX).to_be_bytes();
        to.write_all(&[length.as_slice(), &job].concat())
    }

    /// Takes it, and not a byte of what follows.
    pub(crate) fn receive(from: &mut impl Read) -> io::Result<Self> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > JOB_MAX {
            return Err(io::Error::other("the job is too long"));
        }
        let mut job = Vec::new();
        from.take(length.into()).read_to_end(&mut job)?;
        Ok(serde_json::from_slice(&job)?)
    }
}

/// What the process says at its end, in one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// What is there.
    Found(Found),
    /// What was sent.
    Sent(Sent),
    /// What was written.
    Written(Unpacked),
    /// It was not done, or not to its end.
    Failed(Failure),
}
