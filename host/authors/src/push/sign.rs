//! A signature as minisign makes it.

use std::io::{Cursor, IsTerminal};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use minisign::{ErrorKind, PError, SecretKey, SecretKeyBox};
use sidenote_terminal::Unusable;

/// The variable with the password of the secret key.
const PASSWORD: &str = "SIDENOTE_SIGN_PASSWORD";
/// Longest file of a key or a password, in bytes.
const LONGEST: u64 = 64 << 10;

/// Signs a component. `name` is what it is called in the signature.
pub(super) fn sign(
    key: &Path,
    password: Option<&Path>,
    component: &[u8],
    name: &str,
) -> anyhow::Result<String> {
    let text = read(key)?;
    let secret = secret(key, &text, password)?;
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    let trusted = format!("file:{name}\tprehashed");
    let signed =
        minisign::sign(None, &secret, Cursor::new(component), Some(&trusted), Some("signature"));
    let signed = signed.map_err(|error| anyhow!("sign: {error}; look at the key"))?;
    Ok(signed.into_string())
}

fn secret(file: &Path, text: &str, password: Option<&Path>) -> anyhow::Result<SecretKey> {
    // What is in it isn't told.
    let none = |_: PError| {
        anyhow!(Unusable(format!(
            "{} is no secret key of minisign; name the .key file that `minisign -G` made",
            file.display()
        )))
    };
    let boxed = || SecretKeyBox::from_string(text).map_err(none);
    match boxed()?.into_unencrypted_secret_key() {
        Ok(key) => return Ok(key),
        Err(error) if matches!(error.kind(), ErrorKind::EncryptedKey) => {}
        Err(error) => return Err(none(error)),
    }
    let password = match password {
        Some(file) => Some(read(file)?),
        None => std::env::var(PASSWORD).ok(),
    };
    if password.is_none() && !std::io::stdin().is_terminal() {
        bail!(Unusable(format!(
            "the key {} has a password, and nobody can be asked; put it into the variable {PASSWORD}, or name a file with --sign-password-file",
            file.display()
        )));
    }
    let password = password.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
    // Without a password the library asks at the terminal.
    boxed()?.into_secret_key(password).map_err(|_| {
        anyhow!("sign: the key {} can't be opened; look up its password", file.display())
    })
}

fn read(file: &Path) -> anyhow::Result<String> {
    let about = std::fs::metadata(file).with_context(|| file.display().to_string())?;
    if !about.is_file() || about.len() > LONGEST {
        bail!("{} is no file, or has more than {LONGEST} bytes; name another", file.display());
    }
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use minisign::KeyPair;
    use sidenote::config::TrustedKey;
    use sidenote::plugin::signed_by;

    use super::*;

    #[test]
    fn what_is_signed_passes_where_the_key_is_trusted() {
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("minisign.key");
        std::fs::write(&key, pair.sk.to_box(None).unwrap().into_string()).unwrap();
        let signature = sign(&key, None, b"component", "a\n.wasm").unwrap();
        let trusted = [TrustedKey::parse(&pair.pk.to_base64()).unwrap()];
        signed_by(&trusted, &signature, b"component").unwrap();
        assert!(signature.contains("file:a.wasm\tprehashed"), "{signature}");
        assert!(signed_by(&trusted, &signature, b"componend").is_err());
    }

    #[test]
    fn what_is_no_key_is_told_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("odd.key");
        std::fs::write(&key, "hidden").unwrap();
        let told = format!("{:#}", sign(&key, None, b"", "a.wasm").unwrap_err());
        assert!(told.contains("is no secret key") && !told.contains("hidden"), "{told}");
    }
}
