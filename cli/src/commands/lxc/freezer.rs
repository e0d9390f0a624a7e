//! `lxc-freeze` and `lxc-unfreeze`.

use tweendeck_proto::v1::{FreezeContainerRequest, ThawContainerRequest};

use super::context::{Context, is_active};
use super::trouble::Trouble;
use crate::exit;

pub(super) async fn freeze(name: &str, context: &mut Context) -> Result<u8, Trouble> {
    let uid = running(name, context).await?;
    context.call(FreezeContainerRequest { name: name.to_owned(), uid, ..Default::default() }).await?;
    Ok(exit::OK)
}

pub(super) async fn unfreeze(name: &str, context: &mut Context) -> Result<u8, Trouble> {
    // What does not run is not frozen.
    let found = context.find(name).await?.ok_or_else(|| Trouble::said(format!("{name} doesn't exist")))?;
    if !is_active(&found) {
        return Ok(exit::OK);
    }
    let uid = found.uid;
    context.call(ThawContainerRequest { name: name.to_owned(), uid, ..Default::default() }).await?;
    Ok(exit::OK)
}

async fn running(name: &str, context: &Context) -> Result<String, Trouble> {
    let container = context.find(name).await?.filter(is_active).ok_or_else(|| Trouble::said("it is not running"))?;
    Ok(container.uid)
}
