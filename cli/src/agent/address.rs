//! Where an agent listens.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tonic::transport::Uri;

/// Where the agent listens unless configured otherwise.
pub(crate) const DEFAULT_ADDRESS: &str = "unix:///run/tweendeck/tweendeckd.sock";

const RULE: &str = "must be unix:///PATH, an absolute path, or http://HOST:PORT";

/// Where an agent listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// A TCP port, in the clear: the agent listens on loopback only.
    Http(Uri),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")).unwrap_or(text);
        if path.starts_with('/') && !path.contains('\0') {
            return Ok(Self::Unix(path.into()));
        }
        if text.starts_with("https:") {
            return Err(format!("{RULE}; the agent has no TLS"));
        }
        let uri: Uri = text.parse().map_err(|_| RULE.to_owned())?;
        let plain = uri.scheme_str() == Some("http")
            && uri.port_u16().is_some()
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none();
        if plain { Ok(Self::Http(uri)) } else { Err(RULE.to_owned()) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Http(uri) => write!(f, "{}", uri.to_string().trim_end_matches('/')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_socket_can_be_named_in_three_ways() {
        for same in ["unix:///run/a.sock", "unix:/run/a.sock", "/run/a.sock"] {
            assert_eq!(same.parse(), Ok(Address::Unix("/run/a.sock".into())), "{same}");
        }
        assert!(DEFAULT_ADDRESS.parse::<Address>().is_ok());
    }

    #[test]
    fn a_port_must_be_named() {
        for good in ["http://localhost:7000", "http://[::1]:7000", "http://127.0.0.1:7000/"] {
            assert!(matches!(good.parse(), Ok(Address::Http(_))), "{good}");
        }
        let bad = [
            "",
            "run/a.sock",
            "unix://run/a.sock",
            "http://localhost",
            "https://localhost:7000",
            "localhost:7000",
            "http://:7000",
            "http://a@b:7000",
            "http://localhost:7000/x",
            "http://localhost:7000?x",
            "ftp://localhost:7000",
        ];
        for bad in bad {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_parsed(text in "(unix://|unix:)?/[a-z.][a-z/.]{0,30}|http://[a-z]{1,10}:[1-9][0-9]{0,3}/?") {
            let address: Address = text.parse().unwrap();
            prop_assert_eq!(address.to_string().parse(), Ok(address));
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,60}") {
            let _ = text.parse::<Address>();
        }
    }
}
