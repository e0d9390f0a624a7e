//! From words to values in range.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use tweendeck_runtime::cgroup::placement::Mode;

use super::layers::{Layers, Said, Value};
use super::problem::Problem;
use super::{
    Cgroup, Config, Etcd, Grpc, Journal, Limits, Log, LogFormat, Node, NodeId, OnShutdown, Sampling, Security,
    Telemetry,
};

use crate::host::IdRanges;

/// Longest path of a unix socket, less the NUL (unix(7)).
const SUN_PATH: usize = 107;

/// A configuration of what was said; `None` after a problem.
pub(super) fn config(layers: &Layers, problems: &mut Vec<Problem>) -> Option<Config> {
    let mut reader = Reader { layers, problems };
    let state_dir = reader.path("state_dir");
    let run_dir = reader.path("run_dir");
    reader.require(state_dir.is_none() || state_dir != run_dir, "run_dir", "must not be the state directory");
    let runtime_binary = reader.runtime_binary();
    let on_shutdown = reader.one_of("on_shutdown", &[("keep", OnShutdown::Keep), ("delete", OnShutdown::Delete)]);
    let node = reader.node();
    let grpc = reader.grpc(run_dir.as_deref());
    let cgroup = reader.cgroup();
    let limits = reader.limits();
    let user_ids = reader.user_ids(limits);
    let security = reader.security();
    let journal = reader.journal();
    let hooks = reader.hooks();
    let sampling = reader.duration("sampling.interval", 1..=3600).map(|interval| Sampling { interval });
    let etcd = reader.etcd(sampling);
    let log = reader.log();
    let telemetry =
        Telemetry { otlp_endpoint: reader.text("telemetry.otlp_endpoint").filter(|endpoint| !endpoint.is_empty()) };
    reader.require(
        telemetry.otlp_endpoint.as_deref().is_none_or(is_http),
        "telemetry.otlp_endpoint",
        "must be http://host:port",
    );
    Some(Config {
        state_dir: state_dir?,
        run_dir: run_dir?,
        runtime_binary: runtime_binary?,
        on_shutdown: on_shutdown?,
        node: node?,
        grpc: grpc?,
        cgroup: cgroup?,
        limits: limits?,
        user_ids: user_ids?,
        security: security?,
        journal: journal?,
        hooks: hooks?,
        sampling: sampling?,
        etcd: etcd?,
        log: log?,
        telemetry,
    })
}

