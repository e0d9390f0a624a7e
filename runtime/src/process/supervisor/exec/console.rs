//! The terminal of the container's own command: what is shown on it goes to the log as well, and nobody who looks on is waited for. Or its standard input, if that is a
//! pipe: then nothing is shown, and the input can end.

use std::os::fd::AsFd as _;

use super::connection::{Target, View};
use super::input::refused;
use super::{Around, Execs};
use crate::exec::{Attach, Position, Reason, Refused, Reply, StreamRange};
use crate::process::supervisor::events::Events;
use crate::process::supervisor::output::Output;
use crate::sys;

impl Execs {
    /// Attaches a client to the console.
    pub(super) fn attach_console(
        &mut self,
        position: usize,
        asked: &Attach,
        around: &Around<'_>,
    ) -> Result<(), Refused> {
        let terminal = around.output.terminal();
        if terminal.is_none() && !self.console_input.is_pipe() {
            let why = "it was created without a terminal and without a standard input";
            return Err(refused(Reason::NoTerminal, why.to_owned()));
        }
        self.console_view(around.output, false).reaches(asked)?;
        if asked.write {
            self.take_input(Target::Console, asked.take_over)?;
            if let Some(terminal) = terminal.filter(|_| self.console_input.is_closed()) {
                let end = terminal.as_fd().try_clone_to_owned();
                self.console_input.open(end.map_err(|error| refused(Reason::Limit, error.to_string()))?);
            }
            self.console_input.begin_anew();
        }
        let view = self.console_view(around.output, false);
        let ring = around.output.shown();
        let output = StreamRange { start: ring.map_or(0, |ring| ring.start()), end: ring.map_or(0, |ring| ring.end()) };
        let position_of = Position { stdin: view.input, output };
        let Some(connection) = self.connections.get_mut(position) else { return Ok(()) };
        connection.attach(Target::Console, asked, &view);
        connection.answer(&Reply::ConsoleAttached { position: position_of });
        self.console_moved(around.output, around.events);
        Ok(())
    }

    fn console_view<'a>(&self, output: &'a Output, ended: bool) -> View<'a> {
        View { streams: [output.shown(), None], input: self.console_input.given(), end: ended.then_some(None) }
    }

    /// Something was shown, or typed.
    pub(in crate::process::supervisor) fn console_moved(&mut self, output: &Output, events: &Events) {
        self.flush_console(output, events, false);
    }

    /// Nothing more will be shown.
    pub(in crate::process::supervisor) fn console_ended(&mut self, around: &Around<'_>) {
        self.flush_console(around.output, around.events, true);
    }

    fn flush_console(&mut self, output: &Output, events: &Events, ended: bool) {
        let view = self.console_view(output, ended);
        let Self { connections, packet, .. } = self;
        for connection in connections {
            if connection.attached.as_ref().is_some_and(|attached| attached.to == Target::Console) {
                connection.flush(&view, packet, events);
            }
        }
    }

    /// Sets the size of a terminal.
    pub(super) fn resize(&mut self, to: Target, rows: u16, columns: u16, output: &Output) -> Result<(), Refused> {
        let none = || refused(Reason::NoTerminal, "it was created without a terminal".to_owned());
        let terminal = match to {
            Target::Console => output.terminal(),
            Target::Session(number) => {
                let session = self.sessions.iter().find(|session| session.number == number);
                let session = session.filter(|session| session.terminal).ok_or_else(none)?;
                let [terminal, _] = &session.streams;
                // Of one that has ended, nothing.
                match &terminal.end {
                    Some(terminal) => Some(terminal),
                    None => return Ok(()),
                }
            }
        };
        sys::set_window(terminal.ok_or_else(none)?.as_fd(), rows, columns)
            .map_err(|error| refused(Reason::WrongState, error.to_string()))
    }
}
