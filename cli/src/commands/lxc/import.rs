//! `tween lxc import DIRECTORY`: containers that LXC has defined become containers of this node, where they are.

use std::fs;

use tweendeck_lxc::config::Config;
use tweendeck_lxc::translate::Purpose;

use super::context::Context;
use super::definition::{Files, annotate};
use super::trouble::Trouble;
use crate::exit;

pub(super) async fn run(
    directory: &str,
    names: &[String],
    dry_run: bool,
    context: &mut Context,
) -> Result<u8, Trouble> {
    if !context.is_local() {
        return Err(Trouble::said("an import is of directories of the node: run it there"));
    }
    let directory = std::path::absolute(directory).map_err(|error| Trouble::said(format!("{directory}: {error}")))?;
    if directory != context.lxcpath() {
        return Err(Trouble::said(format!(
            "containers stay where they are, and would be looked for in {}: say -P {} here and with every later command",
            context.lxcpath().display(),
            directory.display()
        )));
    }
    let entries =
        fs::read_dir(&directory).map_err(|error| Trouble::said(format!("{}: {error}", directory.display())))?;
    let mut found: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("config").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| names.is_empty() || names.contains(name))
        .collect();
    found.sort();
    if let Some(missing) = names.iter().find(|name| !found.contains(name)) {
        return Err(Trouble::said(format!("{missing}: there is no such container in {}", directory.display())));
    }
    let mut code = exit::OK;
    for name in found {
        match Box::pin(one(&name, dry_run, context)).await {
            Ok(what) => context.out.line(format!("{name}: {what}"))?,
            Err(trouble) => {
                // Each is told; the others go on.
                trouble.report(&context.command, &name);
                code = exit::FAILED;
            }
        }
    }
    Ok(code)
}

async fn one(name: &str, dry_run: bool, context: &Context) -> Result<&'static str, Trouble> {
    let file = context.directory(name)?.join("config");
    let path = file.to_str().ok_or_else(|| Trouble::said(format!("{} is no UTF-8", file.display())))?;
    let config = Config::read(&Files, path)?;
    let translated = context.translated(name, &config, Purpose::Create, true).await?;
    if context.find(name).await?.is_some() {
        return Ok("is known already");
    }
    if dry_run {
        return Ok("would be imported");
    }
    let mut spec = translated.spec;
    annotate(&mut spec, &config);
    context.establish(name, None, spec).await?;
    Ok("imported")
}
