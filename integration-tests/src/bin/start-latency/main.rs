//! What it costs to run `/bin/true` in a container: ours, beside LXC, crun and runc, and beside the least that the kernel takes for it. All kinds are
//! taken in turns within one run, in another order each turn, because machines are slow at times; what counts are the ratios. `scripts/bench` builds
//! for it and runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that fails is worth nothing"
)]

mod apart;
mod floor;
mod front;
mod kind;
mod memory;
mod options;
mod ours;
mod peers;
mod place;
mod report;

use rand::seq::SliceRandom as _;

use kind::Kind;
use options::Options;
use ours::Ours;
use place::Place;

fn main() {
    let options = Options::parse();
    let place = Place::new(options.overlay.as_ref());
    let ours = Ours::start(&place);
    if let Some(containers) = options.memory {
        return memory::measure(&ours, containers);
    }
    let mut kinds = vec![floor::spawn(), floor::container(&place)];
    kinds.extend(ours.kinds());
    kinds.extend(peers::kinds(&place));
    kinds.extend(front::kinds(&ours, &place));
    kinds.retain(|kind| options.wants(kind.id));
    take_turns(&mut kinds, &options);
    report::print(&kinds);
    report::store(&kinds, &options);
}

fn take_turns(kinds: &mut [Kind], options: &Options) {
    let mut order: Vec<usize> = (0..kinds.len()).collect();
    for turn in 0..options.runs + options.warm_up {
        order.shuffle(&mut rand::rng());
        for &index in &order {
            std::thread::sleep(options.pause);
            let took = (kinds[index].run)(turn);
            if turn >= options.warm_up {
                kinds[index].samples.push(took);
            }
        }
    }
}
