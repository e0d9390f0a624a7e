//! What is wrong with a configuration, and where it was said.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting, or what was taken for one.
    pub setting: String,
    /// Where it was said, such as `the flag --grpc-listen`.
    pub source: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Everything that is wrong; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "one problem" } else { "several problems" };
        write!(f, "tweendeckd: the configuration has {plural}; nothing has been started")?;
        for Problem { setting, source, message } in &self.0 {
            write!(f, "\n  {setting} ({source}): {message}")?;
        }
        Ok(())
    }
}
