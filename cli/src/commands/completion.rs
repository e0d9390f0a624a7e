//! `completion`: a script for a shell.

use clap::CommandFactory as _;
use clap_complete::aot::{Bash, Fish, Generator, Zsh, generate};

use crate::args::{Cli, Shell};
use crate::exit;
use crate::failure::Failure;
use crate::output::Printer;

pub(super) fn run(shell: Shell, out: &mut Printer) -> Result<u8, Failure> {
    let script = match shell {
        Shell::Bash => script(Bash),
        Shell::Zsh => script(Zsh),
        Shell::Fish => script(Fish),
    };
    out.line(script.trim_end())?;
    Ok(exit::OK)
}

fn script(shell: impl Generator) -> String {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "tween", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shells_script_knows_the_subcommands() {
        for script in [script(Bash), script(Zsh), script(Fish)] {
            assert!(script.contains("tween") && script.contains("completion"));
        }
    }
}
