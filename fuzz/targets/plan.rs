//! The plan that an agent leaves for a supervisor.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tweendeck_fuzz::survives_json;
use tweendeck_runtime::bundle::Plan;
use tweendeck_runtime::spec;

fuzz_target!(|data: &[u8]| {
    let Ok(plan) = serde_json::from_slice::<Plan>(data) else { return };
    survives_json(&plan);
    let _ = spec::check(&plan.spec);
    for peer in &plan.peers {
        assert!(!peer.to_string().is_empty());
    }
    if let Some(program) = &plan.seccomp {
        assert_eq!(program.instructions().count(), program.len());
    }
});
