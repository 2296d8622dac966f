//! The store stage.
