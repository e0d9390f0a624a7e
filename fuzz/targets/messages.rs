//! What agent and supervisor say to each other, and what a supervisor writes down at the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tweendeck_fuzz::survives_json;
use tweendeck_runtime::control::{Message, Request};
use tweendeck_runtime::exit::ExitRecord;

fuzz_target!(|data: &[u8]| {
    if let Ok(request) = serde_json::from_slice::<Request>(data) {
        survives_json(&request);
    }
    if let Ok(message) = serde_json::from_slice::<Message>(data) {
        survives_json(&message);
    }
    if let Ok(record) = serde_json::from_slice::<ExitRecord>(data) {
        survives_json(&record);
    }
});
