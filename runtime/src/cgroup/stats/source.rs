//! Which file says what, and in which directory it is.

use std::borrow::Cow;
use std::path::PathBuf;

use super::{HugetlbUse, Scope, Stats};
use crate::cgroup::change::{huge_sizes, size_name};
use crate::cgroup::{Controller, Hierarchies, Home, v1, v2};

/// A file, with what is taken from its text.
#[derive(Clone, Debug)]
pub(in crate::cgroup) struct Source {
    /// Its name.
    pub(in crate::cgroup) name: Cow<'static, str>,
    /// What takes its figures.
    pub(in crate::cgroup) content: Content,
}

/// A file by its name, for whom it is read, and what takes its figures.
pub(in crate::cgroup) type Take = (&'static str, Scope, fn(&mut Stats, &str) -> Option<()>);

/// The last part of the name of a file that there is for each size of huge page, and what takes its figures.
pub(in crate::cgroup) type TakeHuge = (&'static str, fn(&mut HugetlbUse, &str) -> Option<()>);

/// What takes a file's figures; `None` when its text is of another shape.
#[derive(Clone, Copy, Debug)]
pub(in crate::cgroup) enum Content {
    /// Of the cgroup.
    Of(fn(&mut Stats, &str) -> Option<()>),
    /// Of huge pages of one size, bytes.
    Huge(u64, fn(&mut HugetlbUse, &str) -> Option<()>),
}

/// What a v1 or v2 side counts with a controller.
#[derive(Clone, Copy, Debug)]
pub(in crate::cgroup) enum Counted {
    /// Files of these names.
    Files(&'static [Take]),
    /// Files of each size of huge page.
    Huge(&'static [TakeHuge]),
}

impl Content {
    /// Takes the figures of a text.
    pub(super) fn take(self, stats: &mut Stats, text: &str) -> Option<()> {
        match self {
            Self::Of(take) => take(stats, text),
            Self::Huge(size, take) => take(stats.hugetlb.entry(size).or_default(), text),
        }
    }
}

impl Counted {
    /// The files that are read for `scope`.
    fn sources(self, scope: Scope) -> Vec<Source> {
        match self {
            Self::Files(files) => files
                .iter()
                .filter(|(_, least, _)| *least <= scope)
                .map(|(name, _, take)| Source { name: Cow::Borrowed(name), content: Content::Of(*take) })
                .collect(),
            Self::Huge(_) if scope < Scope::Everything => Vec::new(),
            Self::Huge(files) => {
                let of_size = |size: u64| {
                    files.iter().map(move |(part, take)| Source {
                        name: Cow::Owned(format!("hugetlb.{}.{part}", size_name(size))),
                        content: Content::Huge(size, *take),
                    })
                };
                huge_sizes().into_iter().flat_map(of_size).collect()
            }
        }
    }
}

/// Where the use of one container is counted.
#[derive(Clone, Debug)]
pub(in crate::cgroup) struct Places(Vec<(PathBuf, Counted)>);

/// In the order in which they are read.
const CONTROLLERS: [Controller; 6] =
    [Controller::CpuAcct, Controller::Cpu, Controller::Memory, Controller::Pids, Controller::Io, Controller::Hugetlb];

impl Places {
    /// Of the cgroup at `path` below each mount point.
    pub(in crate::cgroup) fn new(hierarchies: &Hierarchies, path: &str) -> Self {
        let counted = |controller| {
            let home = hierarchies.home(controller)?;
            let counted = match home {
                Home::V1(_) => v1::stats::counted(controller),
                Home::V2(_) => v2::stats::counted(controller),
            };
            Some((home.mount().join(path), counted?))
        };
        let mut places: Vec<_> = CONTROLLERS.into_iter().filter_map(counted).collect();
        // Pressure needs no controller: beside v1 it is counted, too, where the cgroup has a directory in the unified hierarchy.
        places.extend(hierarchies.v2().map(|(mount, _)| (mount.join(path), Counted::Files(&v2::stats::PRESSURE))));
        Self(places)
    }

    /// Each directory with its files.
    pub(super) fn sources(&self, scope: Scope) -> Vec<(PathBuf, Vec<Source>)> {
        let mut all: Vec<(PathBuf, Vec<Source>)> = Vec::new();
        for (directory, counted) in &self.0 {
            let sources = counted.sources(scope);
            if sources.is_empty() {
                continue;
            }
            match all.iter_mut().find(|(known, _)| known == directory) {
                // On v2 two controllers' figures may be in one file.
                Some((_, known)) => {
                    for source in sources {
                        if known.iter().all(|known| known.name != source.name) {
                            known.push(source);
                        }
                    }
                }
                None => all.push((directory.clone(), sources)),
            }
        }
        all
    }
}
