//! Rules every method and field of the contract keeps.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics is a test that fails")]

use prost_reflect::{DescriptorPool, Kind};

fn pool() -> DescriptorPool {
    DescriptorPool::decode(tweendeck_proto::FILE_DESCRIPTOR_SET).unwrap()
}

#[test]
fn every_method_has_a_class() {
    let pool = pool();
    let class = pool.get_extension_by_name("tweendeck.v1.method_class").expect("the option exists");
    let mut seen = 0;
    for service in pool.services().filter(|service| service.package_name() == "tweendeck.v1") {
        for method in service.methods() {
            let options = method.options();
            assert!(options.has_extension(&class), "{} has no method_class", method.full_name());
            let value = options.get_extension(&class).as_enum_number();
            assert!(matches!(value, Some(1..=4)), "{}: class {value:?}", method.full_name());
            seen += 1;
        }
    }
    assert!(seen >= 14, "only {seen} methods found");
}

#[test]
fn every_mutation_takes_a_request_id_and_validate_only() {
    let pool = pool();
    let class = pool.get_extension_by_name("tweendeck.v1.method_class").expect("the option exists");
    for service in pool.services() {
        for method in service.methods().filter(|method| method.options().has_extension(&class)) {
            let has = |field: &str| method.input().get_field_by_name(field).is_some();
            let class = method.options().get_extension(&class).as_enum_number();
            let mutates = class == Some(2);
            // What changes something inside a container may be safe to repeat, and cannot be tried without doing it. A stream resumes by its offsets, and setting a
            // size twice is setting it once; reading changes nothing.
            let executes = class == Some(3)
                && !method.is_client_streaming()
                && !["Resize", "Stat", "Read"].iter().any(|verb| method.name().starts_with(verb));
            assert_eq!(has("request_id"), mutates || executes, "{}: request_id", method.full_name());
            assert_eq!(has("validate_only"), mutates, "{}: validate_only", method.full_name());
        }
    }
}

#[test]
fn every_message_field_enum_and_value_is_documented() {
    let set = prost_types_set();
    let mut undocumented = Vec::new();
    for file in set.file.iter().filter(|file| file.package() == "tweendeck.v1") {
        let info = file.source_code_info.as_ref().expect("source info is kept");
        for location in &info.location {
            // Paths: 4 message (2 field), 5 enum (2 value), 6 service (2 method); FileDescriptorProto's field numbers.
            let named = matches!(location.path.as_slice(), [4..=6, _] | [4..=6, _, 2, _]);
            if named && location.leading_comments().trim().is_empty() {
                undocumented.push(format!("{}:{:?}", file.name(), location.path));
            }
        }
    }
    assert!(undocumented.is_empty(), "no comment: {undocumented:#?}");
}

#[test]
fn durations_and_times_are_well_known_types() {
    for message in pool().all_messages().filter(|message| message.package_name() == "tweendeck.v1") {
        for field in message.fields().filter(|field| field.name().ends_with("_time")) {
            let Kind::Message(kind) = field.kind() else { panic!("{} is no message", field.full_name()) };
            assert_eq!(kind.full_name(), "google.protobuf.Timestamp", "{}", field.full_name());
        }
    }
}

fn prost_types_set() -> prost_types::FileDescriptorSet {
    prost::Message::decode(tweendeck_proto::FILE_DESCRIPTOR_SET).unwrap()
}
