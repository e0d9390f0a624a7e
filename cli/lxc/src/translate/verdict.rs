//! What becomes of each setting: the verdicts, and the specification that grows with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tweendeck_proto::v1::{ContainerSpec, DeviceRule, NamespaceOptions, Resources, SecurityOptions};

use super::{Extras, Fate, Node, Note, Purpose, Refused, Translated};
use crate::config::{Config, Item, Place, Problem};

/// What becomes of a setting, or why it is refused and what to do.
pub(super) type Verdict = Result<Fate, String>;

/// It is so, by this field or of itself.
pub(super) fn honoured(text: impl Into<String>) -> Verdict {
    Ok(Fate::Honoured(text.into()))
}

/// It became something else of the same meaning.
pub(super) fn translated(text: impl Into<String>) -> Verdict {
    Ok(Fate::Translated(text.into()))
}

/// It has no effect.
pub(super) fn noted(text: impl Into<String>) -> Verdict {
    Ok(Fate::Noted(text.into()))
}

/// It is refused.
pub(super) fn refused(text: impl Into<String>) -> Verdict {
    Err(text.into())
}

/// The verdict on a setting that says several things.
pub(super) fn together(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    let (mut why, mut texts, mut rank) = (Vec::new(), Vec::new(), Vec::new());
    for verdict in verdicts {
        match verdict {
            Err(text) => why.push(text),
            Ok(Fate::Honoured(text)) => {
                rank.push(1);
                texts.push(text);
            }
            Ok(Fate::Translated(text)) => {
                rank.push(2);
                texts.push(text);
            }
            Ok(Fate::Noted(text)) => {
                rank.push(0);
                texts.push(text);
            }
        }
    }
    texts.dedup();
    match (why.is_empty(), rank.iter().max()) {
        (false, _) => refused(why.join("; ")),
        (true, Some(2)) => translated(texts.join("; ")),
        (true, Some(1)) => honoured(texts.join("; ")),
        (true, Some(_)) => noted(texts.join("; ")),
        (true, None) => noted("says nothing"),
    }
}

/// A setting, and which one it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    position: usize,
    item: &'a Item,
}

impl<'a> Said<'a> {
    /// The key.
    pub(super) fn key(self) -> &'a str {
        &self.item.key
    }

    /// The value.
    pub(super) fn value(self) -> &'a str {
        &self.item.value
    }

    /// Where it was said.
    pub(super) fn place(self) -> &'a Place {
        &self.item.place
    }
}

/// A translation under way.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) config: &'a Config,
    pub(super) node: &'a Node,
    pub(super) purpose: &'a Purpose,
    pub(super) spec: ContainerSpec,
    pub(super) extras: Extras,
    /// Paths on the node that are the container's root, as targets of mounts may name it.
    pub(super) roots: Vec<String>,
    /// Capabilities, profile, labels; in the specification once something is asked.
    pub(super) security: SecurityOptions,
    /// Likewise.
    pub(super) namespaces: NamespaceOptions,
    /// Likewise.
    pub(super) resources: Resources,
    verdicts: BTreeMap<usize, Verdict>,
    further: Vec<Problem>,
}

impl<'a> Work<'a> {
    /// Nothing is translated yet.
    pub(super) fn new(config: &'a Config, node: &'a Node, purpose: &'a Purpose) -> Self {
        Self {
            config,
            node,
            purpose,
            spec: ContainerSpec::default(),
            extras: Extras::default(),
            roots: Vec::new(),
            security: SecurityOptions::default(),
            namespaces: NamespaceOptions::default(),
            resources: Resources::default(),
            verdicts: BTreeMap::new(),
            further: Vec::new(),
        }
    }

    /// Settings whose key begins so, in order.
    pub(super) fn under(&self, prefix: &str) -> Vec<Said<'a>> {
        let all = self.config.items().iter().enumerate();
        all.filter(|(_, item)| item.key.starts_with(prefix)).map(|(position, item)| Said { position, item }).collect()
    }

    /// Settings of one key, in order.
    pub(super) fn all(&self, key: &str) -> Vec<Said<'a>> {
        self.under(key).into_iter().filter(|said| said.key() == key).collect()
    }

    /// Gives a verdict. A refusal stands; another verdict may be given in place of an earlier one.
    pub(super) fn settle(&mut self, said: Said<'a>, verdict: Verdict) {
        let refused = self.verdicts.get(&said.position).is_some_and(Result::is_err);
        if !refused {
            self.verdicts.insert(said.position, verdict);
        }
    }

    /// Judges each setting of a key by itself.
    pub(super) fn each(&mut self, key: &str, mut judge: impl FnMut(&mut Self, &'a str) -> Verdict) {
        for said in self.all(key) {
            let verdict = judge(self, said.value());
            self.settle(said, verdict);
        }
    }

    /// The setting that counts, of a key that takes one value.
    pub(super) fn only(&mut self, key: &str) -> Option<Said<'a>> {
        let mut all = self.all(key);
        let last = all.pop();
        for said in all {
            self.settle(said, noted("a later setting of the key counts"));
        }
        last
    }

    /// Judges a key that takes one value.
    pub(super) fn take(&mut self, key: &str, judge: impl FnOnce(&mut Self, &'a str) -> Verdict) {
        if let Some(said) = self.only(key) {
            let verdict = judge(self, said.value());
            self.settle(said, verdict);
        }
    }

    /// Takes all settings of some keys with the same note.
    pub(super) fn note(&mut self, keys: &[&str], text: &str) {
        for key in keys {
            self.each(key, |_, _| noted(text));
        }
    }

    /// Refuses something that is missing.
    pub(super) fn missing(&mut self, key: &str, why: &str) {
        let place = Place { file: Arc::from("the command line"), line: 0 };
        self.further.push(Problem { place, key: key.to_owned(), why: why.to_owned() });
    }

    /// A device beside those that every container has.
    pub(super) fn device(&mut self, rule: DeviceRule) {
        self.resources.devices.push(rule);
    }

    /// All problems, or the specification with a note for each setting.
    pub(super) fn finish(mut self) -> Result<Translated, Refused> {
        let (mut notes, mut problems) = (Vec::new(), Vec::new());
        for (position, item) in self.config.items().iter().enumerate() {
            let unknown = || refused("is not known to this version; leave it out");
            match self.verdicts.remove(&position).unwrap_or_else(unknown) {
                Ok(fate) => notes.push(Note { item: item.clone(), fate }),
                Err(why) => problems.push(Problem { place: item.place.clone(), key: item.key.clone(), why }),
            }
        }
        problems.append(&mut self.further);
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut spec = self.spec;
        spec.security = Some(self.security).filter(|options| *options != SecurityOptions::default());
        spec.namespaces = Some(self.namespaces).filter(|options| *options != NamespaceOptions::default());
        spec.resources = Some(self.resources).filter(|limits| *limits != Resources::default());
        Ok(Translated { spec, notes, extras: self.extras })
    }
}