struct Reader<'a> {
    layers: &'a Layers,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, path: &str, message: impl Into<String>) {
        let source = self.layers.get(path).map_or_else(|| "not set".to_owned(), |said| said.source);
        self.problems.push(Problem { setting: path.to_owned(), source, message: message.into() });
    }

    fn require(&mut self, holds: bool, path: &str, message: &str) {
        if !holds {
            self.problem(path, message);
        }
    }

    fn text(&self, path: &str) -> Option<String> {
        match self.layers.get(path)? {
            Said { value: Value::Text(text), .. } => Some(text),
            Said { value: Value::List(_) | Value::Map(_), .. } => None,
        }
    }

    /// A text that is set; the empty text means "not set", as in the default file.
    fn set(&self, path: &str) -> Option<String> {
        self.text(path).filter(|text| !text.is_empty())
    }

    fn path(&mut self, path: &str) -> Option<PathBuf> {
        let text = PathBuf::from(self.text(path)?);
        let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
        let valid = text.is_absolute() && text.parent().is_some() && text.components().all(plain);
        self.require(valid, path, "must be an absolute path, not / and without ..");
        valid.then_some(text)
    }

    fn number(&mut self, path: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let number = self.text(path)?.parse().ok().filter(|number| range.contains(number));
        self.require(
            number.is_some(),
            path,
            &format!("must be a whole number from {} to {}", range.start(), range.end()),
        );
        number
    }

    fn small_number(&mut self, path: &str, range: RangeInclusive<u64>) -> Option<u32> {
        self.number(path, range).and_then(|number| u32::try_from(number).ok())
    }

    /// A duration within a range of seconds.
    fn duration(&mut self, path: &str, seconds: RangeInclusive<u64>) -> Option<Duration> {
        let (min, max) = (Duration::from_secs(*seconds.start()), Duration::from_secs(*seconds.end()));
        let duration = parse_duration(&self.text(path)?).filter(|duration| (min..=max).contains(duration));
        let message = format!("must be a duration such as 500ms, 30s, 2m or 1h, from {min:?} to {max:?}");
        self.require(duration.is_some(), path, &message);
        duration
    }

    fn one_of<T: Copy>(&mut self, path: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(path)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice);
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        self.require(found.is_some(), path, &format!("must be {}", names.join(" or ")));
        found
    }

    fn runtime_binary(&mut self) -> Option<PathBuf> {
        let setting = "runtime_binary";
        let path = match self.set(setting) {
            Some(_) => self.path(setting)?,
            // A link to the agent does not move the runtime, so the path is the one behind it.
            None => std::env::current_exe().ok()?.parent()?.join("tweendeck-runtime"),
        };
        #[expect(clippy::disallowed_methods, reason = "before the asynchronous runtime exists")]
        let found = std::fs::metadata(&path);
        let good = found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
        self.require(good, setting, &format!("{} must be an executable file", path.display()));
        good.then_some(path)
    }

    fn node(&mut self) -> Option<Node> {
        let asked = self.set("node.id");
        let id = asked.clone().or_else(machine_id).unwrap_or_else(|| tweendeck_runtime::host::system().hostname);
        let valid = is_name(&id);
        let rule = "must be a letter or digit, then up to 62 of A-Z a-z 0-9 _ . -";
        let message = if asked.is_some() {
            rule.to_owned()
        } else {
            format!("{rule}; this machine has no such id ({id:?}), so set one")
        };
        self.require(valid, "node.id", &message);
        let labels = match self.layers.get("node.labels").map(|said| said.value) {
            Some(Value::Map(labels)) => labels,
            Some(Value::Text(_) | Value::List(_)) | None => BTreeMap::new(),
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-');
        let good = |(key, value): (&String, &String)| {
            (1..=128).contains(&key.len()) && key.bytes().all(allowed) && value.len() <= 256
        };
        let message =
            "must be at most 64; a key has 1 to 128 characters of A-Z a-z 0-9 _ . / -, a value at most 256 bytes";
        self.require(labels.len() <= 64 && labels.iter().all(good), "node.labels", message);
        let reserved_cpu_millis = self.number("node.reserved_cpu_millis", 0..=1_024_000)?;
        let reserved_cpu_millis = u32::try_from(reserved_cpu_millis).ok()?;
        let reserved_memory_bytes = self.number("node.reserved_memory_bytes", 0..=1 << 60)?;
        valid.then_some(Node { id: NodeId(id), labels, reserved_cpu_millis, reserved_memory_bytes })
    }

    /// Who may put something there is looked at when a hook is run.
    fn hooks(&mut self) -> Option<Option<PathBuf>> {
        if self.set("hooks.directory").is_none() {
            return Some(None);
        }
        self.path("hooks.directory").map(Some)
    }

    fn journal(&mut self) -> Option<Journal> {
        let max_events = self.number("journal.max_events", 1000..=100_000_000);
        let max_bytes = self.number("journal.max_bytes", 1 << 20..=1 << 40);
        let max_age = self.duration("journal.max_age", 3600..=10 * 365 * 24 * 3600);
        Some(Journal { max_events: max_events?, max_bytes: max_bytes?, max_age: max_age? })
    }

    fn grpc(&mut self, run_dir: Option<&Path>) -> Option<Grpc> {
        let socket = match self.set("grpc.socket") {
            Some(_) => self.path("grpc.socket"),
            None => run_dir.map(|directory| directory.join("tweendeckd.sock")),
        };
        let short = socket.as_ref().is_none_or(|socket| socket.as_os_str().len() <= SUN_PATH);
        self.require(
            short,
            "grpc.socket",
            "must be at most 107 bytes long (unix(7)): choose a shorter one, or a shorter run_dir",
        );
        let allowed = self.one_of("grpc.allow_unauthenticated", &[("true", true), ("false", false)]);
        let listen = self.listen(allowed.unwrap_or(false));
        let max_concurrent_streams = self.small_number("grpc.max_concurrent_streams", 1..=65_536);
        Some(Grpc { socket: socket?, listen: listen?, max_concurrent_streams: max_concurrent_streams? })
    }

    fn security(&mut self) -> Option<Security> {
        let switch = [("true", true), ("false", false)];
        let allow_privileged = self.one_of("security.allow_privileged", &switch);
        let allow_unconfined = self.one_of("security.allow_unconfined", &switch);
        Some(Security { allow_privileged: allow_privileged?, allow_unconfined: allow_unconfined? })
    }

    /// The outer option is `None` after a problem.
    fn listen(&mut self, allowed: bool) -> Option<Option<SocketAddr>> {
        let setting = "grpc.listen";
        let Some(text) = self.set(setting) else {
            return Some(None);
        };
        let Ok(address) = text.parse::<SocketAddr>() else {
            self.problem(setting, "must be an address and a port, such as 127.0.0.1:7443");
            return None;
        };
        let local = "must be a loopback address: this version has no transport security";
        self.require(address.ip().is_loopback(), setting, local);
        let word = "has no authentication, whoever can connect may do all that root may; set grpc.allow_unauthenticated = true to accept that";
        self.require(allowed, setting, word);
        Some(Some(address))
    }

    fn cgroup(&mut self) -> Option<Cgroup> {
        let modes = [("auto", Mode::Auto), ("systemd", Mode::Systemd), ("direct", Mode::Direct)];
        let placement = self.one_of("cgroup.placement", &modes);
        let parent = self.set("cgroup.parent");
        let plain = parent.as_ref().is_none_or(|parent| parent.len() <= 1024 && parent.split('/').all(is_name));
        let text = "must be plain names (A-Z a-z 0-9 _ . -) separated by /, no / at the ends";
        self.require(plain, "cgroup.parent", text);
        let scope = placement == Some(Mode::Systemd);
        let text = "contradicts cgroup.placement = systemd, where the scope is the parent; set one of them";
        self.require(!scope || parent.is_none(), "cgroup.parent", text);
        let slice = self.text("cgroup.slice")?;
        let named = is_slice(&slice);
        let text =
            "must be the name of a slice, such as tweendeck.slice: A-Z a-z 0-9 _ . -, no - at an end or twice in a row";
        self.require(named, "cgroup.slice", text);
        (plain && named && (!scope || parent.is_none())).then_some(Cgroup { placement: placement?, slice, parent })
    }

    fn limits(&mut self) -> Option<Limits> {
        let max_containers = self.small_number("limits.max_containers", 1..=100_000);
        let audit_interval = self.duration("limits.audit_interval", 1..=3600);
        let max_log_bytes_per_file = self.number("limits.max_log_bytes_per_file", 4096..=1 << 40);
        let max_log_files = self.small_number("limits.max_log_files", 1..=100);
        Some(Limits {
            max_containers: max_containers?,
            audit_interval: audit_interval?,
            max_log_bytes_per_file: max_log_bytes_per_file?,
            max_log_files: max_log_files?,
        })
    }

    /// Enough for every container, so that a create never fails for want of ids; the highest id means "none" (setresuid(2)).
    fn user_ids(&mut self, limits: Option<Limits>) -> Option<IdRanges> {
        let first = self.small_number("user_ids.first", u64::from(IdRanges::SIZE)..=u64::from(u32::MAX));
        let count = self.small_number("user_ids.ranges", 1..=65_534);
        let (first, count) = (first?, count?);
        let end = u64::from(first).saturating_add(u64::from(count).saturating_mul(u64::from(IdRanges::SIZE)));
        self.require(end < u64::from(u32::MAX), "user_ids.ranges", "the last range must end below id 4294967295");
        let enough = limits.is_none_or(|limits| limits.max_containers <= count);
        self.require(enough, "user_ids.ranges", "must be at least limits.max_containers");
        (enough && end < u64::from(u32::MAX)).then_some(IdRanges { first, count })
    }

    /// The outer option is `None` after a problem.
    fn etcd(&mut self, sampling: Option<Sampling>) -> Option<Option<Etcd>> {
        let lease_ttl = self.duration("etcd.lease_ttl", 5..=600);
        let usage_refresh = self.duration("etcd.usage_refresh", 1..=3600);
        let endpoints = match self.layers.get("etcd.endpoints").map(|said| said.value) {
            Some(Value::List(endpoints)) => endpoints,
            Some(Value::Text(_) | Value::Map(_)) | None => Vec::new(),
        };
        for endpoint in endpoints.iter().filter(|endpoint| !is_http(endpoint)) {
            self.problem(
                "etcd.endpoints",
                format!("{endpoint:?} must be http://host:port; this version has no TLS to etcd"),
            );
        }
        // Without etcd nothing is refreshed, so there is nothing to contradict.
        let in_order = |sampling: Sampling| usage_refresh.is_none_or(|refresh| refresh >= sampling.interval);
        let order = endpoints.is_empty() || sampling.is_none_or(in_order);
        self.require(order, "etcd.usage_refresh", "must not be shorter than sampling.interval");
        let (lease_ttl, usage_refresh) = (lease_ttl?, usage_refresh?);
        Some((!endpoints.is_empty()).then_some(Etcd { endpoints, lease_ttl, usage_refresh }))
    }

    fn log(&mut self) -> Option<Log> {
        let filter = self.text("log.filter")?;
        let parsed = tracing_subscriber::EnvFilter::try_new(&filter);
        self.require(
            parsed.is_ok(),
            "log.filter",
            "must be a level (error, warn, info, debug, trace) or module=level pairs, separated by commas",
        );
        let format = self.one_of("log.format", &[("text", LogFormat::Text), ("json", LogFormat::Json)])?;
        parsed.ok().map(|_| Log { filter, format })
    }
}

