//! A body that was packed, by its bytes: SDKs say of packed bodies that they are text, and of plain ones that they are
//! packed.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

/// How a packed body begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A body as it is handed to a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unpacked {
    /// It is whole.
    Whole(Bytes),
    /// It begins as a packed one and can't be unpacked.
    Broken,
}

/// It is more than may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Unpacks a body where it is packed, up to `most` bytes. No more memory is used than that, whatever it says.
///
/// # Errors
/// It is larger.
pub(crate) fn unpack(body: Bytes, most: usize) -> Result<Unpacked, TooLarge> {
    if body.get(..GZIP.len()) != Some(&GZIP) {
        return if body.len() > most { Err(TooLarge) } else { Ok(Unpacked::Whole(body)) };
    }
    let mut unpacked = Vec::new();
    let mut within = MultiGzDecoder::new(&*body).take((most as u64).saturating_add(1));
    match within.read_to_end(&mut unpacked) {
        Ok(_) if unpacked.len() > most => Err(TooLarge),
        Ok(_) => Ok(Unpacked::Whole(unpacked.into())),
        Err(_) => Ok(Unpacked::Broken),
    }
}

/// As a host unpacks a body, for whoever tries one out.
///
/// # Errors
/// Why it would be refused, in words.
pub fn unpacked(body: Bytes, most: usize) -> Result<Bytes, String> {
    match unpack(body, most) {
        Ok(Unpacked::Whole(body)) => Ok(body),
        Ok(Unpacked::Broken) => {
            Err("the body begins as one packed with gzip, and can't be unpacked".to_owned())
        }
        Err(TooLarge) => Err(format!("the body is larger than `max_body` ({most} bytes)")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(text: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn a_body_is_unpacked_by_its_bytes_and_within_its_bound() {
        let text = Bytes::from_static(b"[1, 2]");
        assert_eq!(unpack(text.clone(), 6), Ok(Unpacked::Whole(text.clone())));
        assert_eq!(unpack(text.clone(), 5), Err(TooLarge));
        assert_eq!(unpack(packed(&text), 6), Ok(Unpacked::Whole(text.clone())));
        assert_eq!(unpack(packed(&text), 5), Err(TooLarge));
        let bomb = packed(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        assert_eq!(unpack(bomb, 1 << 20), Err(TooLarge));
        assert_eq!(unpack(packed(&text).slice(..12), 100), Ok(Unpacked::Broken));
        assert_eq!(unpack(Bytes::new(), 0), Ok(Unpacked::Whole(Bytes::new())));
    }
}
