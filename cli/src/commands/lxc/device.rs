//! `lxc-device`: a device of the node for a running container, or no more.

use tweendeck_proto::v1::{AddDeviceRequest, DeviceRule, RemoveDeviceRequest};

use super::context::Context;
use super::trouble::Trouble;
use crate::exit;

pub(super) async fn run(
    name: &str,
    add: bool,
    device: String,
    inside: Option<String>,
    context: &mut Context,
) -> Result<u8, Trouble> {
    if !device.starts_with('/') {
        return Err(Trouble::said(format!(
            "{device}: only devices in /dev can be added; a container's network stays as it is"
        )));
    }
    let name = super::context::checked(name)?.to_owned();
    let device = Some(DeviceRule { path: device, container_path: inside.unwrap_or_default(), ..Default::default() });
    if add {
        context.call(AddDeviceRequest { name, device, ..Default::default() }).await?;
    } else {
        context.call(RemoveDeviceRequest { name, device, ..Default::default() }).await?;
    }
    Ok(exit::OK)
}
