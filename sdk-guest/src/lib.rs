//! Write a Sidenote plugin in Rust.
