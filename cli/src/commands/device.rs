//! `device`: gives a container a device or takes one away, and prints its name.

use tweendeck_proto::v1::{AddDeviceRequest, RemoveDeviceRequest};

use crate::agent::Agent;
use crate::args::{DeviceAction, DeviceArgs};
use crate::exit;
use crate::failure::Failure;
use crate::output::Printer;

pub(super) async fn run(args: DeviceArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let DeviceArgs { action, name, device } = args;
    let device = Some(device);
    match action {
        DeviceAction::Add => {
            let request = AddDeviceRequest { name: name.clone(), device, ..Default::default() };
            out.answer(&agent.call(request).await?, |_| name)?;
        }
        DeviceAction::Rm => {
            let request = RemoveDeviceRequest { name: name.clone(), device, ..Default::default() };
            out.answer(&agent.call(request).await?, |_| name)?;
        }
    }
    Ok(exit::OK)
}
