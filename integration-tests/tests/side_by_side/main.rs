//! The same scripts, run with Debian's LXC and with our commands of the same names. Needs root; `scripts/setup test` installs LXC.
//!
//! What LXC prints is asserted too, so that no case rests on a belief about it. Where ours is another answer on purpose, the case says why. The table is
//! printed: `SIDE case | command | same`, `differs on purpose: why`, or `FAILS: what`.
//!
//! `TWEENDECK_SIDE=lxc` (or `ours`) runs one half only, and `TWEENDECK_CASES=PREFIX` the cases whose names begin so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod case;
mod cases;
mod corpus;
mod fixture;
mod leftover;
mod normalise;
mod script;
mod session;
mod side;
mod table;

use session::Session;
use tweendeck_integration_tests::alone::alone;

/// Fewer are no comparison of all commands.
const LEAST: usize = 130;

#[tokio::test(flavor = "multi_thread")]
async fn our_commands_do_what_those_of_lxc_do_or_differ_for_a_stated_reason() {
    let _turn = alone().await;
    let session = Session::start().await;
    let prefix = std::env::var("TWEENDECK_CASES").unwrap_or_default();
    let mut rows = Vec::new();
    for (number, case) in cases::all().filter(|case| case.name.starts_with(&prefix)).enumerate() {
        let row = table::judge(case, &session.run(number, case.script).await);
        println!("{row}");
        rows.push(row);
    }
    println!("SIDES {}", table::sum(&rows));
    let wrong: Vec<_> = rows.iter().filter(|row| !row.wrong.is_empty()).collect();
    let details: String = wrong.iter().map(|row| row.details()).collect();
    assert!(wrong.is_empty(), "{} cases fail\n{details}", wrong.len());
    assert!(!rows.is_empty(), "no case begins with {prefix}");
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_that_debian_ships_start_here_when_they_start_under_lxc() {
    let _turn = alone().await;
    corpus::compare(&Session::start().await).await;
}

#[test]
fn the_cases_are_many_and_each_has_a_name_of_its_own_and_every_command_is_among_them() {
    let mut names: Vec<_> = cases::all().map(|case| case.name).collect();
    assert!(names.len() >= LEAST, "{}", names.len());
    names.sort_unstable();
    let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let without: Vec<_> =
        side::COMMANDS.iter().filter(|command| !cases::all().any(|case| case.command() == **command)).collect();
    assert!(without.is_empty(), "commands without a case: {without:?}");
}
