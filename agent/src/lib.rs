//! The head of Tweendeck: `tweendeckd` decides, coordinates, serves and reports.
//!
//! A library only so that tests can reach the pure parts; the binary is the product.

pub mod config;
pub mod grpc;
pub mod journal;
pub mod lifecycle;
pub mod registry;
pub mod reporter;
pub mod sampler;
pub mod telemetry;
pub mod workload;
