//! Where values come from: flags, variables, the file, defaults.

use std::collections::BTreeMap;

use super::problem::Problem;
use super::settings::{SETTINGS, Setting, Shape, VARIABLES};

/// A value, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
}

/// A value and where it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) value: Value,
    pub(super) source: String,
}

/// What was said of each setting, by path.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    said: BTreeMap<&'static str, Said>,
}

impl Layers {
    /// Adds what a file says; what is not a setting is a problem.
    pub(super) fn add_file(&mut self, name: &str, text: &str, problems: &mut Vec<Problem>) {
        let problem =
            |setting: &str, message: String| Problem { setting: setting.to_owned(), source: name.to_owned(), message };
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                return problems.push(problem("the file", format!("is not TOML: {}", error.to_string().trim_end())));
            }
        };
        let mut open = vec![(String::new(), table)];
        while let Some((section, table)) = open.pop() {
            for (key, value) in table {
                let path = if section.is_empty() { key } else { format!("{section}.{key}") };
                match (find(&path), value) {
                    (Some(setting), value) => match convert(setting.shape, value) {
                        Ok(value) => {
                            self.said.insert(setting.path, Said { value, source: name.to_owned() });
                        }
                        Err(message) => problems.push(problem(&path, message)),
                    },
                    (None, toml::Value::Table(inner)) if is_section(&path) => open.push((path, inner)),
                    (None, _) => problems.push(problem(&path, unknown(&path))),
                }
            }
        }
    }

    /// Adds what the environment says; a variable with our prefix that is no setting is a problem.
    pub(super) fn add_environment(
        &mut self,
        variables: impl Iterator<Item = (String, String)>,
        problems: &mut Vec<Problem>,
    ) {
        for (name, value) in variables.filter(|(name, _)| name.starts_with(VARIABLES)) {
            let source = format!("the environment variable {name}");
            match SETTINGS.iter().find(|setting| setting.variable() == name) {
                Some(setting) => self.add_text(setting, &value, source, problems),
                // Read where the file is looked for.
                None if name == CONFIG_VARIABLE => {}
                None => problems.push(Problem {
                    setting: name,
                    source: "the environment".into(),
                    message: "is not a setting".into(),
                }),
            }
        }
    }

    /// Adds what a flag says.
    pub(super) fn add_flag(&mut self, setting: &'static Setting, value: &str, problems: &mut Vec<Problem>) {
        self.add_text(setting, value, format!("the flag --{}", setting.flag()), problems);
    }

    fn add_text(&mut self, setting: &'static Setting, text: &str, source: String, problems: &mut Vec<Problem>) {
        let value = match setting.shape {
            Shape::Text | Shape::Number | Shape::Switch => Value::Text(text.to_owned()),
            Shape::List => Value::List(parts(text).map(str::to_owned).collect()),
            Shape::Map => {
                let pairs: Option<_> = parts(text)
                    .map(|pair| pair.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
                    .collect();
                match pairs {
                    Some(pairs) => Value::Map(pairs),
                    None => {
                        let message = "must be key=value pairs, separated by commas".to_owned();
                        return problems.push(Problem { setting: setting.path.to_owned(), source, message });
                    }
                }
            }
        };
        self.said.insert(setting.path, Said { value, source });
    }

    /// What was said of a setting; its default when nothing was. `None`: nothing was said and there is no default.
    pub(super) fn get(&self, path: &str) -> Option<Said> {
        if let Some(said) = self.said.get(path) {
            return Some(said.clone());
        }
        let default = find(path)?.default;
        (!default.is_empty()).then(|| Said { value: Value::Text(default.to_owned()), source: "the default".to_owned() })
    }
}

/// Names the file to read.
pub(super) const CONFIG_VARIABLE: &str = "TWEENDECKD_CONFIG";

fn find(path: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.path == path)
}

fn is_section(path: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn convert(shape: Shape, value: toml::Value) -> Result<Value, String> {
    use toml::Value as T;
    let text = |value| match value {
        T::String(text) => Ok(text),
        T::Integer(_) | T::Float(_) | T::Boolean(_) | T::Datetime(_) | T::Array(_) | T::Table(_) => {
            Err("must hold strings".to_owned())
        }
    };
    match (shape, value) {
        (Shape::Text, T::String(text)) => Ok(Value::Text(text)),
        (Shape::Number, T::Integer(number)) => Ok(Value::Text(number.to_string())),
        (Shape::Switch, T::Boolean(on)) => Ok(Value::Text(on.to_string())),
        (Shape::List, T::Array(items)) => items.into_iter().map(text).collect::<Result<_, _>>().map(Value::List),
        (Shape::Map, T::Table(table)) => {
            table.into_iter().map(|(key, value)| Ok((key, text(value)?))).collect::<Result<_, _>>().map(Value::Map)
        }
        (Shape::Text, _) => Err("must be a string".to_owned()),
        (Shape::Number, _) => Err("must be a whole number".to_owned()),
        (Shape::Switch, _) => Err("must be true or false".to_owned()),
        (Shape::List, _) => Err("must be a list of strings".to_owned()),
        (Shape::Map, _) => Err("must be a table of strings".to_owned()),
    }
}

/// Most unknown settings are known ones in the wrong section.
fn unknown(path: &str) -> String {
    let name = path.rsplit('.').next().unwrap_or(path);
    let same = SETTINGS.iter().find(|setting| setting.path.rsplit('.').next() == Some(name));
    match same {
        Some(setting) => format!("is not a setting; did you mean {}?", setting.path),
        None => "is not a setting".to_owned(),
    }
}
