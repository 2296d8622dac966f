//! Text that a guest wrote, made fit for logs, errors and people.

use crate::visible::steers;

/// The text without characters that steer a terminal or hide text, cut to `max` bytes. Line breaks and
/// tabs become spaces.
pub(super) fn clean(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for c in text.chars() {
        let c = match c {
            '\n' | '\r' | '\t' => ' ',
            c if steers(c) => continue,
            c => c,
        };
        if out.len() + c.len_utf8() > max {
            // The mark counts too.
            while out.len() + '…'.len_utf8() > max && out.pop().is_some() {}
            if max >= '…'.len_utf8() {
                out.push('…');
            }
            break;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_left_out() {
        assert_eq!(clean("a\u{1b}[31mred\u{7}\r\nb\tc", 100), "a[31mred  b c");
        assert_eq!(clean("x\u{202e}evil\u{2066}\u{200b}\u{0}", 100), "xevil");
        assert_eq!(clean("a\u{ad}b\u{61c}c\u{180e}d\u{3164}e\u{115f}f\u{fe0f}", 100), "abcdef");
        assert_eq!(clean("naïve 日本 🙂", 100), "naïve 日本 🙂");
    }

    #[test]
    fn what_is_too_long_is_cut_at_a_character() {
        assert_eq!(clean("abcdef", 6), "abcdef");
        assert_eq!(clean("abcdefg", 6), "abc…");
        assert_eq!(clean("日本語日本語", 10), "日本…");
        assert_eq!(clean("abc", 0), "");
        for max in 0..20 {
            assert!(clean("a日b本c語d", max).len() <= max);
        }
    }
}
