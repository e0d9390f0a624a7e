//! A line on the terminal while something takes long: `stopping web … 3s`.
//!
//! Nothing is written when standard error is no terminal, and nothing is left when the work is done.

use std::io::{self, IsTerminal as _, Write};
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::time::{Instant, interval_at};

use crate::output::brief;

/// How long nothing is said, and then how often it is said anew.
const TICK: Duration = Duration::from_secs(1);
/// Back to the line's beginning, and erase it (ECMA-48, CR and EL).
const CLEAR: &str = "\r\x1b[K";

/// Does the work, and says how long it takes if it takes long.
pub(crate) async fn during<T>(what: &str, work: impl Future<Output = T>) -> T {
    shown(|| what.to_owned(), pin!(work)).await
}

/// The same, with how much has been done so far.
pub(crate) async fn counted<T>(what: &str, much: impl Fn() -> String, work: impl Future<Output = T>) -> T {
    shown(|| format!("{what} {}", much()), pin!(work)).await
}

async fn shown<T>(what: impl Fn() -> String, work: Pin<&mut impl Future<Output = T>>) -> T {
    let stderr = io::stderr();
    if stderr.is_terminal() { shown_on(stderr, what, work).await } else { work.await }
}

async fn shown_on<T>(
    mut terminal: impl Write,
    what: impl Fn() -> String,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> T {
    let began = Instant::now();
    let mut ticks = interval_at(began + TICK, TICK);
    let mut shown = false;
    loop {
        // The work first: what is done is not said to take long.
        tokio::select! { biased;
            result = work.as_mut() => {
                if shown {
                    show(&mut terminal, CLEAR);
                }
                return result;
            }
            _ = ticks.tick() => {
                show(&mut terminal, &format!("{CLEAR}{} … {}", what(), brief(began.elapsed())));
                shown = true;
            }
        }
    }
}

/// The line is a courtesy: a terminal that does not take it changes nothing.
fn show(terminal: &mut impl Write, text: &str) {
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_is_shown_each_second_and_cleared() {
        let mut terminal = Vec::new();
        let work = async {
            sleep(Duration::from_millis(2500)).await;
            7
        };
        assert_eq!(shown_on(&mut terminal, || "stopping web".to_owned(), pin!(work)).await, 7);
        let expected = "\r\x1b[Kstopping web … 1s\r\x1b[Kstopping web … 2s\r\x1b[K";
        assert_eq!(String::from_utf8(terminal).unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_quick_is_not_shown() {
        let mut terminal = Vec::new();
        shown_on(&mut terminal, || "stopping web".to_owned(), pin!(sleep(Duration::from_millis(900)))).await;
        assert!(terminal.is_empty());
    }
}
