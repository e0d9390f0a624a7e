//! Reading: a file with all that it includes, within bounds.

use std::io;
use std::sync::Arc;

use super::form::Form;
use super::line::{self, Line};
use super::set::shown;
use super::{Config, Place, Problem, Source};

/// How many bytes a file may have.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// How many bytes a line may have.
pub const MAX_LINE_BYTES: usize = 32 << 10;
/// How many lines there may be in all files together, apart from blank ones and comments.
pub const MAX_LINES: usize = 16_384;
/// How many files may be read, one as often as it is included.
pub const MAX_FILES: usize = 256;
/// How deep files may include files.
pub const MAX_DEPTH: usize = 16;
/// After how many problems no further ones are looked for.
pub const MAX_PROBLEMS: usize = 64;

impl Config {
    /// Reads a file and all that it includes.
    ///
    /// `lxc.include` takes a file, or a directory: of that every `*.conf`, in the order of their names (LXC takes them as the file system has them).
    /// A directory that is named with a `/` behind it need not be there.
    ///
    /// # Errors
    /// Everything that is wrong, up to [`MAX_PROBLEMS`].
    pub fn read(source: &dyn Source, path: &str) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(source, Self::default());
        reader.file(&Place { file: path.into(), line: 0 }, "configuration", path);
        reader.end()
    }

    /// Reads a text that is already there, and all that it includes; `file` is what it is called.
    ///
    /// # Errors
    /// Everything that is wrong, up to [`MAX_PROBLEMS`].
    pub fn parse(text: &str, file: &str, source: &dyn Source) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(source, Self::default());
        reader.open.push(file.to_owned());
        reader.text(text.as_bytes(), &file.into());
        reader.end()
    }

    /// Takes what `-s` says, `KEY=VALUE`: it replaces, adds to a list, or clears (`KEY=`). `lxc.include=FILE` adds what is in a file.
    ///
    /// LXC passes over what has no `=` and what does not begin with `lxc.`; here that is refused.
    ///
    /// # Errors
    /// What is wrong with it; nothing of it counts then.
    pub fn define(&mut self, text: &str, source: &dyn Source) -> Result<(), Vec<Problem>> {
        let place = Place { file: "-s".into(), line: 0 };
        let wrong = |why: &str| vec![Problem { place: place.clone(), key: shown(text), why: why.to_owned() }];
        let Some((key, value)) = text.split_once('=') else {
            return Err(wrong("it has no =: say KEY=VALUE, or KEY= to clear it"));
        };
        let key = line::trim(key);
        if !key.starts_with("lxc.") {
            return Err(wrong("it is no setting: keys begin with lxc."));
        }
        let mut reader = Reader::new(source, self.clone());
        reader.setting(&place, key, line::trim(value));
        *self = reader.end()?;
        Ok(())
    }
}

/// A reading under way.
struct Reader<'a> {
    source: &'a dyn Source,
    config: Config,
    problems: Vec<Problem>,
    /// The files that are being read, the outermost first.
    open: Vec<String>,
    files: usize,
    lines: usize,
    /// A bound was met: nothing more is read.
    ended: bool,
}

impl<'a> Reader<'a> {
    fn new(source: &'a dyn Source, config: Config) -> Self {
        Self { source, config, problems: Vec::new(), open: Vec::new(), files: 0, lines: 0, ended: false }
    }

    fn end(mut self) -> Result<Config, Vec<Problem>> {
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        self.config.settle();
        Ok(self.config)
    }

    /// Reads a file that was named at a place, by a key.
    fn file(&mut self, place: &Place, key: &str, path: &str) {
        if self.open.iter().any(|open| open == path) {
            let way = self.open.iter().map(String::as_str).chain([path]).map(shown).collect::<Vec<_>>().join(" → ");
            return self.problem(place, key, format!("it includes itself ({way}): leave one of them out"));
        }
        if self.open.len() >= MAX_DEPTH {
            return self.last(place, key, format!("files include files more than {MAX_DEPTH} deep"));
        }
        if self.files >= MAX_FILES {
            return self.last(place, key, format!("more than {MAX_FILES} files are included"));
        }
        self.files += 1;
        match self.source.read(path) {
            Ok(bytes) => {
                self.open.push(path.to_owned());
                self.text(&bytes, &path.into());
                self.open.pop();
            }
            Err(error) => self.problem(place, key, format!("{} cannot be read: {error}", shown(path))),
        }
    }

