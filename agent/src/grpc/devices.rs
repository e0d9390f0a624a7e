//! `AddDevice` and `RemoveDevice`.

use std::path::Path;

use tweendeck_proto::v1::{AddDeviceRequest, Container, ContainerSpec, DeviceRule, RemoveDeviceRequest};

use super::mutation::{self, Mutated};
use super::serve::Api;
use super::status::Refusal;
use super::validate::{self, Violations};
use crate::blocking;
use crate::workload::devices::{self, Resolved, container_path, resolve};
use crate::workload::{DeviceChange, Namespaces, Op, Terms};

const AT: &str = "device";
const MISSING: &str = "is missing";

impl Api {
    pub(super) async fn add_device_of(&self, request: AddDeviceRequest) -> Result<Container, Refusal> {
        let AddDeviceRequest { name, device, uid, etag, request_id, validate_only } = &request;
        let mut violations = Violations::default();
        let asked = device.clone().unwrap_or_default();
        violations.require(device.is_some(), AT, MISSING);
        if device.is_some() {
            validate::device(&asked, AT, &mut violations);
        }
        let spec = self.registry().get(name).map(|handle| handle.view().spec()).unwrap_or_default();
        let own = asked.path.is_empty() || Namespaces::of(&spec).mount.is_private();
        let text = "must not be given when the mount namespace is HOST or another container's, whose /dev it has; give type, major and minor";
        violations.require(own, "device.path", text);
        let bare = AddDeviceRequest { request_id: String::new(), ..request.clone() };
        let ids = [uid, etag, request_id];
        let terms = mutation::terms("AddDevice", &bare, name, ids, *validate_only, violations)?;
        let look = move || {
            let mut violations = Violations::default();
            validate::found_device(&asked, AT, &mut violations);
            violations.finish().map(|()| added(&spec, asked))
        };
        let change = blocking::run(look).await.map_err(|error| Refusal::Internal(error.to_string()))??;
        self.change_devices(name, change, terms).await
    }

    pub(super) async fn remove_device_of(&self, request: RemoveDeviceRequest) -> Result<Container, Refusal> {
        let RemoveDeviceRequest { name, device, uid, etag, request_id, validate_only } = &request;
        let mut violations = Violations::default();
        match device {
            // Whether the node still has it makes no difference.
            Some(device) => validate::device(device, AT, &mut violations),
            None => violations.add(AT, MISSING),
        }
        let bare = RemoveDeviceRequest { request_id: String::new(), ..request.clone() };
        let ids = [uid, etag, request_id];
        let terms = mutation::terms("RemoveDevice", &bare, name, ids, *validate_only, violations)?;
        let spec = self.registry().get(name).map(|handle| handle.view().spec()).unwrap_or_default();
        self.change_devices(name, removed(&spec, device.as_ref().unwrap_or(&DeviceRule::default())), terms).await
    }

    async fn change_devices(&self, name: &str, change: DeviceChange, terms: Terms) -> Result<Container, Refusal> {
        Ok(match self.mutate(name, Op::Devices(Box::new(change)), terms).await? {
            Mutated::Now { record, .. } => record.container.clone(),
            Mutated::Before(container) => *container,
        })
    }
}

/// One device more. Looks at the host's `/dev`.
fn added(spec: &ContainerSpec, asked: DeviceRule) -> DeviceChange {
    let before = devices::of(spec.resources.as_ref()).to_vec();
    let more = |asked| Ok(before.iter().cloned().chain([asked]).collect());
    let after = match resolve(&asked) {
        Err(_) => Err("the device has just left the node"),
        Ok(new) => match before.iter().find(|rule| is_in_the_way(rule, &asked, &new)) {
            Some(rule) if is_same(rule, &asked) && resolve(rule).is_ok_and(|old| old.rule == new.rule) => {
                Ok(before.clone())
            }
            Some(_) => Err("it has that device, or another one in that place: remove that first"),
            None if before.len() >= validate::DEVICES_MAX => Err("it has 64 devices, the most there may be"),
            None => more(asked),
        },
    };
    DeviceChange { before, after }
}

