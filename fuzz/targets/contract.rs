//! Keys and values in etcd, and the requests that come from far away.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use tweendeck_proto::etcd::Key;
use tweendeck_proto::v1;

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    match first % 7 {
        0 => key(rest),
        1 => survives::<v1::NodeInfo>(rest),
        2 => survives::<v1::NodeUsage>(rest),
        3 => survives::<v1::ContainerReport>(rest),
        4 => survives::<v1::CreateContainerRequest>(rest),
        5 => survives::<v1::RunContainerRequest>(rest),
        _ => survives::<v1::WatchContainersResponse>(rest),
    }
});

fn key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(key) = Key::parse(text) {
        assert_eq!(key.to_string(), text, "a key has two spellings");
    }
}

/// A message has one encoding; request digests rely on that.
fn survives<T: Message + Default>(data: &[u8]) {
    let Ok(message) = T::decode(data) else { return };
    let encoded = message.encode_to_vec();
    let again = T::decode(encoded.as_slice()).expect("what was encoded can be decoded");
    assert_eq!(again.encode_to_vec(), encoded, "a message has two encodings");
}
