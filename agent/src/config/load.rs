//! The command line, and reading it all together.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::layers::{CONFIG_VARIABLE, Layers};
use super::problem::{Problem, Problems};
use super::settings::{SETTINGS, Shape, default_file};
use super::{Config, check};

/// Exit code for a configuration that cannot be used (sysexits(3)).
pub const EX_CONFIG: u8 = 78;

const DEFAULT_FILE: &str = "/etc/tweendeck/tweendeckd.toml";
const ABOUT: &str = "The agent of one Tweendeck node: runs containers, limits them, and tells what happened.";
const AFTER: &str = "Every setting is a flag, an environment variable (TWEENDECKD_GRPC_LISTEN) and a line in the file ([grpc] listen); a flag counts before a \
variable, a variable before the file.\n\nExit codes: 0 stopped when told to, 1 failed, 2 wrong usage, 78 wrong configuration.";

/// What the command line asks for.
#[derive(Debug)]
pub enum Loaded {
    /// Run with this.
    Run(Box<Config>),
    /// Nothing more: it has been printed.
    Done(ExitCode),
}

/// Reads the command line, the environment and the file of this process.
///
/// # Errors
/// [`Problems`], all of them.
pub fn load() -> Result<Loaded, Problems> {
    // Variables that are not UTF-8 are not ours.
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let matches = command().get_matches();
    if matches.get_flag("print-default-config") {
        print!("{}", default_file());
        return Ok(Loaded::Done(ExitCode::SUCCESS));
    }
    let config = assemble(&matches, environment.collect())?;
    if matches.get_flag("check-config") {
        println!("the configuration is good");
        return Ok(Loaded::Done(ExitCode::SUCCESS));
    }
    Ok(Loaded::Run(Box::new(config)))
}

fn command() -> Command {
    let path = |text: &'static str| {
        Arg::new("config").long("config").value_name("FILE").help(text).value_parser(clap::value_parser!(OsString))
    };
    let mut command = Command::new("tweendeckd")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER)
        .arg(path("The configuration file [env: TWEENDECKD_CONFIG] [default: /etc/tweendeck/tweendeckd.toml, if there is one]"))
        .arg(switch("check-config", "Say whether the configuration is good, and do nothing more"))
        .arg(switch("print-default-config", "Print a configuration file with every setting, its meaning and its default"));
    for setting in &SETTINGS {
        let default =
            if setting.default.is_empty() { String::new() } else { format!(" [default: {}]", setting.default) };
        let value = match setting.shape {
            Shape::Text => "TEXT",
            Shape::Number => "NUMBER",
            Shape::Switch => "BOOL",
            Shape::List => "TEXT,…",
            Shape::Map => "KEY=TEXT,…",
        };
        let help = format!("{}{default}", setting.help);
        command = command.arg(Arg::new(setting.path).long(setting.flag()).value_name(value).help(help));
    }
    command
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn assemble(matches: &ArgMatches, environment: Vec<(String, String)>) -> Result<Config, Problems> {
    let (mut layers, mut problems) = (Layers::default(), Vec::new());
    let variable = environment.iter().find(|(name, _)| name == CONFIG_VARIABLE).map(|(_, value)| PathBuf::from(value));
    let asked = matches.get_one::<OsString>("config").map(PathBuf::from).or(variable);
    read_file(asked.as_deref(), &mut layers, &mut problems);
    layers.add_environment(environment.into_iter(), &mut problems);
    for setting in &SETTINGS {
        if let Some(value) = matches.get_one::<String>(setting.path) {
            layers.add_flag(setting, value, &mut problems);
        }
    }
    let config = check::config(&layers, &mut problems);
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        Some(_) | None => Err(Problems(problems)),
    }
}

