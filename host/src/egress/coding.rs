//! What a server packed without being asked: unpacked before anything is looked for in it.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, StatusCode, header};

/// Why a body isn't handed on: nothing can be looked for in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Withheld {
    /// It is packed in a way that isn't unpacked here.
    #[error(
        "it is packed in a way that the host doesn't unpack, and nothing but `identity` was asked for"
    )]
    Coding,
    /// It says that it is packed, and can't be unpacked.
    #[error("it can't be unpacked")]
    Broken,
    /// It is a part of something; several of them may hold what none of them does.
    #[error("it is a part of a whole, and no part was asked for")]
    Part,
}

/// Unpacks a body as its headers say, up to `enough` bytes; what they say is removed where it isn't so any
/// more. `cut` is whether the body was cut off already.
pub(super) fn unpack(
    status: StatusCode,
    headers: &mut HeaderMap,
    body: Bytes,
    enough: usize,
    cut: bool,
) -> Result<Bytes, Withheld> {
    if body.is_empty() {
        return Ok(body);
    }
    if status == StatusCode::PARTIAL_CONTENT || headers.contains_key(header::CONTENT_RANGE) {
        return Err(Withheld::Part);
    }
    let mut codings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let value = value.to_str().map_err(|_| Withheld::Coding)?.to_ascii_lowercase();
        let named = value.split(',').map(|coding| coding.trim().to_owned());
        codings.extend(named.filter(|coding| !matches!(coding.as_str(), "" | "identity")));
    }
    let unpacked = match codings.as_slice() {
        [] => return Ok(body),
        [one] => match one.as_str() {
            "gzip" | "x-gzip" => read(MultiGzDecoder::new(&*body), enough, cut)?,
            "deflate" => read(ZlibDecoder::new(&*body), enough, cut)
                .or_else(|_| read(DeflateDecoder::new(&*body), enough, cut))?,
            _ => return Err(Withheld::Coding),
        },
        // Nobody packs twice who means well.
        _ => return Err(Withheld::Coding),
    };
    headers.remove(header::CONTENT_ENCODING);
    headers.remove(header::CONTENT_LENGTH);
    Ok(unpacked)
}

fn read(packed: impl Read, enough: usize, cut: bool) -> Result<Bytes, Withheld> {
    let mut unpacked = Vec::new();
    match packed.take(enough as u64).read_to_end(&mut unpacked) {
        Ok(_) => Ok(unpacked.into()),
        // What is there of it is right; the rest was cut off with the packed body.
        Err(_) if cut && !unpacked.is_empty() => Ok(unpacked.into()),
        Err(_) => Err(Withheld::Broken),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;

    use super::*;

    const ENOUGH: usize = 1000;

    fn packed(coding: &str, text: &[u8]) -> Bytes {
        macro_rules! pack {
            ($encoder:ident) => {{
                let mut encoder = $encoder::new(Vec::new(), Compression::default());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap().into()
            }};
        }
        match coding {
            "gzip" => pack!(GzEncoder),
            "zlib" => pack!(ZlibEncoder),
            _ => pack!(DeflateEncoder),
        }
    }

    fn unpacked(coding: &'static str, body: Bytes, cut: bool) -> Result<Bytes, Withheld> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        let unpacked = unpack(StatusCode::OK, &mut headers, body, ENOUGH, cut)?;
        assert_eq!(headers.is_empty(), coding != "identity", "{coding}");
        Ok(unpacked)
    }

    #[test]
    fn what_is_packed_is_unpacked_and_bounded() {
        let text = &b"a text"[..];
        for (coding, form) in [
            ("gzip", "gzip"),
            ("X-GZip, identity", "gzip"),
            ("deflate", "zlib"),
            ("deflate", "raw"),
        ] {
            assert_eq!(unpacked(coding, packed(form, text), false).unwrap(), text, "{coding}");
        }
        assert_eq!(unpacked("identity", Bytes::from_static(text), false).unwrap(), text);
        let bomb = packed("gzip", &vec![b'x'; 10 << 20]);
        assert_eq!(unpacked("gzip", bomb, false).unwrap().len(), ENOUGH);
        let noise: Vec<_> = (0..900_u32).map(|n| (n * n % 251) as u8).collect();
        let half = packed("gzip", &noise);
        let half = half.slice(..half.len() / 2);
        let begun = unpacked("gzip", half.clone(), true).unwrap();
        assert!(noise.starts_with(&begun));
        assert_eq!(unpacked("gzip", half, false), Err(Withheld::Broken));
    }

    #[test]
    fn what_cannot_be_looked_at_is_withheld() {
        let body = Bytes::from_static(b"body");
        for coding in ["br", "zstd", "gzip, gzip", "compress", "aes128gcm"] {
            assert_eq!(unpacked(coding, body.clone(), false), Err(Withheld::Coding), "{coding}");
        }
        assert_eq!(unpacked("gzip", body.clone(), false), Err(Withheld::Broken));
        let mut headers = HeaderMap::new();
        let partial = StatusCode::PARTIAL_CONTENT;
        assert_eq!(unpack(partial, &mut headers, body.clone(), ENOUGH, false), Err(Withheld::Part));
        assert_eq!(unpack(partial, &mut headers, Bytes::new(), ENOUGH, false), Ok(Bytes::new()));
        headers.insert(header::CONTENT_RANGE, HeaderValue::from_static("bytes 1-2/3"));
        let ok = StatusCode::OK;
        assert_eq!(unpack(ok, &mut headers, body, ENOUGH, false), Err(Withheld::Part));
    }
}
