//! What `tween` does, seen from outside: the binary against a fake agent on a real socket.

#[cfg(test)]
mod fake;
#[cfg(test)]
mod outside;
