//! Details: a line for each fact, its name in front.

use std::fmt;

use super::text::printable;

/// Facts about one thing. A fact without a value is left out.
#[derive(Debug, Default)]
pub(crate) struct Details(Vec<(&'static str, String)>);

impl Details {
    /// Adds a fact.
    pub(crate) fn fact(&mut self, name: &'static str, value: impl AsRef<str>) {
        let value = printable(value.as_ref());
        if !value.is_empty() {
            self.0.push((name, value));
        }
    }

    /// Adds a fact with several values, one below the other.
    pub(crate) fn facts(&mut self, name: &'static str, values: impl IntoIterator<Item = String>) {
        let names = std::iter::once(name).chain(std::iter::repeat(""));
        for (name, value) in names.zip(values) {
            self.0.push((name, printable(&value)));
        }
    }
}

impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        for (index, (name, value)) in self.0.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{}", format!("{name:<width$}  {value}").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_below_each_other_and_absent_ones_are_left_out() {
        let mut details = Details::default();
        details.fact("Name", "web");
        details.fact("Host name", "");
        details.facts("Labels", ["a=1".to_owned(), "b=2".to_owned()]);
        details.facts("Groups", []);
        assert_eq!(details.to_string(), "Name    web\nLabels  a=1\n        b=2");
    }
}
