//! Ways out of a container, each of which must fail, and what stops it. Needs root.
//!
//! The probe (`escape-probe/`) tries them in containers that differ in one layer each, so that what stops a try is seen and not claimed: the filter
//! by a tracer that the refused call never reaches, the others by what becomes of the try without them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod layer;
mod place;
mod special;
mod table;
mod verdict;

use place::{Kind, Place};
use verdict::{Outcomes, judge};

const KINDS: [Kind; 5] = [Kind::Default, Kind::NoFilter, Kind::NoUser, Kind::Namespaces, Kind::Nothing];
const DOCUMENT: &str = include_str!("../../../docs/escape.md");

#[tokio::test(flavor = "multi_thread")]
async fn every_way_out_is_stopped_by_the_layer_that_the_table_names() {
    let place = Place::new().await;
    let mut all = Outcomes::new();
    for kind in KINDS {
        all.insert(kind, place.probe(kind).await);
    }
    let unnamed: Vec<&String> =
        all[&Kind::Default].keys().filter(|name| table::ROWS.iter().all(|row| row.0 != name.as_str())).collect();
    assert!(unnamed.is_empty(), "probes without a row: {unnamed:?}");
    let verdicts: Vec<_> = table::ROWS.iter().map(|row| judge(row, &all)).collect();
    for verdict in &verdicts {
        println!("{}", verdict.line);
    }
    let wrong: Vec<&String> = verdicts.iter().flat_map(|verdict| &verdict.wrong).collect();
    let columns = |name: &str| KINDS.map(|kind| all[&kind].get(name).map(|outcome| outcome.word.clone()));
    let details: Vec<_> = wrong.iter().map(|text| (text, columns(text.split(':').next().unwrap()))).collect();
    assert!(wrong.is_empty(), "{KINDS:?}: {details:#?}");
    // The table can fail: a container that has no filter, taken for a default one, is found out by every row that names the filter.
    let mut bare = all.clone();
    bare.insert(Kind::Default, all[&Kind::NoFilter].clone());
    let missed =
        table::ROWS.iter().filter(|row| row.1 == layer::Layer::Seccomp && judge(row, &bare).wrong.is_empty()).count();
    assert_eq!(missed, 0);
    // Many of the tries are real ones: there is a container that they get out of.
    let real = verdicts.iter().filter(|verdict| verdict.control.is_some()).count();
    println!("PROBES {} | {real} get through in some container", verdicts.len());
    assert!(real >= 40, "{real}");
}

#[test]
fn the_table_is_the_one_in_the_documentation() {
    let table = table::document();
    if std::env::var_os("BLESS").is_some() {
        let (head, _) = DOCUMENT.split_once("| first line").expect("a table");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/escape.md");
        std::fs::write(path, format!("{head}{table}")).unwrap();
    } else {
        assert!(DOCUMENT.ends_with(&table), "BLESS=1 writes docs/escape.md anew");
    }
}
