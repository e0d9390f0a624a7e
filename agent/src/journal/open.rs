//! Opening the store: pragmas, schema, and what happens to a damaged file.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::Connection;

use super::query::meta;

/// The file in the state directory.
const FILE: &str = "store.db";
/// Version of the tables below; a store of a later version is refused, not guessed at. What only adds to them (`ADDITIONS`) is no new version: an earlier agent
/// leaves alone what it does not know, so that an upgrade can be taken back.
const SCHEMA: i64 = 1;

const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE containers (name TEXT PRIMARY KEY, uid TEXT NOT NULL, record BLOB NOT NULL) STRICT;
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY, unix_ms INTEGER NOT NULL, kind INTEGER NOT NULL,
    name TEXT NOT NULL, uid TEXT NOT NULL, container BLOB NOT NULL
) STRICT;
CREATE INDEX changes_by_container ON changes (name, uid, seq);
CREATE TABLE requests (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, digest BLOB NOT NULL, unix_ms INTEGER NOT NULL, container BLOB NOT NULL
) STRICT;
";

/// Tables that came later.
const ADDITIONS: &str = "
CREATE TABLE IF NOT EXISTS reservations (
    name TEXT PRIMARY KEY, reservation BLOB NOT NULL, boot_id TEXT NOT NULL, ends_boot_ms INTEGER NOT NULL, ends_unix_ms INTEGER NOT NULL
) STRICT;
";
/// Columns that came later: table, column, and how it is declared.
const COLUMNS: [(&str, &str, &str); 1] = [("changes", "kinds", "INTEGER NOT NULL DEFAULT 0")];

/// Why the store cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or read.
    #[error("use the state directory {path}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// SQLite cannot use the file, and not because it is damaged.
    #[error("open the store {path}")]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// Another agent has it.
    #[error("the store {0} is in use: is another tweendeckd running with this state directory?")]
    InUse(PathBuf),
    /// Made by a later version.
    #[error("the store {path} has schema {found}; this version knows up to {SCHEMA}: install the later version again")]
    Later {
        /// Which.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// The store's thread cannot be started.
    #[error("start the journal thread")]
    Thread(#[source] io::Error),
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Identity of the sequence.
    pub journal_id: String,
    /// Number of its latest entry.
    pub head: u64,
    /// Where a damaged store was moved to, if there was one.
    pub moved_aside: Option<PathBuf>,
    /// Whether containers that an earlier store knew have been looked for since this one was made.
    pub recovered: bool,
}

pub(super) fn open(directory: &Path) -> Result<(Connection, Opened), OpenError> {
    std::fs::create_dir_all(directory).map_err(|source| OpenError::Directory { path: directory.to_owned(), source })?;
    let path = directory.join(FILE);
    match try_open(&path) {
        Ok(store) => Ok(store.opened(None)),
        Err(TryError::Fatal(error)) => Err(error),
        Err(TryError::Damaged(why)) => {
            let aside = move_aside(&path).map_err(|source| OpenError::Directory { path: path.clone(), source })?;
            tracing::error!(store = %path.display(), moved_to = %aside.display(), why, "the store is damaged: moved aside, starting anew");
            match try_open(&path) {
                Ok(store) => Ok(store.opened(Some(aside))),
                Err(TryError::Fatal(error)) => Err(error),
                Err(TryError::Damaged(why)) => Err(OpenError::Directory { path, source: io::Error::other(why) }),
            }
        }
    }
}

/// A store that is open.
struct Store {
    connection: Connection,
    journal_id: String,
    head: u64,
    recovered: bool,
}

impl Store {
    fn opened(self, moved_aside: Option<PathBuf>) -> (Connection, Opened) {
        let Self { connection, journal_id, head, recovered } = self;
        (connection, Opened { journal_id, head, moved_aside, recovered })
    }
}

enum TryError {
    Damaged(String),
    Fatal(OpenError),
}

fn try_open(path: &Path) -> Result<Store, TryError> {
    let classify = |source: rusqlite::Error| match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            TryError::Damaged(source.to_string())
        }
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            TryError::Fatal(OpenError::InUse(path.to_owned()))
        }
        _ => TryError::Fatal(OpenError::Open { path: path.to_owned(), source }),
    };
    let connection = Connection::open(path).map_err(classify)?;
    configure(&connection).map_err(classify)?;
    let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(classify)?;
    if check != "ok" {
        return Err(TryError::Damaged(check));
    }
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(classify)?;
    match version {
        0 => create(&connection).map_err(classify)?,
        SCHEMA => {}
        found => {
            return Err(TryError::Fatal(OpenError::Later { path: path.to_owned(), found }));
        }
    }
    add(&connection).map_err(classify)?;
    let head: i64 =
        connection.query_row("SELECT coalesce(max(seq), 0) FROM changes", [], |row| row.get(0)).map_err(classify)?;
    let head = u64::try_from(head).unwrap_or(0);
    let recovered = meta(&connection, "recovered").map_err(classify)?.is_some();
    match meta(&connection, "journal_id").map_err(classify)? {
        Some(journal_id) => Ok(Store { connection, journal_id, head, recovered }),
        None => Err(TryError::Damaged("the store has no identity".into())),
    }
}

fn configure(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(std::time::Duration::from_millis(500))?;
    // EXCLUSIVE before WAL: the index then lives in this process' memory, and no second agent gets in.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

pub(super) fn create(connection: &Connection) -> Result<(), rusqlite::Error> {
    let id = uuid::Uuid::new_v4().to_string();
    connection.execute_batch(&format!(
        "BEGIN EXCLUSIVE; {TABLES} INSERT INTO meta VALUES ('journal_id', '{id}'); PRAGMA user_version = {SCHEMA}; COMMIT;"
    ))
}

/// Adds what an earlier version did not have.
fn add(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(ADDITIONS)?;
    for (table, column, declaration) in COLUMNS {
        let there: bool = connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2)",
            (table, column),
            |row| row.get(0),
        )?;
        if !there {
            connection.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {declaration}"))?;
        }
    }
    Ok(())
}

fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let aside = path.with_extension(format!("db.damaged-{seconds}"));
    std::fs::rename(path, &aside)?;
    for suffix in ["-wal", "-shm"] {
        let mut side = path.as_os_str().to_owned();
        side.push(suffix);
        let mut target = aside.as_os_str().to_owned();
        target.push(suffix);
        match std::fs::rename(&side, &target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(aside)
}
