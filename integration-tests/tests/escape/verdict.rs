//! What the outcomes of one probe in all kinds of containers say about the layers.

use std::collections::BTreeMap;

use crate::layer::Layer;
use crate::place::{Kind, Outcome};
use crate::table::{Behind, Row};

/// Outcomes of all probes, by container.
pub(crate) type Outcomes = BTreeMap<Kind, BTreeMap<String, Outcome>>;

/// One line of the result.
pub(crate) struct Verdict {
    pub(crate) line: String,
    /// What is not as the table has it.
    pub(crate) wrong: Vec<String>,
    /// A container in which the probe gets through: so it can.
    pub(crate) control: Option<Kind>,
}

/// Compares a row with what was seen.
pub(crate) fn judge(row: &Row, all: &Outcomes) -> Verdict {
    let (name, expected, behind) = *row;
    let at = |kind: Kind| all.get(&kind).and_then(|outcomes| outcomes.get(name));
    let Some(seen) = at(Kind::Default) else {
        // Calls of another architecture.
        return Verdict { line: format!("PROBE {name} | not on this machine"), wrong: Vec::new(), control: None };
    };
    let mut wrong = Vec::new();
    let mut check = |holds: bool, text: &str| {
        if !holds {
            wrong.push(format!("{name}: {text}"));
        }
    };
    let absent = expected.guards_a_file() && seen.is_absent() && at(Kind::Nothing).is_none_or(Outcome::is_absent);
    let first = if absent { Layer::Kernel } else { expected };
    check(!seen.is_through(), "GOT THROUGH in a default container");
    check(seen.filtered == (first == Layer::Seccomp), "is refused by the filter exactly if the table says so");
    check(explains(first, seen), &format!("is {}, which is not what {first} gives", seen.word));
    let second = first.without().and_then(|kind| at(kind).map(|outcome| (kind, outcome)));
    let mut text = Behind::NotTried.to_string();
    if let Some((kind, without)) = second {
        check(kind != Kind::NoUser || without.word != seen.word, "fails no otherwise without the user namespace");
        // Since Linux 6.2 a kernel can be without it (dev.tty.legacy_tiocsti), and then says EIO.
        let left_out = name == "tiocsti" && without.word == "EIO";
        let layer = if left_out || without.is_absent() { Behind::By(Layer::Kernel) } else { behind };
        check(without.is_through() == (layer == Behind::Nothing), &format!("is {} in {kind:?}", without.word));
        if let Behind::By(layer) = layer
            && !left_out
        {
            check(explains(layer, without), &format!("is {} in {kind:?}", without.word));
        }
        if let Some(alone) = at(Kind::Namespaces) {
            // Any other error says that it got past the checks of privilege.
            let refused = ["EPERM", "EACCES"].contains(&alone.word.as_str());
            let by = |one| layer == Behind::By(one);
            check(!by(Layer::Capabilities) || !refused, "is refused to every capability in a user namespace");
            check(!by(Layer::UserNamespace) || !alone.is_through(), "gets through in a user namespace");
        }
        text = if without.is_through() { layer.to_string() } else { format!("{layer} {}", without.word) };
    } else if !absent {
        check(behind == Behind::NotTried, "has no container without its first line");
    }
    let control = all.keys().copied().find(|kind| at(*kind).is_some_and(Outcome::is_through));
    let shown = control.map_or_else(|| "never".to_owned(), |kind| format!("{kind:?}"));
    Verdict {
        line: format!("PROBE {name:26} | {first} {} | {text} | gets through in: {shown}", seen.word),
        wrong,
        control,
    }
}

/// Whether an outcome is one that a layer gives, where it gives one of its own.
fn explains(layer: Layer, outcome: &Outcome) -> bool {
    let word = outcome.word.as_str();
    match layer {
        Layer::Mask => word == "empty",
        Layer::ReadOnly => word == "EROFS",
        Layer::NoNewPrivileges | Layer::ClosedDescriptors => word == "contained",
        Layer::Capabilities | Layer::UserNamespace | Layer::UndumpableInit | Layer::NoDevices => {
            ["EPERM", "EACCES"].contains(&word)
        }
        Layer::PidNamespace | Layer::CgroupNamespace | Layer::DeviceNodes | Layer::MountNamespace => {
            ["ENOENT", "ESRCH"].contains(&word)
        }
        Layer::NetworkNamespace => word == "ECONNREFUSED",
        Layer::Seccomp => outcome.filtered,
        Layer::Kernel => outcome.is_absent(),
    }
}
