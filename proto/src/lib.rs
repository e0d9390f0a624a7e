//! The contract of Tweendeck: gRPC messages and services, etcd keys, error reasons.
//!
//! Nothing here decides anything. The `.proto` files in `tweendeck/v1` are the source; this crate compiles them
//! and adds the names that both ends of a wire must agree on.

pub mod admission;
pub mod etcd;
pub mod reason;
pub mod state;

/// Messages, clients and servers generated from `tweendeck/v1/*.proto`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "generated code; the .proto files carry the docs"
)]
pub mod v1 {
    tonic::include_proto!("tweendeck.v1");
}

/// The encoded `FileDescriptorSet` of the contract and its imports, with comments and custom options:
/// what server reflection serves, and what `buf convert` decodes etcd values with.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tweendeck.binpb"));

/// Largest request and response, bytes, on every service.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// `ErrorInfo.domain` of every error.
pub const ERROR_DOMAIN: &str = "tweendeck.v1";
