//! Nothing here yet: the crate marks its place in the workspace.
