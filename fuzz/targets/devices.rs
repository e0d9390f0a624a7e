//! Lists of device rules: what they mean together, on v1 and on v2.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tweendeck_fuzz::hosts;
use tweendeck_runtime::cgroup::devices::{Access, Kind, Rule, over_default};
use tweendeck_runtime::cgroup::{self, Resources};

/// Bytes of one rule.
const RULE: usize = 4;

fuzz_target!(|data: &[u8]| {
    let rules: Vec<Rule> = data.chunks_exact(RULE).filter_map(rule).collect();
    for rule in &rules {
        let expected = rule.check().map(|()| *rule);
        // Of two things that are wrong either may be named.
        assert_eq!(Rule::from_oci(&rule.to_oci()).ok(), expected.ok(), "a rule has changed on its way");
    }
    let over = over_default(&rules);
    assert_eq!(over_default(&over), over, "twice is not once");
    for rules in [rules, over] {
        let resources = Resources { devices: Some(rules), ..Resources::default() };
        let _ = cgroup::check(&hosts::v1("/c"), &resources);
    }
});

/// A verb, a kind and letters in one byte; a major in the next; a minor in two. Small numbers meet often, the highest bits reach out of range.
fn rule(bytes: &[u8]) -> Option<Rule> {
    let [first, major, low, high] = *<&[u8; RULE]>::try_from(bytes).ok()?;
    let letters: String =
        "rwm".chars().enumerate().filter(|(bit, _)| first >> bit & 1 == 1).map(|(_, letter)| letter).collect();
    let kind = match first >> 4 & 3 {
        0 => Kind::Any,
        1 => Kind::Block,
        _ => Kind::Char,
    };
    let number = |set: bool, number: u32| set.then_some(number);
    Some(Rule {
        allow: first >> 3 & 1 == 1,
        kind,
        major: number(first >> 6 & 1 == 1, u32::from(major) << 5 | u32::from(major) >> 3),
        minor: number(first >> 7 == 1, u32::from(low) | u32::from(high) << 14),
        access: Access::parse(&letters).ok()?,
    })
}
