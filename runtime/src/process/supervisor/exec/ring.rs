//! The end of a stream: as much of what was written last as there is room for, by its place counted from the beginning.

use crate::process::say::say;
use crate::sys::Memory;

/// A stream's ring. Its memory is taken when the first byte comes.
#[derive(Debug)]
pub(in crate::process::supervisor) struct Ring {
    memory: Option<Memory>,
    capacity: usize,
    start: u64,
    end: u64,
}

impl Ring {
    /// An empty one with room for so many bytes, at least 1.
    pub(in crate::process::supervisor) fn new(capacity: usize) -> Self {
        Self { memory: None, capacity: capacity.max(1), start: 0, end: 0 }
    }

    /// The first byte that is kept.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// How many bytes can be added while everything from `kept` on stays.
    pub(super) fn room(&self, kept: u64) -> usize {
        let in_use = self.end.saturating_sub(kept.max(self.start));
        self.capacity.saturating_sub(usize::try_from(in_use).unwrap_or(usize::MAX))
    }

    /// Adds to it; what there is no room for any more goes at its beginning.
    pub(in crate::process::supervisor) fn push(&mut self, data: &[u8]) {
        self.end = self.end.saturating_add(data.len() as u64);
        let memory = match &mut self.memory {
            Some(memory) => memory,
            None => match Memory::new(self.capacity) {
                Ok(memory) => self.memory.insert(memory),
                Err(error) => {
                    say(format_args!("take memory for output: {error}"));
                    self.start = self.end;
                    return;
                }
            },
        };
        // Of more than it holds, the end.
        let skipped = data.len().saturating_sub(self.capacity);
        let data = data.get(skipped..).unwrap_or_default();
        let at = place(self.end - data.len() as u64, self.capacity);
        let (first, second) = data.split_at(data.len().min(self.capacity - at));
        copy(memory.bytes_mut(), at, first);
        copy(memory.bytes_mut(), 0, second);
        self.start = self.start.max(self.end.saturating_sub(self.capacity as u64));
    }

    /// What is kept from `from` on, at most `max` bytes; perhaps less than there is. Nothing when `from` is not kept.
    pub(super) fn read(&self, from: u64, max: usize) -> &[u8] {
        let Some(memory) = self.memory.as_ref().filter(|_| (self.start..self.end).contains(&from)) else {
            return &[];
        };
        let at = place(from, self.capacity);
        let left = usize::try_from(self.end - from).unwrap_or(usize::MAX);
        let length = left.min(max).min(self.capacity - at);
        memory.bytes().get(at..at + length).unwrap_or_default()
    }
}

fn place(offset: u64, capacity: usize) -> usize {
    usize::try_from(offset % capacity as u64).unwrap_or_default()
}

fn copy(to: &mut [u8], at: usize, from: &[u8]) {
    if let Some(to) = to.get_mut(at..at + from.len()) {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(ring: &Ring) -> Vec<u8> {
        let (mut from, mut read) = (ring.start(), Vec::new());
        while from < ring.end() {
            let part = ring.read(from, 5);
            assert!(!part.is_empty());
            from += part.len() as u64;
            read.extend_from_slice(part);
        }
        read
    }

    proptest::proptest! {
        #[test]
        fn it_holds_the_end_of_what_was_written(capacity in 1_usize..40, parts: Vec<Vec<u8>>) {
            let (mut ring, mut written) = (Ring::new(capacity), Vec::new());
            for part in parts {
                ring.push(&part);
                written.extend_from_slice(&part);
                let kept = written.len().min(capacity);
                proptest::prop_assert_eq!(ring.end(), written.len() as u64);
                proptest::prop_assert_eq!(ring.end() - ring.start(), kept as u64);
                proptest::prop_assert_eq!(all(&ring), &written[written.len() - kept..]);
                proptest::prop_assert_eq!(ring.room(ring.end()), capacity);
                proptest::prop_assert_eq!(ring.room(0), capacity - kept);
            }
            proptest::prop_assert!(ring.read(ring.end(), 9).is_empty());
        }
    }

    #[test]
    fn what_is_kept_for_a_reader_takes_its_room() {
        let mut ring = Ring::new(8);
        ring.push(b"abcdef");
        assert_eq!((ring.room(0), ring.room(2), ring.room(6)), (2, 4, 8));
        ring.push(b"ghij");
        assert_eq!((ring.start(), ring.end()), (2, 10));
        assert_eq!(ring.read(1, 9), b"");
        assert_eq!((ring.read(2, 9), ring.read(8, 9)), (&b"cdefgh"[..], &b"ij"[..]));
    }
}