    fn text(&mut self, bytes: &[u8], file: &Arc<str>) {
        let whole = Place { file: Arc::clone(file), line: 0 };
        if bytes.len() > MAX_FILE_BYTES {
            return self.problem(&whole, "file", format!("it has more than {MAX_FILE_BYTES} bytes"));
        }
        for (line, bytes) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            if self.ended {
                return;
            }
            let place = Place { file: Arc::clone(file), line };
            if bytes.len() > MAX_LINE_BYTES {
                self.problem(&place, "line", format!("it has more than {MAX_LINE_BYTES} bytes"));
                continue;
            }
            match std::str::from_utf8(bytes) {
                Ok(text) => self.line(&place, text),
                Err(error) => {
                    let byte = error.valid_up_to() + 1;
                    self.problem(&place, "line", format!("its byte {byte} is not UTF-8: write it as UTF-8"));
                }
            }
        }
    }

    fn line(&mut self, place: &Place, text: &str) {
        let read = line::read(text);
        if read == Line::Nothing {
            return;
        }
        self.lines += 1;
        if self.lines > MAX_LINES {
            return self.last(place, "line", format!("there are more than {MAX_LINES} lines in all files together"));
        }
        match read {
            Line::Nothing => {}
            Line::Other => {
                let line = shown(line::trim(text));
                self.config.note(
                    place,
                    &line,
                    "no setting, as it does not begin with lxc.: nothing is made of it".into(),
                );
            }
            Line::NoValue(key) => {
                let key = shown(key);
                self.problem(place, &key, "it has no =: say KEY = VALUE, or KEY = to clear it".into());
            }
            Line::Setting(key, value) => self.setting(place, key, value),
        }
    }

    fn setting(&mut self, place: &Place, key: &str, raw: &str) {
        if key != "lxc.include" {
            if let Err(problem) = self.config.set(place, key, raw) {
                self.tell(problem);
            }
            return;
        }
        if line::clears(raw) {
            return self.config.note(place, key, "it names no file: nothing is included".into());
        }
        match self.config.value(place, key, Form::Text, raw) {
            Ok(path) => self.include(place, key, &path),
            Err(why) => self.problem(place, key, why),
        }
    }

    fn include(&mut self, place: &Place, key: &str, path: &str) {
        let directory = path.ends_with('/');
        let mut names = match self.source.list(path) {
            Ok(names) => names,
            // LXC's own files name directories in which others may put something.
            Err(error) if directory && error.kind() == io::ErrorKind::NotFound => {
                return self.config.note(
                    place,
                    key,
                    format!("there is no directory {}: nothing is included", shown(path)),
                );
            }
            Err(error) if directory || error.kind() == io::ErrorKind::PermissionDenied => {
                return self.problem(place, key, format!("{} cannot be read: {error}", shown(path)));
            }
            // It is a file, or there is none: reading it tells.
            Err(_) => return self.file(place, key, path),
        };
        names.retain(|name| name.ends_with(".conf"));
        names.sort_unstable();
        for name in names {
            if self.ended {
                return;
            }
            self.file(place, key, &format!("{}/{name}", path.trim_end_matches('/')));
        }
    }

    fn problem(&mut self, place: &Place, key: &str, why: String) {
        self.tell(Problem { place: place.clone(), key: key.to_owned(), why });
    }

    /// A problem with which reading ends.
    fn last(&mut self, place: &Place, key: &str, why: String) {
        self.problem(place, key, why);
        self.ended = true;
    }

    fn tell(&mut self, problem: Problem) {
        if self.ended {
            return;
        }
        self.problems.push(problem);
        self.ended = self.problems.len() >= MAX_PROBLEMS;
    }
}
