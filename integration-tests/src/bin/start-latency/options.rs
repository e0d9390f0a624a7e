//! The command line.

use std::path::PathBuf;
use std::time::Duration;

const USAGE: &str = "\
usage: start-latency [--runs N] [--warm-up N] [--pause MILLISECONDS] [--only ID[,ID...]] [--overlay FILE] [--json FILE]
       start-latency --memory [CONTAINERS]

  --runs N        samples of each kind that count (50)
  --warm-up N     turns before them that do not (5)
  --pause MS      quiet before each start, milliseconds (20): what the one before has left to the kernel's workers (namespaces and cgroups are
                  freed late) is not charged to it. At rest a kernel is slower on cgroup v1, for those who move processes by cgroup.procs
  --only IDS      these kinds only
  --overlay FILE  a JSON merge patch (RFC 7396) for the OCI specification that ours, crun and runc are given alike, to measure
                  what seccomp or a user namespace costs
  --json FILE     where the numbers go (target/bench.json)
  --memory [N]    instead, what N sleeping containers cost (200)";

/// What was asked for.
pub(crate) struct Options {
    pub(crate) runs: usize,
    pub(crate) warm_up: usize,
    pub(crate) pause: Duration,
    pub(crate) overlay: Option<PathBuf>,
    pub(crate) json: PathBuf,
    pub(crate) memory: Option<u64>,
    only: Vec<String>,
}

impl Options {
    pub(crate) fn parse() -> Self {
        let json = tweendeck_integration_tests::tools::target().join("bench.json");
        let mut options = Self {
            runs: 50,
            warm_up: 5,
            pause: Duration::from_millis(20),
            overlay: None,
            json,
            memory: None,
            only: Vec::new(),
        };
        let mut arguments = std::env::args().skip(1).peekable();
        while let Some(flag) = arguments.next() {
            if flag == "--memory" {
                options.memory =
                    Some(arguments.next_if(|next| !next.starts_with("--")).map_or(200, |next| number(&next)));
                continue;
            }
            let value = arguments.next().unwrap_or_else(|| usage());
            match flag.as_str() {
                "--runs" => options.runs = number(&value),
                "--warm-up" => options.warm_up = number(&value),
                "--pause" => options.pause = Duration::from_millis(number(&value)),
                "--only" => options.only = value.split(',').map(str::to_owned).collect(),
                "--overlay" => options.overlay = Some(value.into()),
                "--json" => options.json = value.into(),
                _ => usage(),
            }
        }
        if options.runs == 0 {
            usage();
        }
        options
    }

    pub(crate) fn wants(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == id)
    }
}

fn number<N: std::str::FromStr>(text: &str) -> N {
    text.parse().unwrap_or_else(|_| usage())
}

fn usage() -> ! {
    eprintln!("{USAGE}");
    std::process::exit(2)
}
