//! The head of Tweendeck: `tweendeckd` decides, coordinates, serves and reports.
//!
//! A library only so that tests can reach the pure parts; the binary is the product.

pub mod blocking;
pub mod config;
pub mod adoption;
pub mod grpc;
pub mod host;
pub mod journal;
pub mod lifecycle;
pub mod node_info;
pub mod registry;
pub mod reporter;
pub mod sampler;
pub mod startup;
pub mod tasks;
pub mod telemetry;
pub mod workload;