/// `[A-Za-z0-9][A-Za-z0-9_.-]{0,62}`, and so neither `.` nor `..`.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
        && name.len() <= 63
}

/// A dash in a slice's name stands for a step down (systemd.slice(5)), so there is a name between two of them.
fn is_slice(unit: &str) -> bool {
    unit.len() <= 128 && unit.strip_suffix(".slice").is_some_and(|name| name.split('-').all(is_name))
}

fn machine_id() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "before the asynchronous runtime exists")]
    let text = std::fs::read_to_string("/etc/machine-id").ok()?;
    Some(text.trim().to_owned()).filter(|id| is_name(id))
}

fn is_http(endpoint: &str) -> bool {
    endpoint.strip_prefix("http://").is_some_and(|rest| {
        let valid = rest.parse::<http::uri::Authority>();
        valid.is_ok_and(|authority| authority.port_u16().is_some() && !authority.host().is_empty())
    })
}

/// A number and a unit: `ms`, `s`, `m` or `h`.
fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|char: char| !char.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_has_the_name_of_one() {
        for good in ["tweendeck.slice", "machine-tweendeck.slice", "a_1.slice"] {
            assert!(is_slice(good), "{good}");
        }
        for bad in
            ["", "tweendeck", ".slice", "-.slice", "a-.slice", "a--b.slice", "a/b.slice", "a.scope", "../a.slice"]
        {
            assert!(!is_slice(bad), "{bad}");
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_secs(120)));
        for bad in ["", "5", "s", "5 s", "-5s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(parse_duration(bad), None, "{bad:?}");
        }
    }
}
