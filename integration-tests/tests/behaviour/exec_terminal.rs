//! `tween exec`, `attach` and `console` as somebody uses them who sits at a terminal, or in a pipe.

use std::io::{BufRead as _, Write as _};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::spec;
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::terminal::Terminal;
use tweendeck_integration_tests::tools;
use tweendeck_proto::v1::*;

async fn agent_with_a_container() -> Agent {
    let agent = Agent::start().await;
    agent.api().await.run("box", spec(&["sleep", "1000"])).await.unwrap();
    agent
}

fn tween(agent: &Agent, arguments: &[&str]) -> Terminal {
    let host = format!("unix://{}", agent.socket().display());
    let all = [&["--host", &host], arguments].concat();
    Terminal::start(tools::binary("tween").to_str().unwrap(), &all)
}

const SHELL: [&str; 6] = ["exec", "-it", "-e", "PS1=ready>", "box", "sh"];

/// A line for a shell that waits until its terminal has this size.
fn until_sized(rows: u16, columns: u16) -> String {
    format!("while [ \"$(stty size)\" != '{rows} {columns}' ]; do :; done; echo sized\r")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_at_a_terminal_is_as_if_it_were_here() {
    let agent = agent_with_a_container().await;
    let mut terminal = tween(&agent, &SHELL);
    let before = terminal.before.clone();
    terminal.wait_for("ready>");
    assert_ne!(terminal.modes(), before, "keys are passed on as they are");
    terminal.press("stty size; hostname; echo $TERM\r");
    terminal.wait_for("\n24 80\r\nbox\r\nxterm\r\nready>");
    terminal.resize(33, 101);
    terminal.press(&until_sized(33, 101));
    terminal.wait_for("\nsized\r\n");
    // Ctrl-C is the program's, not tween's.
    terminal.press("sleep 1000\r");
    terminal.wait_for("sleep 1000\r\n");
    eventually_async("it sleeps", || async {
        let processes = agent.api().await.processes("box").await.unwrap();
        (processes.iter().filter(|process| process.comm == "sleep").count() == 2).then_some(())
    })
    .await;
    terminal.press("\x03");
    terminal.wait_for("^C");
    terminal.press("echo $?\r");
    terminal.wait_for("130\r\n");
    terminal.press("exit 7\r");
    assert_eq!(terminal.end().code(), Some(7));
    assert_eq!(terminal.modes(), before);
    assert_eq!(agent.api().await.list_execs("box").await.unwrap(), Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_detaches_finds_it_again_and_a_signal_leaves_the_terminal_as_it_was() {
    let agent = agent_with_a_container().await;
    let mut terminal = tween(&agent, &SHELL);
    let before = terminal.before.clone();
    terminal.wait_for("ready>");
    terminal.press("A=kept; echo is $A\r");
    terminal.wait_for("\nis kept\r\n");
    terminal.press("\x10\x11");
    assert_eq!(terminal.end().code(), Some(0));
    terminal.wait_for("detached; `tween attach box ");
    assert_eq!(terminal.modes(), before);
    let [exec] = <[Exec; 1]>::try_from(agent.api().await.list_execs("box").await.unwrap()).unwrap();
    assert_eq!((exec.attached, exec.state()), (0, ExecState::Running));
    let mut terminal = tween(&agent, &["attach", "--detach-keys", "ctrl-x,y", "box", &exec.id]);
    // What was shown before is shown again.
    terminal.wait_for("\nis kept\r\n");
    terminal.press("echo \x10\x11 $A again\r");
    terminal.wait_for("kept again\r\n");
    terminal.press("\x18y");
    assert_eq!(terminal.end().code(), Some(0));
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let mut terminal = tween(&agent, &SHELL);
        let before = terminal.before.clone();
        terminal.wait_for("ready>");
        assert_ne!(terminal.modes(), before);
        terminal.program().signal(signal);
        assert_eq!(terminal.end().code(), Some(code));
        assert_eq!(terminal.modes(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_killed_interrupts_nobody_at_a_terminal() {
    let mut agent = agent_with_a_container().await;
    let mut terminal = tween(&agent, &SHELL);
    terminal.wait_for("ready>");
    for turn in ["one", "two"] {
        terminal.press(&format!("echo before-{turn}\r"));
        terminal.wait_for(&format!("\nbefore-{turn}\r\nready>"));
        agent.kill();
        terminal.press(&format!("echo meanwhile-{turn}\r"));
        agent.resume().await;
        terminal.press(&format!("echo after-{turn}\r"));
        // Where what was typed ahead shows up is the shell's affair.
        terminal.wait_for(&format!("meanwhile-{turn}\r\nready>"));
        terminal.wait_for(&format!("after-{turn}\r\nready>"));
        let shown = String::from_utf8_lossy(&terminal.shown).into_owned();
        assert!(!shown.contains("meanwhile") && !shown.contains("before"), "nothing twice: {shown}");
    }
    terminal.press("exit\r");
    assert_eq!(terminal.end().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_is_typed_into_and_left() {
    let agent = Agent::start().await;
    let on_a_terminal = ContainerSpec {
        terminal: Some(Terminal1 { rows: 24, columns: 80 }),
        env: [("PS1".to_owned(), "ready>".to_owned())].into(),
        ..spec(&["sh"])
    };
    agent.api().await.run("box", on_a_terminal).await.unwrap();
    for (turn, said) in [("first", "first\r\n"), ("second", "second set\r\n")] {
        let mut terminal = tween(&agent, &["console", "box"]);
        let before = terminal.before.clone();
        terminal.wait_for("ready>");
        terminal.resize(40, 90);
        terminal.press(&until_sized(40, 90));
        terminal.press(&format!("echo {turn} $A\r"));
        terminal.wait_for(said);
        terminal.press("A=set\r");
        terminal.press("\x10\x11");
        assert_eq!((terminal.end().code(), terminal.modes()), (Some(0), before));
    }
    let mut terminal = tween(&agent, &["console", "box"]);
    terminal.wait_for("second set");
    terminal.press("exit\r");
    assert_eq!(terminal.end().code(), Some(0));
    terminal.wait_for("box: it has ended");
}

type Terminal1 = tweendeck_proto::v1::Terminal;

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_passes_bytes_and_exit_codes_on() {
    let agent = agent_with_a_container().await;
    let host = format!("unix://{}", agent.socket().display());
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let mut child = Command::new(tools::binary("tween"))
        .args(["--host", &host, "exec", "-i", "box", "--", "sh", "-c", "cat; echo over >&2; exit 5"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let given = bytes.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&given).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.stdout == bytes, "{} of {} bytes", output.stdout.len(), bytes.len());
    assert_eq!((output.stderr.as_slice(), output.status.code()), (&b"over\n"[..], Some(5)));
    for (command, code) in [
        (&["exec", "box", "no-such-program"][..], 127),
        (&["exec", "box", "/etc/passwd"], 126),
        (&["exec", "nobox", "true"], 125),
        (&["exec", "box", "sh", "-c", "kill -9 $$"], 137),
        (&["exec", "-t", "box", "true"], 125),
        (&["attach", "box", "none"], 125),
        (&["execs", "--rm", "none", "box"], 1),
    ] {
        let output = agent.tween(command);
        assert_eq!(output.status.code(), Some(code), "{command:?}: {output:?}");
    }
    // A signal to tween is one to the command.
    let mut child = Command::new(tools::binary("tween"))
        .args([
            "--host",
            &host,
            "exec",
            "box",
            "sh",
            "-c",
            "trap 'echo heard; exit 9' TERM; echo on; while :; do sleep 0.01; done",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    stdout.read_line(&mut line).unwrap();
    assert_eq!((line.as_str(), child.wait().unwrap().code()), ("on\nheard\n", Some(9)));
    let id = String::from_utf8(agent.tween(&["exec", "-d", "box", "sh", "-c", "echo hello; exit 3"]).stdout).unwrap();
    let output = agent.tween(&["attach", "--read-only", "box", id.trim()]);
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"hello\n"[..], Some(3)));
    let list = String::from_utf8(agent.tween(&["execs", "box"]).stdout).unwrap();
    assert!(list.contains(id.trim()) && list.contains("exited") && list.contains("sh -c"), "{list}");
    assert_eq!(agent.tween(&["execs", "--rm", id.trim(), "box"]).status.code(), Some(0));
}

/// A terminal multiplexer with one window, gone when it is dropped.
struct Multiplexer {
    directory: std::path::PathBuf,
}

impl Multiplexer {
    fn start(agent: &Agent) -> Self {
        let multiplexer = Self { directory: agent.directory().to_owned() };
        multiplexer.tmux(&["new-session", "-d", "-x", "80", "-y", "24", "env 'PS1=here>' sh"]);
        multiplexer.tmux(&["set-option", "-g", "status", "off"]);
        multiplexer.tmux(&["resize-window", "-x", "80", "-y", "24"]);
        multiplexer
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.env("TMUX_TMPDIR", &self.directory).env("LC_ALL", "C.UTF-8").args(["-L", "test", "-f", "/dev/null"]);
        let output = command.args(arguments).output().expect("scripts/setup test installs tmux");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    fn wait_for(&self, text: &str) {
        tweendeck_integration_tests::eventually::eventually(text, || {
            self.tmux(&["capture-pane", "-p"]).contains(text).then_some(())
        });
    }
}

impl Drop for Multiplexer {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        let _ = command.env("TMUX_TMPDIR", &self.directory).args(["-L", "test", "kill-server"]).output();
    }
}

/// A program that has the whole screen, and says how large that is and which key was pressed last.
const FULL_SCREEN: &str = "import curses
def main(screen):
    key = 0
    while key != ord('q'):
        screen.erase()
        screen.addstr(1, 1, 'size %d %d, key %s' % (*screen.getmaxyx(), key))
        screen.addstr(screen.getmaxyx()[0] - 1, 1, 'bottom')
        key = screen.getch()
def raw(screen):
    curses.raw()
    main(screen)
curses.wrapper(raw)
";

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_has_the_whole_screen_is_resized_left_and_found_again() {
    let agent = agent_with_a_container().await;
    let multiplexer = Multiplexer::start(&agent);
    multiplexer.wait_for("here>");
    let program = agent.directory().join("program.py");
    std::fs::write(&program, FULL_SCREEN).unwrap();
    let tween = format!("{} --host unix://{}", tools::binary("tween").display(), agent.socket().display());
    // The container does not see the file, so the program comes with the command.
    let start = format!("{tween} exec -it --id full box python3 -c \"$(cat {})\"", program.display());
    multiplexer.press(&[&start, "Enter"]);
    multiplexer.wait_for("size 24 80, key 0");
    multiplexer.tmux(&["resize-window", "-x", "100", "-y", "30"]);
    multiplexer.wait_for("size 30 100, key 410");
    // Ctrl-C and Ctrl-Z are the program's.
    multiplexer.press(&["C-c"]);
    multiplexer.wait_for("size 30 100, key 3");
    multiplexer.press(&["C-z"]);
    multiplexer.wait_for("size 30 100, key 26");
    multiplexer.press(&["C-p", "C-q"]);
    multiplexer.wait_for("detached; `tween attach box full` goes on");
    multiplexer.tmux(&["resize-window", "-x", "90", "-y", "20"]);
    multiplexer.press(&["clear", "Enter"]);
    multiplexer.press(&[&format!("{tween} attach box full; echo left $?"), "Enter"]);
    multiplexer.wait_for("size 20 90, key 410");
    multiplexer.press(&["q"]);
    multiplexer.wait_for("left 0");
    multiplexer.press(&["stty -a | grep -o ' -\\?icanon'", "Enter"]);
    multiplexer.wait_for("\n icanon");
}
