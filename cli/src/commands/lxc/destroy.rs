//! `lxc-destroy`: a container and what was made for it. A root that is elsewhere is somebody else's, and stays.

use tweendeck_lxc::translate::Purpose;
use tweendeck_proto::v1::DeleteContainerRequest;

use super::context::{Context, is_active};
use super::definition::is_ours;
use super::trouble::Trouble;
use super::{hooks, snapshot, trees};
use crate::exit;

pub(super) async fn run(name: &str, force: bool, snapshots: bool, context: &mut Context) -> Result<u8, Trouble> {
    let directory = context.directory(name)?;
    let local = context.is_local();
    let definition = context.definition(name).await?;
    let has_directory = local && directory.exists();
    if definition.is_unknown() && !has_directory {
        return Err(Trouble::said("Container is not defined"));
    }
    if definition.container.is_none() && !is_ours(&directory) {
        return Err(Trouble::said(
            "this node does not know it, and LXC may have it running: `tween lxc import` it first, or remove its directory",
        ));
    }
    if definition.container.as_ref().is_some_and(is_active) && !force {
        return Err(Trouble::said("it is running: stop it first, or use -f"));
    }
    if local {
        snapshot::may_go(&directory, snapshots)?;
    }
    if let Some(container) = &definition.container {
        if let Some(config) = definition.stored.as_ref().filter(|config| config.one("lxc.hook.destroy").is_some()) {
            let translated = context.translated(name, config, Purpose::Create, false).await?;
            hooks::run(context, "destroy", &translated.extras.destroy, &[]).await?;
        }
        let request =
            DeleteContainerRequest { name: name.to_owned(), uid: container.uid.clone(), force, ..Default::default() };
        context.call(request).await?;
    }
    if has_directory {
        trees::remove(&directory)?;
    }
    if !context.common.quiet {
        context.out.line(format!("Destroyed container {name}"))?;
    }
    Ok(exit::OK)
}
