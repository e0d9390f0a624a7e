//! The one place that speaks to etcd. One endpoint at a time; no call waits longer than [`ANSWER`].
//!
//! `etcd-client` neither retries nor gives up: a call to a member that hangs never returns, a keep-alive of a dead lease looks fine. So every
//! call has a time-out here, and a lease counts as lost when etcd says so, when the stream ends, or when it is silent.

use std::time::Duration;

use etcd_client::{
    Client, ConnectOptions, DeleteOptions, GetOptions, LeaseKeepAliveStream, LeaseKeeper, PutOptions, Txn, TxnOp,
};
use tokio::time::timeout;
use tonic::Code;

/// Longest wait for an answer.
pub(super) const ANSWER: Duration = Duration::from_secs(3);
const CONNECT: Duration = Duration::from_secs(2);
/// HTTP/2 pings: etcd hangs up on clients that ping more often than every 5 s.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
/// Names in one answer; the largest answer stays far below the limit of a message.
const PAGE: i64 = 1000;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum EtcdError {
    #[error("{step}: no answer within {ANSWER:?}")]
    Silent { step: &'static str },
    #[error("{step}")]
    Refused {
        step: &'static str,
        #[source]
        source: Box<etcd_client::Error>,
    },
    #[error("the lease is lost")]
    LeaseLost,
    #[error("another agent reports as this node ({0}): give each agent a node.id of its own")]
    NodeTaken(String),
}

impl EtcdError {
    /// Whether etcd answered, and said no: the connection and the lease are as good as before.
    pub(super) fn is_answer(&self) -> bool {
        let Self::Refused { source, .. } = self else { return false };
        let etcd_client::Error::GRpcStatus(status) = source.as_ref() else { return false };
        matches!(
            status.code(),
            Code::PermissionDenied
                | Code::Unauthenticated
                | Code::ResourceExhausted
                | Code::InvalidArgument
                | Code::FailedPrecondition
        )
    }
}

/// A write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Write {
    Put { key: String, value: Vec<u8> },
    Delete { key: String },
}

impl Write {
    /// Bytes it takes in a request.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Put { key, value } => key.len().saturating_add(value.len()),
            Self::Delete { key } => key.len(),
        }
    }
}

/// A connection to one endpoint. Clones share it.
#[derive(Clone)]
pub(super) struct Etcd {
    client: Client,
}

/// Keeps a lease alive.
pub(super) struct Keeper {
    keeper: LeaseKeeper,
    answers: LeaseKeepAliveStream,
}

impl Etcd {
    pub(super) async fn connect(endpoint: &str) -> Result<Self, EtcdError> {
        let options = ConnectOptions::new()
            .with_connect_timeout(CONNECT)
            .with_timeout(ANSWER)
            .with_keep_alive(PING.0, PING.1)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        let client = within("connect", Client::connect([endpoint], Some(options))).await?;
        Ok(Self { client })
    }

    pub(super) async fn grant(&mut self, ttl: Duration) -> Result<i64, EtcdError> {
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        within("grant a lease", self.client.lease_grant(seconds, None)).await.map(|granted| granted.id())
    }

    pub(super) async fn revoke(&mut self, lease: i64) -> Result<(), EtcdError> {
        within("revoke the lease", self.client.lease_revoke(lease)).await.map(drop)
    }

    /// Begins to keep a lease alive; an error when it is not alive any more.
    pub(super) async fn keep(&mut self, lease: i64) -> Result<Keeper, EtcdError> {
        // etcd-client answers a dead lease with an error of its own here, before the first answer can be read.
        let (keeper, answers) = within("keep the lease alive", self.client.lease_keep_alive(lease)).await?;
        Ok(Keeper { keeper, answers })
    }

    /// Puts a key that goes when the lease does.
    pub(super) async fn put_leased(&mut self, key: String, value: Vec<u8>, lease: i64) -> Result<(), EtcdError> {
        let options = PutOptions::new().with_lease(lease);
        within("put", self.client.put(key, value, Some(options))).await.map(drop)
    }

    /// The value of a key.
    pub(super) async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, EtcdError> {
        let found = within("get", self.client.get(key, None)).await?;
        Ok(found.kvs().first().map(|pair| pair.value().to_vec()))
    }

    /// All of the writes, or none.
    pub(super) async fn write(&mut self, writes: Vec<Write>) -> Result<(), EtcdError> {
        let operation = |write| match write {
            Write::Put { key, value } => TxnOp::put(key, value, None),
            Write::Delete { key } => TxnOp::delete(key, None::<DeleteOptions>),
        };
        let operations: Vec<TxnOp> = writes.into_iter().map(operation).collect();
        within("write", self.client.txn(Txn::new().and_then(operations))).await.map(drop)
    }

    /// Every key with a prefix, without values.
    pub(super) async fn keys(&mut self, prefix: &str) -> Result<Vec<String>, EtcdError> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let end = range_end(prefix);
            // The page begins behind the last key of the one before.
            let from = keys.last().map_or_else(|| prefix.to_owned(), |last| format!("{last}\0"));
            let options = GetOptions::new().with_range(end).with_keys_only().with_limit(PAGE);
            let page = within("list keys", self.client.get(from, Some(options))).await?;
            // A key that is not text is none of ours.
            keys.extend(page.kvs().iter().filter_map(|pair| pair.key_str().ok().map(str::to_owned)));
            if !page.more() || page.kvs().is_empty() {
                return Ok(keys);
            }
        }
    }
}

impl Keeper {
    /// One sign of life.
    pub(super) async fn beat(&mut self) -> Result<(), EtcdError> {
        within("keep the lease alive", self.keeper.keep_alive()).await?;
        let answer = within("keep the lease alive", self.answers.message()).await?;
        // End of the stream, or a lease that has run out: etcd says both without an error.
        answer.filter(|answer| answer.ttl() > 0).map(drop).ok_or(EtcdError::LeaseLost)
    }
}

/// The first key behind all that begin with `prefix`, which ends in `/`.
fn range_end(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    end
}

async fn within<T>(
    step: &'static str,
    call: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T, EtcdError> {
    match timeout(ANSWER, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(EtcdError::Refused { step, source: Box::new(source) }),
        Err(_) => Err(EtcdError::Silent { step }),
    }
}
