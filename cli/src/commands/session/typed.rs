//! Input, until the other side has it for certain.

use std::collections::VecDeque;

use tweendeck_proto::v1::StreamChunk;

/// Most bytes that may be on their way; the contract's.
const WINDOW: usize = 64 << 10;
/// Bytes in a message.
const PORTION: usize = 16 << 10;

/// What was typed and is not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Typed {
    /// Where it begins.
    acked: u64,
    bytes: VecDeque<u8>,
    /// How much of it was sent on this connection.
    sent: usize,
}

impl Typed {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// Whether more may be typed now.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.len() < WINDOW
    }

    pub(super) fn is_unsent(&self) -> bool {
        self.sent < self.bytes.len().min(WINDOW)
    }

    /// Behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.acked.saturating_add(self.bytes.len() as u64)
    }

    /// Everything before has arrived.
    pub(super) fn acknowledge(&mut self, offset: u64) {
        let arrived = usize::try_from(offset.saturating_sub(self.acked)).unwrap_or(usize::MAX).min(self.bytes.len());
        self.bytes.drain(..arrived);
        self.sent = self.sent.saturating_sub(arrived);
        self.acked = self.acked.max(offset);
    }

    /// A new connection begins, whose other side has everything before `offset`.
    pub(super) fn begin(&mut self, offset: u64) {
        self.acknowledge(offset);
        self.sent = 0;
    }

    /// The next piece to be sent.
    pub(super) fn next(&mut self) -> Option<StreamChunk> {
        let length = self.bytes.len().min(WINDOW).saturating_sub(self.sent).min(PORTION);
        let data: Vec<u8> = self.bytes.iter().skip(self.sent).take(length).copied().collect();
        let offset = self.acked.saturating_add(self.sent as u64);
        self.sent = self.sent.saturating_add(length);
        (length > 0).then_some(StreamChunk { offset, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_acknowledged_is_sent_again_on_the_next_connection() {
        let mut typed = Typed::default();
        typed.begin(7);
        typed.push(b"abcdef");
        assert_eq!(typed.next().map(|chunk| (chunk.offset, chunk.data)), Some((7, b"abcdef".to_vec())));
        assert!(!typed.is_unsent());
        typed.acknowledge(9);
        typed.push(b"g");
        assert_eq!(typed.next().map(|chunk| (chunk.offset, chunk.data)), Some((13, b"g".to_vec())));
        typed.begin(10);
        assert_eq!(typed.next().map(|chunk| (chunk.offset, chunk.data)), Some((10, b"defg".to_vec())));
        assert_eq!(typed.end(), 14);
    }

    #[test]
    fn no_more_than_the_window_is_on_its_way() {
        let mut typed = Typed::default();
        typed.push(&vec![b'x'; WINDOW + 10]);
        let mut sent = 0;
        while let Some(chunk) = typed.next() {
            sent += chunk.data.len();
        }
        assert_eq!((sent, typed.has_room(), typed.is_unsent()), (WINDOW, false, false));
        typed.acknowledge(100);
        assert_eq!(typed.next().map(|chunk| chunk.data.len()), Some(10));
    }
}
