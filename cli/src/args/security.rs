//! The options that say what a container's processes may do.

use clap::Args;
use tweendeck_proto::v1::{self, security_options::Seccomp};

/// What a container's processes may do.
#[derive(Debug, Args)]
#[command(next_help_heading = "Security")]
pub(super) struct SecurityArgs {
    /// A capability in addition to the default ones, such as NET_RAW, or ALL; may be repeated.
    #[arg(long, value_delimiter = ',', value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// A default capability to take away, or ALL; may be repeated.
    #[arg(long, value_delimiter = ',', value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// All capabilities, all system calls, nothing hidden: root inside is root of the node, which must allow it.
    #[arg(long, conflicts_with_all = ["cap_add", "cap_drop"])]
    privileged: bool,
    /// seccomp=default, seccomp=unconfined, seccomp=FILE (OCI JSON), apparmor=PROFILE, label=CONTEXT (SELinux), or no-new-privileges=true or false [default:
    /// seccomp=default, no-new-privileges=true]; may be repeated.
    #[arg(long, value_parser = choice, value_name = "KEY=VALUE")]
    security_opt: Vec<Choice>,
}

/// One `--security-opt`.
#[derive(Clone, Debug)]
enum Choice {
    Seccomp(Seccomp),
    AppArmor(String),
    Label(String),
    NoNewPrivileges(bool),
}

fn choice(text: &str) -> Result<Choice, String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    Ok(match (key, value) {
        ("no-new-privileges", "" | "true") => Choice::NoNewPrivileges(true),
        ("no-new-privileges", "false") => Choice::NoNewPrivileges(false),
        ("no-new-privileges", _) => return Err("no-new-privileges must be true or false".to_owned()),
        ("seccomp" | "apparmor" | "label", "") => return Err(format!("{key}= needs a value")),
        ("seccomp", "default") => Choice::Seccomp(Seccomp::SeccompDefault(v1::SeccompDefault {})),
        ("seccomp", "unconfined") => Choice::Seccomp(Seccomp::SeccompUnconfined(v1::SeccompUnconfined {})),
        ("seccomp", file) => {
            let json = std::fs::read_to_string(file).map_err(|error| format!("read the profile {file}: {error}"))?;
            Choice::Seccomp(Seccomp::SeccompProfileJson(json))
        }
        ("apparmor", profile) => Choice::AppArmor(profile.to_owned()),
        ("label", context) => Choice::Label(context.to_owned()),
        _ => return Err("must be seccomp=, apparmor=, label= or no-new-privileges=".to_owned()),
    })
}

impl SecurityArgs {
    /// Absent when nothing was asked. Of what is said twice, the last counts.
    pub(super) fn into_options(self) -> Option<v1::SecurityOptions> {
        let mut options = v1::SecurityOptions {
            privileged: self.privileged,
            add_capabilities: self.cap_add,
            drop_capabilities: self.cap_drop,
            ..Default::default()
        };
        for choice in self.security_opt {
            match choice {
                Choice::Seccomp(seccomp) => options.seccomp = Some(seccomp),
                Choice::AppArmor(profile) => options.apparmor_profile = profile,
                Choice::Label(context) => options.selinux_label = context,
                Choice::NoNewPrivileges(none) => options.allow_new_privileges = !none,
            }
        }
        (options != v1::SecurityOptions::default()).then_some(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        security: SecurityArgs,
    }

    fn options(line: &str) -> Option<v1::SecurityOptions> {
        Line::try_parse_from(["run"].into_iter().chain(line.split_whitespace())).unwrap().security.into_options()
    }

    #[test]
    fn every_option_arrives_and_none_is_nothing() {
        assert_eq!(options(""), None);
        assert_eq!(options("--security-opt no-new-privileges"), None);
        let line = "--cap-add NET_RAW,SYS_CHROOT --cap-drop ALL --security-opt seccomp=unconfined --security-opt apparmor=web \
                    --security-opt label=a:b:c:s0 --security-opt no-new-privileges=false";
        let expected = v1::SecurityOptions {
            privileged: false,
            add_capabilities: vec!["NET_RAW".to_owned(), "SYS_CHROOT".to_owned()],
            drop_capabilities: vec!["ALL".to_owned()],
            seccomp: Some(Seccomp::SeccompUnconfined(v1::SeccompUnconfined {})),
            apparmor_profile: "web".to_owned(),
            selinux_label: "a:b:c:s0".to_owned(),
            allow_new_privileges: true,
        };
        assert_eq!(options(line), Some(expected));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for bad in ["seccomp=", "seccomp=/no/such/file", "no-new-privileges=maybe", "systempaths=unconfined", "x"] {
            assert!(choice(bad).is_err(), "{bad}");
        }
    }
}
