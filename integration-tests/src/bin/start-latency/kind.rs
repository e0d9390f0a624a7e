//! One kind of start, and what was measured of it.

use std::time::{Duration, Instant};

/// One kind of start.
pub(crate) struct Kind<'a> {
    /// A stable name, for `--only` and the JSON.
    pub(crate) id: &'static str,
    /// What is timed.
    pub(crate) what: String,
    /// Does it once, the number of the turn given, and says how long it took.
    pub(crate) run: Box<dyn FnMut(usize) -> Duration + 'a>,
    /// What counted.
    pub(crate) samples: Vec<Duration>,
}

impl<'a> Kind<'a> {
    pub(crate) fn new(id: &'static str, what: impl Into<String>, run: impl FnMut(usize) -> Duration + 'a) -> Self {
        Self { id, what: what.into(), run: Box::new(run), samples: Vec::new() }
    }

    /// The value that this many of a thousand samples do not exceed, milliseconds.
    pub(crate) fn at(&self, permille: usize) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len().saturating_sub(1)) * permille / 1000).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
    }
}

pub(crate) fn timed(run: impl FnOnce()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}