/// Whether a rule is about the same device as a new one, or has its place.
fn is_in_the_way(rule: &DeviceRule, asked: &DeviceRule, new: &Resolved) -> bool {
    let number = |one: &Resolved| (one.rule.kind, one.rule.major, one.rule.minor);
    let have_places = !rule.path.is_empty() && !asked.path.is_empty();
    // One that has left the node has no number, and its place all the same.
    resolve(rule).is_ok_and(|old| number(&old) == number(new)) || (have_places && is_in_place_of(rule, asked))
}

/// One device less.
fn removed(spec: &ContainerSpec, asked: &DeviceRule) -> DeviceChange {
    let before = devices::of(spec.resources.as_ref()).to_vec();
    let after = before.iter().filter(|rule| !is_same(rule, asked)).cloned().collect();
    DeviceChange { before, after: Ok(after) }
}

/// Whether two rules name a device in the same way, whatever may be done with it.
fn is_same(one: &DeviceRule, other: &DeviceRule) -> bool {
    let numbers = |rule: &DeviceRule| (rule.r#type, rule.major, rule.minor);
    same_path(&one.path, &other.path) && is_in_place_of(one, other) && numbers(one) == numbers(other)
}

fn is_in_place_of(one: &DeviceRule, other: &DeviceRule) -> bool {
    same_path(container_path(one), container_path(other))
}

/// Whatever the spelling.
fn same_path(one: &str, other: &str) -> bool {
    Path::new(one).components().eq(Path::new(other).components())
}

#[cfg(test)]
mod tests {
    use tweendeck_proto::v1::{DeviceType, Resources};

    use super::*;

    fn path(path: &str, inside: &str) -> DeviceRule {
        DeviceRule { path: path.into(), container_path: inside.into(), ..Default::default() }
    }

    fn with(devices: &[DeviceRule]) -> ContainerSpec {
        let resources = Resources { devices: devices.to_vec(), ..Default::default() };
        ContainerSpec { resources: Some(resources), ..Default::default() }
    }

    #[test]
    fn a_device_and_a_place_are_had_once() {
        let spec = with(&[path("/dev/full", "/dev/brim"), path("/dev/no-such-device", "")]);
        let log = path("/dev/kmsg", "/dev/log");
        assert_eq!(added(&spec, log.clone()).after.unwrap().last(), Some(&log));
        let numbers =
            DeviceRule { r#type: DeviceType::Char.into(), major: Some(1), minor: Some(7), ..Default::default() };
        let again = DeviceRule { access: "mrw".into(), ..path("/dev/full", "/dev//brim") };
        assert_eq!(added(&spec, again).after.unwrap().len(), 2);
        let less = DeviceRule { access: "r".into(), ..path("/dev/full", "/dev/brim") };
        for taken in [
            less,
            path("/dev/full", "/dev/x"),
            path("/dev/kmsg", "/dev//brim"),
            path("/dev/kmsg", "/dev/no-such-device"),
            numbers,
        ] {
            assert!(added(&spec, taken).after.is_err());
        }
        let full = with(&vec![path("/dev/full", "/dev/brim"); validate::DEVICES_MAX]);
        assert!(added(&full, log).after.is_err());
    }

    #[test]
    fn what_is_removed_is_named_as_it_was_given_but_for_its_access() {
        let numbers = |minor| DeviceRule {
            r#type: DeviceType::Block.into(),
            major: Some(8),
            minor,
            access: "r".into(),
            ..Default::default()
        };
        let gone = path("/dev/no-such-device", "/dev/x");
        let spec = with(&[numbers(None), numbers(Some(1)), gone.clone()]);
        let any = DeviceRule { access: String::new(), ..numbers(None) };
        assert_eq!(removed(&spec, &any).after.unwrap(), [numbers(Some(1)), gone.clone()]);
        assert_eq!(removed(&spec, &path("/dev//no-such-device", "/dev/x")).after.unwrap().len(), 2);
        for other in [path("/dev/no-such-device", ""), path("/dev/x", ""), numbers(Some(2))] {
            assert_eq!(removed(&spec, &other).after.unwrap().len(), 3);
        }
    }
}
