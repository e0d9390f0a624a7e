//! Addresses: of hardware, and of the Internet.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Six octets, of which any digit may be an `x`: one that is made up later.
pub(super) fn hardware(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'x' | b'X');
    text.split(':').count() == 6 && text.split(':').all(|octet| octet.len() == 2 && octet.bytes().all(digit))
}

/// An address, `/` and its prefix if it is not the widest, a blank and its broadcast address if that is not the usual one.
pub(super) fn ipv4(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let address = words.next().is_some_and(prefixed::<Ipv4Addr>(32));
    address && words.next().is_none_or(is::<Ipv4Addr>) && words.next().is_none()
}

/// An address, `/` and its prefix if it is not 64.
pub(super) fn ipv6(text: &str) -> bool {
    prefixed::<Ipv6Addr>(128)(text)
}

/// An address, `auto` (that of the bridge) or `dev` (none but the device).
pub(super) fn gateway<Address: FromStr>(text: &str) -> bool {
    matches!(text, "auto" | "dev") || is::<Address>(text)
}

/// An address with its prefix.
pub(super) fn route<Address: FromStr>(widest: u8) -> impl Fn(&str) -> bool {
    move |text| text.contains('/') && prefixed::<Address>(widest)(text)
}

/// An address, and perhaps its prefix.
fn prefixed<Address: FromStr>(widest: u8) -> impl Fn(&str) -> bool {
    move |text| match text.split_once('/') {
        Some((address, prefix)) => {
            let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
            is::<Address>(address) && digits && prefix.parse::<u8>().is_ok_and(|prefix| prefix <= widest)
        }
        None => is::<Address>(text),
    }
}

fn is<Address: FromStr>(text: &str) -> bool {
    text.parse::<Address>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_may_have_open_digits() {
        for good in ["00:16:3e:00:00:01", "10:66:6a:xx:xx:xx", "00:16:3E:XX:xX:x0"] {
            assert!(hardware(good), "{good}");
        }
        for bad in ["", "00:16:3e", "00163e001122", "00:16:3e:00:00:0g", "00:16:3e:00:00:01:02", "0:16:3e:00:00:011"] {
            assert!(!hardware(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_may_have_a_prefix() {
        for good in ["10.0.0.2", "10.0.0.2/24", "10.0.0.2/24 10.0.0.255"] {
            assert!(ipv4(good), "{good}");
        }
        for bad in [
            "10.0.0",
            "10.0.0.2/33",
            "10.0.0.2/-1",
            "10.0.0.2/+4",
            "10.0.0.2/",
            "10.0.0.2/24 x",
            "10.0.0.2 1.1.1.1 1.1.1.1",
        ] {
            assert!(!ipv4(bad), "{bad}");
        }
        assert!(ipv6("fc00::2") && ipv6("2003:db8:1:0:214:1234:fe0b:3596/64"));
        assert!(!ipv6("fc00::2/129") && !ipv6("bogus"));
    }

    #[test]
    fn gateways_may_be_told_and_routes_are_never_single_addresses() {
        assert!(gateway::<Ipv4Addr>("auto") && gateway::<Ipv4Addr>("dev") && gateway::<Ipv6Addr>("fc00::1"));
        assert!(!gateway::<Ipv4Addr>("none") && !gateway::<Ipv4Addr>("fc00::1"));
        assert!(route::<Ipv4Addr>(32)("10.0.0.0/24") && !route::<Ipv4Addr>(32)("10.0.0.1"));
        assert!(route::<Ipv6Addr>(128)("fc00::/64") && !route::<Ipv6Addr>(128)("bogus"));
    }
}
