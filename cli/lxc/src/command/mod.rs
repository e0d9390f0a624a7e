//! Command lines, as LXC's commands take them.
