//! Whether somebody who is trusted signed a component. Where keys are configured, nothing runs without.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use minisign_verify::Signature;

use super::error::AdmitError;
use crate::config::TrustedKey;
use crate::oci::layout::MAX_SIGNATURE_BYTES;

/// What the name of a signature's file ends with, behind the component's.
pub(super) const EXTENSION: &str = ".minisig";

/// Where the signature of a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signed {
    /// In a file beside it.
    Beside,
    /// In its manifest, where it has one.
    By(Option<String>),
}

/// Refuses a component that none of the keys signed. Without keys everything passes. Waits for the disk.
pub(super) fn check(
    keys: &[TrustedKey],
    path: &Path,
    signed: &Signed,
    bytes: &[u8],
) -> Result<(), AdmitError> {
    if keys.is_empty() {
        return Ok(());
    }
    let signature = match signed {
        Signed::Beside => read(&beside(path))?,
        Signed::By(signature) => signature.clone().ok_or(AdmitError::NotSigned)?,
    };
    by_one_of(keys, &signature, bytes).map(|_| ())
}

/// Which of the keys made a signature of this content.
///
/// # Errors
/// None of them did, or it is no signature.
pub fn by_one_of<'a>(
    keys: &'a [TrustedKey],
    signature: &str,
    bytes: &[u8],
) -> Result<&'a TrustedKey, AdmitError> {
    let signature = Signature::decode(signature).map_err(|_| AdmitError::BadSignature)?;
    let mut is_of_key = false;
    for key in keys {
        match key.verify(&signature, bytes) {
            Ok(()) => return Ok(key),
            Err(minisign_verify::Error::UnexpectedKeyId) => {}
            Err(_) => is_of_key = true,
        }
    }
    Err(if is_of_key { AdmitError::SignedOtherwise } else { AdmitError::NotTrusted })
}

/// The file of a component's signature.
pub fn beside(component: &Path) -> PathBuf {
    let mut path = component.as_os_str().to_owned();
    path.push(EXTENSION);
    path.into()
}

/// Reads a signature's file.
///
/// # Errors
/// It isn't there, can't be read, or is longer than any.
pub fn read(path: &Path) -> Result<String, AdmitError> {
    let unreadable = |error: std::io::Error| {
        if error.kind() == ErrorKind::NotFound {
            AdmitError::NotSigned
        } else {
            AdmitError::SignatureUnreadable(error.to_string())
        }
    };
    // Opening a pipe would wait for a writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(AdmitError::BadSignature);
    }
    let mut text = Vec::new();
    let most = MAX_SIGNATURE_BYTES as u64 + 1;
    File::open(path).map_err(unreadable)?.take(most).read_to_end(&mut text).map_err(unreadable)?;
    let text = String::from_utf8(text).ok().filter(|text| text.len() <= MAX_SIGNATURE_BYTES);
    text.ok_or(AdmitError::BadSignature)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with minisign 0.11 over `test`, with the key of its README.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const OTHER: &str = "RWTpyLExmRaH6KHRN4MOHuMS1XMgnz1lgYnyIWJ6u29jj7Bw5bGBBzCN";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1556193335\tfile:test
y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==
";
    /// Over the content itself, not over a hash of it.
    const OF_OLD: &str = "untrusted comment: signature from minisign secret key
RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=
trusted comment: timestamp:1555779966\tfile:test
QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==
";

    fn keys(texts: &[&str]) -> Vec<TrustedKey> {
        texts.iter().map(|text| TrustedKey::parse(text).unwrap()).collect()
    }

    #[test]
    fn only_what_a_trusted_key_signed_passes() {
        let mine = keys(&[OTHER, KEY]);
        assert_eq!(by_one_of(&mine, SIGNATURE, b"test").unwrap().to_string(), KEY);
        let of = |keys: &[TrustedKey], signature: &str, bytes: &[u8]| {
            by_one_of(keys, signature, bytes).unwrap_err()
        };
        assert!(matches!(of(&mine, SIGNATURE, b"tess"), AdmitError::SignedOtherwise));
        assert!(matches!(of(&keys(&[OTHER]), SIGNATURE, b"test"), AdmitError::NotTrusted));
        assert!(matches!(of(&mine, OF_OLD, b"test"), AdmitError::SignedOtherwise));
        let other_comment = SIGNATURE.replace("file:test", "file:tost");
        assert!(matches!(of(&mine, &other_comment, b"test"), AdmitError::SignedOtherwise));
        for odd in ["", "x", &SIGNATURE[..200], &SIGNATURE.replace("RUQ", "")] {
            assert!(matches!(of(&mine, odd, b"test"), AdmitError::BadSignature), "{odd}");
        }
    }

    #[test]
    fn without_keys_nothing_is_asked_for_and_with_them_a_signature_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        let check = |keys: &[TrustedKey], signed| check(keys, &path, &signed, b"test");
        check(&[], Signed::Beside).unwrap();
        check(&[], Signed::By(None)).unwrap();
        let mine = keys(&[KEY]);
        assert!(matches!(check(&mine, Signed::Beside), Err(AdmitError::NotSigned)));
        assert!(matches!(check(&mine, Signed::By(None)), Err(AdmitError::NotSigned)));
        check(&mine, Signed::By(Some(SIGNATURE.to_owned()))).unwrap();
        std::fs::write(beside(&path), SIGNATURE).unwrap();
        check(&mine, Signed::Beside).unwrap();
        std::fs::write(beside(&path), "x".repeat(MAX_SIGNATURE_BYTES + 1)).unwrap();
        assert!(matches!(check(&mine, Signed::Beside), Err(AdmitError::BadSignature)));
        std::fs::remove_file(beside(&path)).unwrap();
        std::fs::create_dir(beside(&path)).unwrap();
        assert!(matches!(check(&mine, Signed::Beside), Err(AdmitError::BadSignature)));
    }
}
