//! Nothing here yet: the crate marks the place DESIGN gives it in the workspace.
