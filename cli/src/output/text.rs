//! Text that others wrote, made fit for a terminal.

/// The text with its control characters spelt out, so that no command line, label or message can move a cursor or hide a line.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { printable.extend(c.escape_default()) } else { printable.push(c) }
    }
    printable
}

/// The text, or a dash if there is none.
pub(crate) fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

/// At most `width` characters of the text; `…` stands for what is left out.
pub(crate) fn cut(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        None => text.to_owned(),
        Some(_) => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// A command as a shell would have to read it to mean the same; control characters are spelt out.
pub(crate) fn command_line(command: &[String]) -> String {
    command.iter().map(|argument| quoted(argument)).collect::<Vec<_>>().join(" ")
}

fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-+=.,:/@%^".contains(c);
    let argument = printable(argument);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

/// The word of an enum's value: `running` for `CONTAINER_STATE_RUNNING`. A value this version does not know is `unknown`.
pub(crate) fn word(full: &str, prefix: &str) -> String {
    match full.strip_prefix(prefix).unwrap_or(full) {
        "UNSPECIFIED" => "unknown".to_owned(),
        word => word.to_ascii_lowercase().replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands_are_quoted_where_a_shell_would_need_it() {
        let command = ["sh", "-c", "echo it's", "", "a\nb"].map(str::to_owned);
        assert_eq!(command_line(&command), r"sh -c 'echo it'\''s' '' 'a\nb'");
    }

    #[test]
    fn words_are_short() {
        assert_eq!(word("CONTAINER_STATE_RUNNING", "CONTAINER_STATE_"), "running");
        assert_eq!(word("EXIT_REASON_OOM_KILLED", "EXIT_REASON_"), "oom killed");
        assert_eq!(word("CONTAINER_STATE_UNSPECIFIED", "CONTAINER_STATE_"), "unknown");
    }

    proptest! {
        #[test]
        fn nothing_that_steers_a_terminal_is_left(text in any::<String>()) {
            prop_assert!(!printable(&text).chars().any(char::is_control));
        }

        #[test]
        fn a_cut_text_is_no_wider_and_a_short_one_stays(text in ".{0,30}", width in 1_usize..40) {
            let cut = cut(&text, width);
            prop_assert!(cut.chars().count() <= width);
            prop_assert!(text.chars().count() > width || cut == text);
        }
    }
}
