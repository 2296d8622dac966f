//! Moments, as people read them.

/// A moment, in seconds since 1970.
pub(crate) fn utc(seconds: f64) -> String {
    let nanos = (seconds * 1e9) as i128;
    let at = time::OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    let form = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
    );
    at.and_then(|at| at.format(form).ok()).unwrap_or_else(|| format!("{seconds} s"))
}
