//! Keys in etcd: `/tweendeck/v1/nodes/<id>/{info,alive,usage,ctr/<name>}`.
//!
//! A node's keys share one prefix, so that one grant covers them. Ids and names cannot contain `/`,
//! so a key has one meaning only.

use std::fmt;

const ROOT: &str = "/tweendeck/v1/nodes/";

/// A key a node writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// [`crate::v1::NodeInfo`]; rewritten when it changes.
    Info {
        /// Node id.
        node: String,
    },
    /// Text `<boot id> <journal id>`; the only key bound to the node's lease.
    Alive {
        /// Node id.
        node: String,
    },
    /// [`crate::v1::NodeUsage`]; rewritten when something moved, or after the refresh interval.
    Usage {
        /// Node id.
        node: String,
    },
    /// [`crate::v1::ContainerReport`]; rewritten on every transition, removed when the container is.
    Container {
        /// Node id.
        node: String,
        /// Container name.
        name: String,
    },
}

impl Key {
    /// The prefix of everything one node writes.
    #[must_use]
    pub fn node_prefix(node: &str) -> String {
        format!("{ROOT}{node}/")
    }

    /// The prefix of one node's containers.
    #[must_use]
    pub fn container_prefix(node: &str) -> String {
        format!("{ROOT}{node}/ctr/")
    }

    /// The key a string stands for; `None` if it is not one of ours.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let (node, rest) = key.strip_prefix(ROOT)?.split_once('/')?;
        if node.is_empty() {
            return None;
        }
        let node = node.to_owned();
        match rest {
            "info" => Some(Self::Info { node }),
            "alive" => Some(Self::Alive { node }),
            "usage" => Some(Self::Usage { node }),
            _ => match rest.strip_prefix("ctr/")? {
                name if name.is_empty() || name.contains('/') => None,
                name => Some(Self::Container { node, name: name.to_owned() }),
            },
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Info { node } => write!(f, "{ROOT}{node}/info"),
            Self::Alive { node } => write!(f, "{ROOT}{node}/alive"),
            Self::Usage { node } => write!(f, "{ROOT}{node}/usage"),
            Self::Container { node, name } => write!(f, "{ROOT}{node}/ctr/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_key_round_trips(node in "[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", name in "[A-Za-z0-9][A-Za-z0-9_.-]{0,62}") {
            let keys = [
                Key::Info { node: node.clone() },
                Key::Alive { node: node.clone() },
                Key::Usage { node: node.clone() },
                Key::Container { node: node.clone(), name },
            ];
            for key in keys {
                prop_assert!(key.to_string().starts_with(&Key::node_prefix(&node)));
                prop_assert_eq!(Key::parse(&key.to_string()), Some(key));
            }
        }

        #[test]
        fn parsing_never_panics_and_accepts_only_what_it_prints(text in ".{0,80}") {
            if let Some(key) = Key::parse(&text) {
                prop_assert_eq!(key.to_string(), text);
            }
        }
    }
}
