//! What can become of a note that is taken back.

/// What became of the note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redaction {
    /// It is gone, or wasn't there any more.
    Removed,
    /// It is still there and its text is gone.
    Overwritten,
    /// Nothing: the platform, or the plugin, can't take notes back.
    Unsupported,
}
