//! `lxc-config`, `lxc-update-config`, and what a configuration becomes (`tween lxc explain`).

use std::fs;
use std::path::Path;

use tweendeck_lxc::config::{Config, update};
use tweendeck_lxc::system::{self, System};
use tweendeck_lxc::translate::{Fate, Purpose, translate};

use super::context::Context;
use super::create;
use super::definition::Files;
use super::trouble::{Trouble, say};
use crate::exit;

/// `lxc-config`: where things are.
pub(super) fn items(list: bool, item: Option<&str>, context: &mut Context) -> Result<u8, Trouble> {
    if list {
        for item in system::items() {
            context.out.line(item)?;
        }
        return Ok(exit::OK);
    }
    let item = item.ok_or_else(|| Trouble::said("which item? -l lists them"))?;
    let system = of_system()?;
    let text = system.show(item).ok_or_else(|| Trouble::said(format!("Unknown configuration item: {item}")))?;
    context.out.line(text)?;
    Ok(exit::OK)
}

/// The system's configuration, or the defaults where there is none.
pub(super) fn of_system() -> Result<System, Trouble> {
    match fs::read_to_string(system::FILE) {
        Ok(text) => Ok(system::parse(system::FILE, &text)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(System::default()),
        Err(error) => Err(Trouble::said(format!("{}: {error}", system::FILE))),
    }
}

/// `lxc-update-config`: old names become new ones, in the file; what it was is kept beside it.
pub(super) fn update_file(file: &str, context: &mut Context) -> Result<u8, Trouble> {
    let failed = |error: std::io::Error| Trouble::said(format!("{file}: {error}"));
    let text = fs::read_to_string(file).map_err(failed)?;
    let new = update(&text, file)?;
    if new == text {
        context.say("", &format!("{file} has no old names"));
        return Ok(exit::OK);
    }
    fs::copy(file, format!("{file}.backup")).map_err(failed)?;
    create::write(Path::new(file), &new).map_err(failed)?;
    Ok(exit::OK)
}

/// What each setting of a file became, and what is asked of the agent.
pub(super) async fn explain(file: &str, context: &mut Context) -> Result<u8, Trouble> {
    let config = Config::read(&Files, file)?;
    let config = context.completed(&config)?;
    let node = context.node("container", &config).await?;
    config.notes().iter().for_each(|note| context.say("", &note.to_string()));
    match translate(&config, &node, &Purpose::Create) {
        Ok(translated) => {
            for note in &translated.notes {
                let (fate, what) = match &note.fate {
                    Fate::Honoured(what) => ("honoured", what),
                    Fate::Translated(what) => ("translated", what),
                    Fate::Noted(what) => ("noted", what),
                };
                let item = &note.item;
                context.out.line(format!("{}: {} = {}: {fate}: {what}", item.place, item.key, item.value))?;
            }
            Ok(exit::OK)
        }
        Err(problems) => {
            for problem in &problems {
                say(&context.command, "", &format!("refused: {problem}"));
            }
            Ok(exit::FAILED)
        }
    }
}
