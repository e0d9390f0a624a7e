//! LXC's words: configuration files and command lines, read, checked and translated to Tweendeck's API.
//!
//! Pure: nothing here opens a file, asks an agent or prints. [`config`] makes a [`config::Config`] of text, [`translate`] a specification of that,
//! [`command`] says what a command line asks for, and [`system`] is the installation's own configuration. Who carries it out is `tween`, under its
//! own name and under those of LXC's commands.

pub mod command;
pub mod config;
pub mod system;
pub mod translate;
