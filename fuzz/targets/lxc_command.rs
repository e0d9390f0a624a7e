//! Command lines of LXC's commands: the first line is the command, then its words, each ended by a zero byte or by the end of a line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tweendeck_lxc::command::{Asked, Attach, Command, Execute, Start, Wrong, help, parse};

/// More than any message needs: what is shown of a word is cut.
const LONGEST_MESSAGE: usize = 2048;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (command, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut words: Vec<String> = rest.split(['\0', '\n']).map(str::to_owned).collect();
    // What is behind the last end is no word.
    words.pop();
    let read = parse(command, &words);
    match &read {
        Ok(Asked::Do(invocation)) => comes_through(&invocation.command, &words),
        Ok(Asked::Print(printed)) => {
            assert!(!printed.is_empty() && words.iter().any(|word| word.starts_with('-')), "nobody asked: {words:?}");
        }
        Err(wrong) => is_for_people(wrong),
    }
    if help(command).is_some() && !command.starts_with("lxc-") {
        assert_eq!(parse(&format!("lxc-{command}"), &words), read, "both names are one command");
    }
});

/// What runs in the container is the end of the line, as it was.
fn comes_through(command: &Command, words: &[String]) {
    if let Command::Execute(Execute { command: through, .. })
    | Command::Start(Start { command: through, .. })
    | Command::Attach(Attach { command: through, .. }) = command
    {
        assert!(words.ends_with(through), "{through:?} of {words:?}");
    }
}

fn is_for_people(wrong: &Wrong) {
    let message = &wrong.message;
    assert!(!message.is_empty() && message.len() < LONGEST_MESSAGE, "{message}");
    assert!(!message.chars().any(char::is_control), "{message:?}");
    assert!(!wrong.help.is_empty(), "refused without help: {message}");
}
