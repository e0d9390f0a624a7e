//! The head of Tweendeck: `tweendeckd` decides, coordinates, serves and reports.
//!
//! A library only so that tests can reach the pure parts; the binary is the product.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may block"))]

pub mod adoption;
pub mod allocation;
pub mod audit;
pub mod blocking;
pub mod causes;
pub mod clock;
pub mod config;
pub mod exec;
pub mod expiry;
pub mod grpc;
pub mod host;
pub mod isolation;
pub mod journal;
pub mod lifecycle;
pub mod logs;
pub mod moment;
pub mod node_info;
pub mod notify;
pub mod placement;
pub mod pollable;
pub mod probe;
pub mod registry;
pub mod reporter;
pub mod sampler;
pub mod startup;
pub mod tasks;
pub mod telemetry;
pub mod workload;
