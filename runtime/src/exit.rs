//! How an attempt ended: the record a supervisor makes durable before anybody else learns of the exit.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::incident::Incidents;
use crate::log::LogStats;

/// Largest record that is read, bytes.
const MAX: u64 = 64 << 10;

/// How one attempt to run a container ended. Written with tmp + fsync + rename + fsync(dir).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Format of this record; 1.
    pub schema: u32,
    /// Identity of the container.
    pub uid: String,
    /// Which start this was, from 1.
    pub attempt: u32,
    /// What happened.
    pub outcome: Outcome,
    /// When the main process started, milliseconds since the epoch; absent if it never did.
    pub started_unix_ms: Option<u64>,
    /// When the end was seen, milliseconds since the epoch.
    pub finished_unix_ms: u64,
    /// How long the main process ran, microseconds on the monotonic clock.
    pub ran_us: u64,
    /// CPU time of the whole container, from the cgroup, nanoseconds.
    pub cpu_usage_ns: Option<u64>,
    /// Highest memory use of the whole container, from the cgroup, bytes.
    pub memory_peak_bytes: Option<u64>,
    /// Processes the kernel's OOM killer took in this cgroup, from the kernel's counter.
    pub oom_kills: u64,
    /// What befell it.
    #[serde(default)]
    pub incidents: Incidents,
    /// What became of its output, all of it.
    #[serde(default)]
    pub logs: LogStats,
}

/// What became of the main process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// It called `exit`.
    Exited {
        /// Its status, 0 to 255.
        code: i32,
    },
    /// A signal ended it.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// True when the kernel's OOM killer sent it, as far as can be told: its counter rose in the moment before, and nobody had asked us to kill.
        oom: bool,
    },
    /// It never ran; or it was ended in its first moment, because its PID 1 could not be made what it must be.
    StartFailed {
        /// Which step of the start failed.
        stage: String,
        /// What to tell the user: step, subject, cause.
        message: String,
        /// The kernel's error number, if there was one.
        errno: Option<i32>,
    },
}

/// Why a record could not be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum ExitRecordError {
    /// It could not be written so that it survives a crash.
    #[error("write the exit record {path}")]
    Store {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It could not be read.
    #[error("read the exit record {path}")]
    Load {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not a record.
    #[error("parse the exit record {path}")]
    Parse {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl ExitRecord {
    /// Makes the record durable: written beside its place, synced, renamed into it, the directory synced. A crash at any
    /// point leaves either no record or the whole one.
    ///
    /// # Errors
    /// [`ExitRecordError::Store`].
    pub fn store(&self, path: &Path) -> Result<(), ExitRecordError> {
        self.write(path).map_err(|source| ExitRecordError::Store { path: path.to_owned(), source })
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let temporary = path.with_extension("tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        File::open(directory)?.sync_all()
    }

    /// The record at `path`; `None` if there is none.
    ///
    /// # Errors
    /// [`ExitRecordError::Load`] and [`ExitRecordError::Parse`].
    pub fn load(path: &Path) -> Result<Option<Self>, ExitRecordError> {
        let mut bytes = Vec::new();
        match File::open(path).and_then(|file| file.take(MAX).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(ExitRecordError::Load { path: path.to_owned(), source });
            }
        }
        let parsed = serde_json::from_slice(&bytes);
        parsed.map(Some).map_err(|source| ExitRecordError::Parse { path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(kind: u8, number: i32, flag: bool, text: String) -> Outcome {
        match kind {
            0 => Outcome::Exited { code: number },
            1 => Outcome::Signaled { signal: number, oom: flag },
            _ => Outcome::StartFailed { stage: text.clone(), message: text, errno: flag.then_some(number) },
        }
    }

    proptest::proptest! {
        #[test]
        fn a_record_comes_back(kind in 0_u8..3, number: i32, flag: bool, text: String, peak: Option<u64>, at: u64) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("exit-1.json");
            let record = ExitRecord {
                schema: 1, uid: text.clone(), attempt: 1, outcome: outcome(kind, number, flag, text), started_unix_ms: peak,
                finished_unix_ms: at, ran_us: at, cpu_usage_ns: peak, memory_peak_bytes: peak, oom_kills: at,
                incidents: Incidents::default(), logs: LogStats::default(),
            };
            record.store(&path).unwrap();
            proptest::prop_assert_eq!(ExitRecord::load(&path).unwrap(), Some(record));
        }
    }

    #[test]
    fn a_record_without_incidents_is_one_of_an_earlier_version() {
        let old = r#"{"schema":1,"uid":"u","attempt":1,"outcome":{"kind":"exited","code":0},"started_unix_ms":null,"finished_unix_ms":5,"ran_us":1,
            "cpu_usage_ns":null,"memory_peak_bytes":null,"oom_kills":3}"#;
        let record: ExitRecord = serde_json::from_str(old).unwrap();
        assert_eq!((record.oom_kills, record.incidents), (3, Incidents::default()));
        assert_eq!(record.logs, LogStats::default());
    }

    #[test]
    fn no_record_is_no_error_and_half_of_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exit-1.json");
        assert_eq!(ExitRecord::load(&path).unwrap(), None);
        fs::write(&path, b"{\"schema\": 1, ").unwrap();
        assert!(matches!(ExitRecord::load(&path), Err(ExitRecordError::Parse { .. })));
    }
}
