//! Standard input and output, each with a thread of its own: they may block for as long as they like, and the process ends without them.

use std::io::{self, Read as _, Write as _};
use std::thread;

use tokio::sync::{mpsc, watch};

/// Bytes that are read at a time.
const PORTION: usize = 16 << 10;
/// Portions that may wait.
const AHEAD: usize = 4;

/// What comes on standard input; nothing more at its end.
pub(super) fn input() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    thread::spawn(move || {
        let mut buffer = vec![0; PORTION];
        loop {
            match io::stdin().read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    let portion = buffer.get(..length).unwrap_or_default().to_vec();
                    if sender.blocking_send(portion).is_err() {
                        return;
                    }
                }
            }
        }
    });
    receiver
}

/// Output to be written.
pub(super) struct Portion {
    pub(super) error: bool,
    pub(super) data: Vec<u8>,
    /// Behind its last byte.
    pub(super) end: u64,
}

/// How far output was written: behind the last byte of each stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) offsets: [u64; 2],
    /// Nobody reads it any more.
    pub(super) broken: bool,
}

/// Standard output and standard error.
pub(super) fn output() -> (mpsc::Sender<Portion>, watch::Receiver<Written>) {
    let (sender, mut receiver) = mpsc::channel::<Portion>(AHEAD);
    let (progress, written) = watch::channel(Written::default());
    thread::spawn(move || {
        while let Some(portion) = receiver.blocking_recv() {
            let result = if portion.error {
                io::stderr().write_all(&portion.data)
            } else {
                io::stdout().write_all(&portion.data).and_then(|()| io::stdout().flush())
            };
            progress.send_modify(|written| {
                let [stdout, stderr] = &mut written.offsets;
                *(if portion.error { stderr } else { stdout }) = portion.end;
                written.broken |= result.is_err();
            });
        }
    });
    (sender, written)
}
