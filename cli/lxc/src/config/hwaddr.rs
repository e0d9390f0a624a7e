//! Hardware addresses with digits that are made up.

use super::Config;

/// Names a single device, not a group of them.
const GROUP: u8 = 1;
/// Given by who runs the machine, not by who made the device.
const LOCAL: u8 = 2;

impl Config {
    /// Puts a random digit in place of every `x` in `lxc.net.N.hwaddr`. LXC does that when a container is made, and keeps what comes of it.
    ///
    /// An address is of one device always, and where its first octet is made up as a whole, a locally administered one.
    pub fn fill_hwaddr(&mut self, random: &mut dyn FnMut() -> u8) {
        for item in &mut self.items {
            if item.key.starts_with("lxc.net.") && item.key.ends_with(".hwaddr") {
                item.value = filled(&item.value, random);
            }
        }
    }
}

impl Config {
    /// Other hardware addresses for a copy: the same devices' makers (the first three octets), the rest made up.
    pub fn renew_hwaddr(&mut self, random: &mut dyn FnMut() -> u8) {
        for item in &mut self.items {
            if item.key.starts_with("lxc.net.") && item.key.ends_with(".hwaddr") {
                let maker = item.value.get(..9).unwrap_or_default();
                item.value = filled(&format!("{maker}xx:xx:xx"), random);
            }
        }
    }
}

fn filled(address: &str, random: &mut dyn FnMut() -> u8) -> String {
    let whole = address.get(..2).is_some_and(|first| first.eq_ignore_ascii_case("xx"));
    let mut digit = |(at, character): (usize, char)| {
        if !character.eq_ignore_ascii_case(&'x') {
            return character;
        }
        let mut digit = random() & 0xF;
        if at == 1 {
            digit &= !GROUP;
            digit |= if whole { LOCAL } else { 0 };
        }
        char::from_digit(digit.into(), 16).unwrap_or(character)
    };
    address.char_indices().map(&mut digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_open_digits_change() {
        let mut next = 0;
        let mut random = || {
            next += 1;
            next
        };
        assert_eq!(filled("10:66:6a:xx:xX:xx", &mut random), "10:66:6a:12:34:56");
        assert_eq!(filled("00:16:3e:00:00:01", &mut random), "00:16:3e:00:00:01");
    }

    #[test]
    fn no_address_is_that_of_a_group() {
        for byte in 0..=255 {
            assert_eq!(u8::from_str_radix(&filled("xx:00:00:00:00:00", &mut || byte)[..2], 16).unwrap() & 3, LOCAL);
            assert_eq!(u8::from_str_radix(&filled("0x:00:00:00:00:00", &mut || byte)[..2], 16).unwrap() & GROUP, 0);
        }
    }
}
