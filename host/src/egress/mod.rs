//! The egress stage.
