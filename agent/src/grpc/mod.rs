//! The API: translates, authorises, and decides nothing.
//!
//! Requests become validated types (`validate`), errors become [`tonic::Status`] with details in one place (`status`), and every
//! service is a thin layer over the registry, the journal and the runtime's facts.

mod batch;
mod cgroup_value;
mod containers;
mod devices;
mod events;
mod execs;
mod files;
mod freeze;
mod limits;
mod logs;
mod mutation;
mod node;
mod peer;
mod reservations;
mod resize;
mod serve;
mod stats;
mod status;
mod update;
mod validate;
mod watch;

pub use serve::{Api, Listeners, ServeError, bind, serve};
