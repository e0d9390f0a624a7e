//! What agent and supervisor say to each other, and what a supervisor writes down at the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tweendeck_fuzz::survives_json;
use tweendeck_runtime::control::{Message, Request};
use tweendeck_runtime::exec::packet::{ToClient, ToSupervisor};
use tweendeck_runtime::exec::{self, Reply};
use tweendeck_runtime::exit::ExitRecord;

fuzz_target!(|data: &[u8]| {
    if let Ok(request) = serde_json::from_slice::<Request>(data) {
        survives_json(&request);
    }
    if let Ok(message) = serde_json::from_slice::<Message>(data) {
        survives_json(&message);
    }
    if let Ok(request) = serde_json::from_slice::<exec::Request>(data) {
        survives_json(&request);
    }
    if let Ok(reply) = serde_json::from_slice::<Reply>(data) {
        survives_json(&reply);
    }
    let mut packet = Vec::new();
    if let Some(said) = ToSupervisor::decode(data) {
        said.encode(&mut packet);
        assert_eq!(packet, data);
    }
    if let Some(said) = ToClient::decode(data) {
        said.encode(&mut packet);
        assert_eq!(packet, data);
    }
    if let Ok(record) = serde_json::from_slice::<ExitRecord>(data) {
        survives_json(&record);
    }
});
