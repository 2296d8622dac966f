//! What a call costs. Run it by itself, in release:
//! `cargo test --release -p sidenote --test plugins cost -- --ignored --nocapture`
