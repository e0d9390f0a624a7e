//! The table, the ratios, and the JSON.

use serde_json::json;
use tweendeck_runtime::cgroup::Hierarchies;
use tweendeck_runtime::host;

use crate::kind::Kind;
use crate::options::Options;

/// What our runtime may take of what another takes.
const TARGETS: [(&str, f64); 2] = [("crun", 0.6), ("floor", 1.8)];
/// The kind that the targets are for. crun's command is PID 1 too.
const JUDGED: &str = "direct";

pub(crate) fn print(kinds: &[Kind<'_>]) {
    let runs = kinds.first().map_or(0, |kind| kind.samples.len());
    let head = format!("{runs} runs each, in turns; milliseconds");
    println!("{head:<52} {:>8} {:>8} {:>8} {:>8} {:>8}", "median", "p90", "min", "x floor", "x crun");
    for kind in kinds {
        let ratio = |other| ratio(kinds, kind, other).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        println!(
            "{:<52} {:>8.2} {:>8.2} {:>8.2} {:>8} {:>8}",
            kind.what,
            kind.at(500),
            kind.at(900),
            kind.at(0),
            ratio("floor"),
            ratio("crun")
        );
    }
    for (other, target) in TARGETS {
        let judged = kinds.iter().find(|kind| kind.id == JUDGED);
        if let Some(ratio) = judged.and_then(|judged| ratio(kinds, judged, other)) {
            let verdict = if ratio <= target { "met" } else { "missed" };
            println!("target: {JUDGED} at most {target} x {other}: {ratio:.2}, {verdict}");
        }
    }
}

/// Medians, of one kind over another's.
fn ratio(kinds: &[Kind<'_>], kind: &Kind<'_>, other: &str) -> Option<f64> {
    kinds.iter().find(|kind| kind.id == other).map(|other| kind.at(500) / other.at(500))
}

pub(crate) fn store(kinds: &[Kind<'_>], options: &Options) {
    let measured: Vec<_> = kinds
        .iter()
        .map(|kind| {
            json!({
                "id": kind.id, "what": kind.what, "runs": kind.samples.len(),
                "median_ms": kind.at(500), "p90_ms": kind.at(900), "min_ms": kind.at(0), "max_ms": kind.at(1000),
                "to_floor": ratio(kinds, kind, "floor"), "to_crun": ratio(kinds, kind, "crun"),
            })
        })
        .collect();
    let system = host::system();
    let report = json!({
        "kernel": system.release, "machine": system.machine,
        "cpus": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "cgroups": Hierarchies::detect().unwrap().version().to_string(),
        "pause_ms": options.pause.as_secs_f64() * 1e3,
        "overlay": options.overlay, "kinds": measured,
    });
    std::fs::write(&options.json, format!("{report:#}\n")).unwrap();
    println!("written to {}", options.json.display());
}
