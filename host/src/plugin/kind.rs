//! What a file is by its first bytes and its sections, before anything is read of it: the same words wherever
//! a file is no component.

/// Why the bytes of a file are no component, with the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAComponent {
    /// There is nothing in it.
    #[error(
        "it is no WebAssembly component but an empty file; copy the component again: to another name in the same folder, then rename it"
    )]
    Empty,
    /// It ends before its last section does.
    #[error(
        "it ends in the middle, after {0} bytes: it is cut off or copied in part; copy it again, to another name in the same folder, then rename it, or build it again"
    )]
    CutOff(usize),
    /// A core module.
    #[error(
        "it is a core module, not a component; make one of it with `sidenote plugin pack IN.wasm -o OUT.wasm --manifest FILE` (with `--wit DIR --world NAME` where it doesn't carry its world), or build for wasm32-wasip2"
    )]
    CoreModule,
    /// A component in a form that isn't today's.
    #[error(
        "it is a component of another version of the binary form ({0}, and 13 is understood): its toolchain is from before 2024, or a preview; build it again with a released one (wasm-tools 1.200 or later)"
    )]
    OtherVersion(u16),
    /// Something that is known and no component.
    #[error("it is no WebAssembly component but {what}; {next}")]
    Other {
        /// What it is.
        what: &'static str,
        /// The remedy.
        next: &'static str,
    },
    /// Something else.
    #[error(
        "it is no WebAssembly component; put the file there that the build made, in its binary form: compiled artifacts and texts are not loaded"
    )]
    Unknown,
}

const MAGIC: [u8; 4] = *b"\0asm";
/// The version and layer of a component.
const COMPONENT: [u8; 4] = [13, 0, 1, 0];
/// The version and layer of a core module.
const CORE: [u8; 4] = [1, 0, 0, 0];

/// What is found instead of a component: how it begins, what it is, and the remedy.
const OTHERS: [(&[u8], &str, &str); 11] = [
    (b"\x1f\x8b", "compressed with gzip", "unpack it first: `gunzip`, or `tar -xzf`"),
    (b"PK\x03\x04", "a zip archive", "unpack it first, and put the .wasm in it there"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it first: `zstd -d`"),
    (b"BZh", "compressed with bzip2", "unpack it first: `bunzip2`"),
    (b"\xfd7zXZ", "compressed with xz", "unpack it first: `unxz`"),
    (b"<!doctype", "a web page", PAGE),
    (b"<html", "a web page", PAGE),
    (b"<?xml", "an XML document", PAGE),
    (b"version https://git-lfs", "a pointer of Git LFS", "fetch the file itself: `git lfs pull`"),
    (b"\x7fELF", "native code, such as a compiled artifact", NATIVE),
    (b"(", "the text form of WebAssembly", "put the binary form there, which the build makes"),
];

const PAGE: &str = "what was downloaded is the answer of a web server; download the file itself";
const NATIVE: &str =
    "put the component there that it was made of: only that is checked before it runs";

/// Looks whether these are the bytes of a whole component. Of its sections only the sizes are looked at.
///
/// # Errors
/// What they are in its place.
pub(super) fn look(bytes: &[u8]) -> Result<(), NotAComponent> {
    let Some((magic, rest)) = bytes.split_at_checked(MAGIC.len()) else {
        return Err(short(bytes));
    };
    if magic != MAGIC {
        return Err(other(bytes));
    }
    let Some((head, sections)) = rest.split_at_checked(COMPONENT.len()) else {
        return Err(NotAComponent::CutOff(bytes.len()));
    };
    let is_whole = is_whole(sections);
    match head {
        head if head == COMPONENT && is_whole => Ok(()),
        head if head == CORE && is_whole => Err(NotAComponent::CoreModule),
        head if head == COMPONENT || head == CORE => Err(NotAComponent::CutOff(bytes.len())),
        [low, high, 1, 0] => Err(NotAComponent::OtherVersion(u16::from_le_bytes([*low, *high]))),
        _ => Err(NotAComponent::Unknown),
    }
}

/// What a few bytes are: the beginning of a component, or of something else.
fn short(bytes: &[u8]) -> NotAComponent {
    match bytes {
        [] => NotAComponent::Empty,
        bytes if MAGIC.starts_with(bytes) => NotAComponent::CutOff(bytes.len()),
        bytes => other(bytes),
    }
}

fn other(bytes: &[u8]) -> NotAComponent {
    // A copy that reserved its place and never came is all zeros.
    if bytes.iter().all(|byte| *byte == 0) {
        return NotAComponent::CutOff(0);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let begins = |start: &[u8]| {
        bytes.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start))
    };
    let found = OTHERS.iter().find(|(start, _, _)| begins(start));
    found.map_or(NotAComponent::Unknown, |(_, what, next)| NotAComponent::Other { what, next })
}

