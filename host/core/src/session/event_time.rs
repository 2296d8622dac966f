//! Times as clients tell them: seconds since the epoch that may be missing, wrong or absurd.
//!
//! A client's time is for display and order only. Nothing waits for it and nothing is dropped by it.

/// 0001-01-01 00:00:00 UTC.
const FIRST_SECOND: f64 = -62_135_596_800.0;
/// 10000-01-01 00:00:00 UTC, the first second that is out of range.
const END: f64 = 253_402_300_800.0;
const MICROS: i64 = 1_000_000;

/// The time in seconds since the epoch, or `None` where the number can't be one.
///
/// Years 1 to 9999 are taken as they are. A larger number is read as milliseconds where that gives
/// such a year; NaN, the infinities and everything else are unknown.
///
/// ```
/// use sidenote_core::session::event_time::usable;
/// assert_eq!(usable(1_700_000_000.5), Some(1_700_000_000.5));
/// assert_eq!(usable(1_700_000_000_500.0), Some(1_700_000_000.5));
/// assert_eq!(usable(f64::NAN), None);
/// ```
pub fn usable(time: f64) -> Option<f64> {
    if whole_second(time).is_some() {
        return Some(time);
    }
    let millis = time / 1000.0;
    (time > 0.0 && whole_second(millis).is_some()).then_some(millis)
}

/// The second that the time falls into, for years 1 to 9999.
///
/// The time is rounded to the microsecond first, half to even, as autoplay-sdk does.
pub fn whole_second(time: f64) -> Option<i64> {
    if !(FIRST_SECOND..END).contains(&time) {
        return None;
    }
    let seconds = time.trunc();
    let micros = ((time - seconds) * 1e6).round_ties_even();
    Some((seconds as i64 * MICROS + micros as i64).div_euclid(MICROS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_year_from_1_to_9999_is_taken_as_it_is() {
        for time in [FIRST_SECOND, -1.0, -0.0, 0.0, 1.5, 1_700_000_000.0, 253_402_300_799.0] {
            assert_eq!(usable(time), Some(time), "{time}");
        }
    }

    #[test]
    fn a_later_year_is_read_as_milliseconds() {
        assert_eq!(usable(1_700_000_000_250.0), Some(1_700_000_000.25));
        assert_eq!(usable(END), Some(END / 1000.0));
    }

    #[test]
    fn what_fits_neither_is_unknown() {
        for time in [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            1e15,
            1e18,
            f64::MAX,
            FIRST_SECOND - 1.0,
            -1e300,
        ] {
            assert_eq!(usable(time), None, "{time}");
        }
    }

    #[test]
    fn the_second_is_the_one_that_the_rounded_microsecond_falls_into() {
        for (time, second) in [
            (2.999_999_9, 3),
            (-0.5, -1),
            (-1.0, -1),
            (1.999, 1),
            (253_402_300_799.5, 253_402_300_799),
        ] {
            assert_eq!(whole_second(time), Some(second), "{time}");
        }
    }

    #[test]
    fn the_last_moment_of_year_9999_is_not_rounded_up() {
        let last = f64::from_bits(END.to_bits() - 1);
        assert_eq!(whole_second(last), Some(253_402_300_799));
    }
}
