//! The keys that detach, among what is typed.

/// Looks for them. What may become them is held back until it is clear.
#[derive(Debug)]
pub(super) struct Watch {
    keys: Vec<u8>,
    matched: usize,
}

impl Watch {
    pub(super) fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    /// What of the input goes on; and whether the keys were pressed, after which nothing does.
    pub(super) fn pass(&mut self, input: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(input.len());
        for byte in input {
            // Back to the longest beginning that what was typed still is the end of.
            while self.matched > 0 && self.keys.get(self.matched) != Some(byte) {
                let shorter = self.shorter(self.matched);
                passed.extend_from_slice(self.keys.get(..self.matched - shorter).unwrap_or_default());
                self.matched = shorter;
            }
            if self.keys.get(self.matched) == Some(byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return (passed, true);
                }
            } else {
                passed.push(*byte);
            }
        }
        (passed, false)
    }

    fn shorter(&self, matched: usize) -> usize {
        let typed = self.keys.get(..matched).unwrap_or_default();
        (0..matched).rev().find(|length| typed.ends_with(self.keys.get(..*length).unwrap_or_default())).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_found_wherever_reads_divide_them() {
        let mut watch = Watch::new(vec![16, 17]);
        assert_eq!(watch.pass(b"a\x10"), (b"a".to_vec(), false));
        assert_eq!(watch.pass(b"b"), (b"\x10b".to_vec(), false));
        assert_eq!(watch.pass(b"\x10\x10\x11rest"), (b"\x10".to_vec(), true));
        assert_eq!(Watch::new(Vec::new()).pass(b"\x10\x11"), (b"\x10\x11".to_vec(), false));
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_before_the_keys(keys in proptest::collection::vec(0_u8..3, 1..4), input in proptest::collection::vec(0_u8..3, 0..40), cut in 0_usize..40) {
            let found = input.windows(keys.len()).position(|window| window == keys);
            let (first, second) = input.split_at(cut.min(input.len()));
            let mut watch = Watch::new(keys.clone());
            let (mut passed, mut pressed) = watch.pass(first);
            if !pressed {
                let (more, now) = watch.pass(second);
                passed.extend(more);
                pressed = now;
            }
            proptest::prop_assert_eq!(pressed, found.is_some());
            let expected = found.unwrap_or(input.len() - watch.matched * usize::from(found.is_none()));
            proptest::prop_assert_eq!(passed, &input[..expected]);
        }
    }
}