/// A file that was asked for must be there; the default one may be absent.
fn read_file(asked: Option<&Path>, layers: &mut Layers, problems: &mut Vec<Problem>) {
    let path = asked.unwrap_or(Path::new(DEFAULT_FILE));
    let name = path.display().to_string();
    #[expect(clippy::disallowed_methods, reason = "before the asynchronous runtime exists")]
    match std::fs::read_to_string(path) {
        Ok(text) => layers.add_file(&name, &text, problems),
        Err(error) if asked.is_none() && error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            let message = format!("cannot be read: {error}");
            problems.push(Problem { setting: "the file".into(), source: name, message });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_from(flags: &[&str], environment: &[(&str, &str)], file: &str) -> Result<Config, Problems> {
        let dir = tempfile::tempdir().unwrap();
        // Any executable file will do.
        let (path, runtime) = (dir.path().join("config.toml"), std::env::current_exe().unwrap());
        std::fs::write(&path, file).unwrap();
        let given = [
            "tweendeckd".to_owned(),
            format!("--config={}", path.display()),
            format!("--runtime-binary={}", runtime.display()),
        ];
        let matches = command().get_matches_from(given.into_iter().chain(flags.iter().map(|flag| (*flag).to_owned())));
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        assemble(&matches, environment.iter().map(owned).collect())
    }

    fn problems(flags: &[&str], environment: &[(&str, &str)], file: &str) -> Vec<String> {
        let Problems(problems) = load_from(flags, environment, file).unwrap_err();
        problems.into_iter().map(|problem| format!("{}: {}", problem.setting, problem.message)).collect()
    }

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn nothing_said_is_a_good_configuration() {
        let config = load_from(&[], &[], "").unwrap();
        assert_eq!(config.limits.max_containers, 1000);
        assert_eq!(config.grpc.socket, PathBuf::from("/run/tweendeck/tweendeckd.sock"));
        assert_eq!((config.etcd, config.grpc.listen), (None, None));
        assert!(!config.node.id.as_str().is_empty());
    }

    #[test]
    fn the_default_file_uncommented_says_the_same() {
        let uncommented: String = default_file()
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        assert_eq!(load_from(&[], &[], &uncommented).unwrap(), load_from(&[], &[], "").unwrap());
    }

    #[test]
    fn a_flag_counts_before_a_variable_and_a_variable_before_the_file() {
        let file = "[limits]\nmax_containers = 1\nmax_log_files = 4\n[node]\nlabels = { a = \"x\" }";
        let variables =
            [("TWEENDECKD_LIMITS_MAX_CONTAINERS", "2"), ("TWEENDECKD_ETCD_ENDPOINTS", "http://a:1, http://b:2")];
        let config = load_from(&["--limits-max-containers", "3", "--node-labels=b=y,c=z"], &variables, file).unwrap();
        assert_eq!((config.limits.max_containers, config.limits.max_log_files), (3, 4));
        assert_eq!(config.node.labels.keys().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(config.etcd.unwrap().endpoints, ["http://a:1", "http://b:2"]);
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let file =
            "nonsense = 1\nlisten = \"x\"\n[limits]\nmax_containers = 0\nmax_log_files = \"3\"\n[node]\nid = \"a/b\"\n";
        let found = problems(
            &["--grpc-listen=0.0.0.0:7443", "--log-format=xml", "--sampling-interval=2h"],
            &[("TWEENDECKD_TYPO", "1"), ("TWEENDECKD_STATE_DIR", "relative")],
            file,
        );
        let mut settings: Vec<_> = found.iter().map(|line| line.split(':').next().unwrap()).collect();
        settings.sort_unstable();
        assert_eq!(
            settings,
            [
                "TWEENDECKD_TYPO",
                "grpc.listen",
                "grpc.listen",
                "limits.max_containers",
                "limits.max_log_files",
                "listen",
                "log.format",
                "node.id",
                "nonsense",
                "sampling.interval",
                "state_dir"
            ],
            "{found:#?}"
        );
    }

    #[test]
    fn tcp_needs_a_word_that_it_has_no_authentication() {
        assert_eq!(problems(&["--grpc-listen=127.0.0.1:1"], &[], "").len(), 1);
        let config = load_from(&["--grpc-listen=127.0.0.1:1", "--grpc-allow-unauthenticated=true"], &[], "").unwrap();
        assert_eq!(config.grpc.listen, Some("127.0.0.1:1".parse().unwrap()));
    }

    #[test]
    fn an_etcd_that_would_not_be_reached_safely_is_refused() {
        assert_eq!(problems(&["--etcd-endpoints=https://a:1"], &[], "").len(), 1);
        assert_eq!(problems(&["--etcd-endpoints=a:1"], &[], "").len(), 1);
        assert_eq!(problems(&["--etcd-endpoints=http://a:1", "--etcd-usage-refresh=5s"], &[], "").len(), 1);
        assert!(load_from(&["--etcd-usage-refresh=5s"], &[], "").is_ok());
    }

    proptest::proptest! {
        #[test]
        fn no_file_makes_it_panic(text in "([a-z_.]{0,12}( = [a-z0-9\"\\[\\]{}]{0,12})?\n|\\[[a-z.]{0,8}\\]\n){0,6}") {
            let _ = load_from(&[], &[], &text);
        }
    }
}
