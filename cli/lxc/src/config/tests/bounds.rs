//! How much is read at most. Each bound is told by its number.

use std::fmt::Write as _;

use super::super::{MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES, MAX_ITEMS, MAX_LINE_BYTES, MAX_LINES, MAX_PROBLEMS};
use super::{Config, Files, Problem, good, parse};

fn read(files: Files) -> Result<Config, Vec<Problem>> {
    Config::read(&files, "0")
}

/// The only problem, which names a number.
fn names(result: Result<Config, Vec<Problem>>, bound: usize) {
    let problems = result.unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].why.contains(&bound.to_string()), "{problems:?}");
}

#[test]
fn a_line_has_a_length() {
    let room = MAX_LINE_BYTES - "lxc.init.cmd=".len();
    good(&format!("lxc.init.cmd={}\n", "a".repeat(room)));
    names(parse(&format!("lxc.init.cmd={}\n", "a".repeat(room + 1))), MAX_LINE_BYTES);
}

#[test]
fn a_file_has_a_size() {
    let line = format!("#{}\n", "a".repeat(1022));
    let text = line.repeat(MAX_FILE_BYTES / line.len());
    assert_eq!(text.len(), MAX_FILE_BYTES);
    good(&text);
    names(parse(&format!("{text}\n")), MAX_FILE_BYTES);
}

#[test]
fn settings_are_counted() {
    let mut text = String::new();
    for number in 0..MAX_ITEMS {
        writeln!(text, "lxc.group = g{number}").unwrap();
    }
    assert_eq!(good(&text).items().len(), MAX_ITEMS);
    text.push_str("lxc.group = more\n");
    names(parse(&text), MAX_ITEMS);
}

#[test]
fn lines_are_counted_over_all_files() {
    let half = "lxc.uts.name = a\n".repeat(MAX_LINES / 2 - 1);
    let files = [("0", format!("{half}lxc.include = 1\n")), ("1", half)]
        .map(|(path, text)| (path.to_owned(), text.into_bytes()));
    let mut files = Files(files.into());
    read(Files(files.0.clone())).unwrap();
    files.0.get_mut("1").unwrap().extend_from_slice(b"junk\njunk\n");
    names(read(files), MAX_LINES);
}

#[test]
fn files_are_as_deep_as_they_may_be() {
    let chain = |depth: usize| {
        let file = |number: usize| match number + 1 < depth {
            true => format!("lxc.include = {}", number + 1),
            false => "lxc.uts.name = a".to_owned(),
        };
        Files((0..depth).map(|number| (number.to_string(), file(number).into_bytes())).collect())
    };
    read(chain(MAX_DEPTH)).unwrap();
    names(read(chain(MAX_DEPTH + 1)), MAX_DEPTH);
}

#[test]
fn files_are_counted_however_often_they_are_the_same() {
    let two = |number: usize| format!("lxc.include = {0}\nlxc.include = {0}\n", number + 1).into_bytes();
    let mut files: Files = Files((0..10).map(|number| (number.to_string(), two(number))).collect());
    files.0.insert("10".into(), b"lxc.group = a\n".to_vec());
    names(read(files), MAX_FILES);
}

#[test]
fn problems_are_told_together_and_not_without_end() {
    assert_eq!(parse(&"lxc.bogus = 1\n".repeat(MAX_PROBLEMS * 2)).unwrap_err().len(), MAX_PROBLEMS);
}

#[test]
fn what_is_not_utf_8_is_told_by_its_line() {
    let mut files = Files::default();
    files.0.insert("0".into(), b"lxc.uts.name = a\nlxc.group = \xff\nlxc.bogus = 1\n".to_vec());
    let problems = read(files).unwrap_err();
    let lines: Vec<String> = problems.iter().map(|problem| problem.place.to_string()).collect();
    assert_eq!(lines, ["0:2", "0:3"]);
    assert!(problems[0].why.starts_with("its byte 13 is not UTF-8"), "{problems:?}");
}
