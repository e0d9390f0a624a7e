//! `lxc-create`: a container is defined, with a root if its template makes one, and kept until it is destroyed.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use tweendeck_lxc::command::Create;
use tweendeck_lxc::config::Config;
use tweendeck_lxc::translate::Purpose;

use super::context::Context;
use super::definition::{Said, annotate, mark};
use super::templates::{self, Template};
use super::trouble::Trouble;
use crate::exit;

pub(super) async fn run(create: Create, context: &mut Context) -> Result<u8, Trouble> {
    let name = &create.name;
    if !context.definition(name).await?.is_unknown() {
        return Err(Trouble::said("Container already exists"));
    }
    let template = Template::parse(create.template.as_deref(), &create)?;
    let default = context.default_configuration()?;
    let said = Said { file: create.config.as_deref(), defines: &create.defines };
    let mut config = context.configured(Some(&default), said)?;
    config.fill_hwaddr(&mut random_byte);
    let directory = context.directory(name)?;
    if template.makes_a_root() && !context.is_local() {
        return Err(Trouble::said("a template makes a root on the node itself only: run it there, or use -t none"));
    }
    if context.is_local() {
        make(&directory).map_err(|error| Trouble::said(format!("make {}: {error}", directory.display())))?;
    }
    let made = Box::pin(define(context, &create, &template, config)).await;
    if made.is_err() && context.is_local() {
        // Nothing of it was there before.
        let _ = super::trees::remove(&directory);
    }
    made.map(|()| exit::OK)
}

/// Makes the root, has the agent know the container, and leaves its configuration where people edit it.
async fn define(context: &Context, create: &Create, template: &Template, mut config: Config) -> Result<(), Trouble> {
    let (name, aloud) = (create.name.as_str(), create.config.is_some());
    let asked = create.directory.as_ref().map(std::path::absolute).transpose();
    let asked = asked.map_err(|error| Trouble::said(format!("--dir: {error}")))?;
    let directory = context.directory(name)?;
    if context.is_local() {
        mark(&directory)?;
    }
    templates::make(template, name, &directory, asked.as_deref(), &mut config).await?;
    let translated = context.translated(name, &config, Purpose::Create, aloud).await?;
    let mut spec = translated.spec;
    annotate(&mut spec, &config);
    context.establish(name, None, spec).await?;
    if context.is_local() {
        write(&directory.join("config"), &config.text())
            .map_err(|error| Trouble::said(format!("write its configuration: {error}")))?;
    }
    Ok(())
}

/// A directory of ours; that it is not there yet is what makes the name free.
fn make(directory: &Path) -> io::Result<()> {
    if let Some(parent) = directory.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o711).create(parent)?;
    }
    fs::DirBuilder::new().mode(0o770).create(directory)
}

/// Whole or not at all.
pub(super) fn write(file: &Path, text: &str) -> io::Result<()> {
    let aside = file.with_extension("new");
    let mut new = fs::File::create(&aside)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    fs::rename(&aside, file)
}

/// Bytes of which no two callers get the same.
pub(super) fn random_byte() -> u8 {
    uuid::Uuid::new_v4().as_bytes().first().copied().unwrap_or_default()
}
