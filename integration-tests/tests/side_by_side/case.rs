//! What is compared: a script, what it prints with LXC, and what with ours.

/// One comparison.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// `command/what`, the command without its `lxc-`.
    pub(crate) name: &'static str,
    /// For sh(1), behind `prelude.sh`.
    pub(crate) script: &'static str,
    /// What it prints with LXC, normalised.
    pub(crate) lxc: &'static str,
    pub(crate) ours: Ours,
}

/// What our commands print.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ours {
    Same,
    /// Something else, on purpose.
    Differs {
        reason: &'static str,
        ours: &'static str,
    },
}

impl Case {
    /// Which command it is about.
    pub(crate) fn command(&self) -> &'static str {
        self.name.split('/').next().unwrap()
    }

    /// What our commands are to print.
    pub(crate) fn expected_of_ours(&self) -> &'static str {
        match self.ours {
            Ours::Same => self.lxc,
            Ours::Differs { ours, .. } => ours,
        }
    }
}

/// Both print this.
pub(crate) const fn same(name: &'static str, script: &'static str, both: &'static str) -> Case {
    Case { name, script, lxc: both, ours: Ours::Same }
}

/// They differ on purpose.
pub(crate) const fn differs(
    name: &'static str,
    script: &'static str,
    lxc: &'static str,
    ours: &'static str,
    reason: &'static str,
) -> Case {
    Case { name, script, lxc, ours: Ours::Differs { reason, ours } }
}
