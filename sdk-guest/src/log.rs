//! Lines in the host's log: [`debug!`](crate::log::debug), [`info!`](crate::log::info),
//! [`warn!`](crate::log::warn) and [`error!`](crate::log::error), with fields in braces before the
//! message where there are any.
//!
//! ```
//! use sidenote_plugin::log;
//! log::info!({ status = 200, attempt = 1 }, "posted to {}", "example.com");
//! log::warn!("no answer");
//! ```

pub use crate::bindings::host::sidenote::plugin::log::Level;
pub use crate::{
    log_debug as debug, log_error as error, log_info as info, log_trace as trace, log_warn as warn,
};

/// Writes one line; the macros are the comfortable way.
pub fn write(level: Level, message: &str, fields: &[(String, String)]) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::host::sidenote::plugin::log::write(level, message, fields);
    #[cfg(not(target_arch = "wasm32"))]
    crate::test::log(level, message, fields);
}

/// A line at a level, with or without fields: what the five macros share.
#[doc(hidden)]
#[macro_export]
macro_rules! log_line {
    ($level:ident, { $($key:ident = $value:expr),* $(,)? }, $($message:tt)+) => {
        $crate::log::write(
            $crate::log::Level::$level,
            &format!($($message)+),
            &[$((stringify!($key).to_owned(), $value.to_string())),*],
        )
    };
    ($level:ident, $($message:tt)+) => {
        $crate::log::write($crate::log::Level::$level, &format!($($message)+), &[])
    };
}

/// A line at level trace: see [`log`](mod@crate::log).
#[macro_export]
macro_rules! log_trace {
    ($($line:tt)+) => { $crate::log_line!(Trace, $($line)+) };
}

/// A line at level debug: see [`log`](mod@crate::log).
#[macro_export]
macro_rules! log_debug {
    ($($line:tt)+) => { $crate::log_line!(Debug, $($line)+) };
}

/// A line at level info: see [`log`](mod@crate::log).
#[macro_export]
macro_rules! log_info {
    ($($line:tt)+) => { $crate::log_line!(Info, $($line)+) };
}

/// A line at level warn: see [`log`](mod@crate::log).
#[macro_export]
macro_rules! log_warn {
    ($($line:tt)+) => { $crate::log_line!(Warn, $($line)+) };
}

/// A line at level error: see [`log`](mod@crate::log).
#[macro_export]
macro_rules! log_error {
    ($($line:tt)+) => { $crate::log_line!(Error, $($line)+) };
}