/// Whether the last section ends where the bytes do. A section is a byte that says what it is, its size, and
/// so many bytes.
fn is_whole(mut sections: &[u8]) -> bool {
    while let [id, rest @ ..] = sections {
        let Some((size, content)) = size(rest) else { return false };
        // A section of this kind has a name at least: these are zeros that a copy left at the end.
        if (*id, size) == (0, 0) {
            return false;
        }
        let Some(after) = content.get(size..) else { return false };
        sections = after;
    }
    true
}

/// A size in LEB128, and what comes behind it.
fn size(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut size = 0_u64;
    for (place, byte) in bytes.iter().enumerate().take(5) {
        size |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(size).ok()?, &bytes[place + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component with one custom section, `x` with three bytes.
    const GOOD: &[u8] = b"\0asm\x0d\0\x01\0\x00\x05\x01xabc";

    #[test]
    fn a_whole_component_passes_and_every_beginning_of_it_is_cut_off() {
        assert_eq!(look(GOOD), Ok(()));
        assert_eq!(look(&GOOD[..8]), Ok(()), "one without sections");
        for end in (1..GOOD.len()).filter(|end| *end != 8) {
            assert_eq!(look(&GOOD[..end]), Err(NotAComponent::CutOff(end)), "{end}");
        }
        assert_eq!(look(b""), Err(NotAComponent::Empty));
    }

    #[test]
    fn a_place_that_was_reserved_and_not_filled_is_cut_off() {
        let padded = [GOOD, &[0; 4096]].concat();
        assert_eq!(look(&padded), Err(NotAComponent::CutOff(padded.len())));
        assert_eq!(look(&[0; 4096]), Err(NotAComponent::CutOff(0)));
    }

    #[test]
    fn a_core_module_is_told_from_a_cut_off_one() {
        assert_eq!(look(b"\0asm\x01\0\0\0"), Err(NotAComponent::CoreModule));
        assert_eq!(look(b"\0asm\x01\0\0\0\x01\x04"), Err(NotAComponent::CutOff(10)));
    }

    #[test]
    fn a_component_of_another_version_is_named() {
        assert_eq!(look(b"\0asm\x0c\0\x01\0"), Err(NotAComponent::OtherVersion(12)));
        assert_eq!(look(b"\0asm\x01\0\x07\0"), Err(NotAComponent::Unknown));
    }

    #[test]
    fn what_is_no_webassembly_is_told_with_the_way_out() {
        for (bytes, what) in [
            (&b"\x1f\x8b\x08\0"[..], "gzip"),
            (b"PK\x03\x04zip", "zip"),
            (b"\n  <!DOCTYPE html><html>", "a web page"),
            (b"\xef\xbb\xbf<html>", "a web page"),
            (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
            (b"\x7fELF\x02\x01\x01", "native code"),
            (b"(component)", "text form"),
        ] {
            let error = look(bytes).unwrap_err().to_string();
            assert!(error.starts_with("it is no WebAssembly component but "), "{error}");
            assert!(error.contains(what) && error.contains("; "), "{error}");
        }
        assert_eq!(look(b"no component at all"), Err(NotAComponent::Unknown));
    }

    #[test]
    fn no_bytes_confuse_it() {
        for byte in 0..=255_u8 {
            for length in 0..40 {
                let bytes = [&b"\0asm\x0d\0\x01\0"[..], &vec![byte; length]].concat();
                drop(look(&bytes));
                drop(look(&vec![byte; length]));
            }
        }
    }
}
