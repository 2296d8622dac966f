//! Webhooks of the platform, as files: what comes in, and what the plugin is to make of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use serde::Deserialize;
use serde_json::Value;
use sha1::Sha1;
use sha2::Sha256;
use sidenote::plugin::WebhookRequest;
use sidenote_terminal::Unusable;

/// A webhook, and what is to come of it.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// The file's name without its ending.
    pub(super) name: String,
    content: Content,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default = "post")]
    method: String,
    #[serde(default = "url")]
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A text as it is, `{"base64": "…"}` for bytes, anything else as JSON.
    #[serde(default)]
    body: Value,
    sign: Option<Signing>,
    #[serde(default)]
    expect: Expectation,
}

/// How the platform signs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signing {
    /// The secret's name.
    secret: String,
    #[serde(default)]
    hash: Hash,
    #[serde(default)]
    encoding: Encoding,
    /// What is signed, with `{body}` and `{timestamp}` in it.
    #[serde(default = "body")]
    over: String,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Hash {
    Sha1,
    #[default]
    Sha256,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Hex,
    Base64,
}

/// What is to come of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Expectation {
    /// It is genuine, whatever it means.
    #[default]
    Accept,
    /// It must be refused.
    Reject,
    Opened,
    Replied,
    Challenge,
    Ignored,
}

fn post() -> String {
    "POST".to_owned()
}

fn url() -> String {
    "https://notes.example.com/webhooks/plugin".to_owned()
}

fn body() -> String {
    "{body}".to_owned()
}

/// Reads samples, from files and from folders of them.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for path in paths {
        for file in files(path)? {
            samples.push(sample(&file)?);
        }
    }
    Ok(samples)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Unusable> {
    let unusable =
        |error: std::io::Error| Unusable(format!("--webhook {}: {error}", path.display()));
    if !std::fs::metadata(path).map_err(unusable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(unusable)?;
    let paths: Result<Vec<_>, _> = entries.map(|entry| entry.map(|it| it.path())).collect();
    let mut files = paths.map_err(unusable)?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    if files.is_empty() {
        return Err(Unusable(format!("--webhook {}: no .json file is in there", path.display())));
    }
    Ok(files)
}

fn sample(file: &Path) -> Result<Sample, Unusable> {
    let unusable = |error: String| Unusable(format!("--webhook {}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
    let content: Content = serde_json::from_str(&text).map_err(|error| {
        unusable(format!("{error}; write, for example, {{\"headers\": {{\"x-signature\": \"{{signature}}\"}}, \"body\": {{…}}, \"sign\": {{\"secret\": \"NAME\"}}, \"expect\": \"opened\"}}"))
    })?;
    let name =
        file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    Ok(Sample { name, content })
}

/// What a request is signed with.
pub(crate) struct Hand<'a> {
    /// A secret by its name.
    pub(crate) secret: &'a dyn Fn(&str) -> Option<String>,
    /// Seconds since the Unix epoch.
    pub(crate) timestamp: u64,
}

impl Sample {
    /// What is to come of it.
    pub(super) fn expectation(&self) -> Expectation {
        self.content.expect
    }

    /// Whether a body that was changed can be known: it is signed, or what stands for a signature came
    /// with the file.
    pub(super) fn covers_body(&self) -> bool {
        match &self.content.sign {
            Some(signing) => signing.over.contains("{body}"),
            None => !self.headers_with("{secret:") && !self.content.url.contains("{secret:"),
        }
    }

    /// Whether it says when it was sent, and signs that.
    pub(super) fn covers_time(&self) -> bool {
        self.content.sign.as_ref().is_some_and(|signing| signing.over.contains("{timestamp}"))
    }

    /// The headers without which it must not be accepted.
    pub(super) fn proofs(&self) -> Vec<String> {
        let proves = |(name, value): &(&String, &String)| {
            let named = ["signature", "hmac", "token", "authorization", "secret", "digest"];
            let name = name.to_ascii_lowercase();
            value.contains("{signature}")
                || value.contains("{secret:")
                || (self.covers_time() && value.contains("{timestamp}"))
                || (self.content.sign.is_none() && named.iter().any(|word| name.contains(word)))
        };
        let headers = self.content.headers.iter().filter(proves);
        headers.map(|(name, _)| name.to_ascii_lowercase()).collect()
    }

    /// Whether another secret makes another request of it.
    pub(super) fn knows_secret(&self) -> bool {
        self.content.sign.is_some() || !self.covers_body()
    }

    /// The request, signed. The error names a secret that isn't there.
    pub(crate) fn request(&self, hand: &Hand<'_>) -> Result<WebhookRequest, String> {
        let body = self.body()?;
        let timestamp = hand.timestamp.to_string();
        let signature = match &self.content.sign {
            Some(signing) => signing.sign(hand, &timestamp, &body)?,
            None => String::new(),
        };
        let fill = |text: &str| -> Result<String, String> {
            let text = text.replace("{timestamp}", &timestamp).replace("{signature}", &signature);
            fill_secrets(&text, hand)
        };
        let header =
            |(name, value): (&String, &String)| Ok((name.to_ascii_lowercase(), fill(value)?));
        Ok(WebhookRequest {
            method: self.content.method.to_ascii_uppercase(),
            url: fill(&self.content.url)?,
            headers: self.content.headers.iter().map(header).collect::<Result<_, String>>()?,
            body,
        })
    }

    fn headers_with(&self, mark: &str) -> bool {
        self.content.headers.values().any(|value| value.contains(mark))
    }

    fn body(&self) -> Result<Vec<u8>, String> {
        let bytes = match &self.content.body {
            Value::Null => return Ok(Vec::new()),
            Value::String(text) => return Ok(text.clone().into_bytes()),
            Value::Object(fields) if fields.len() == 1 => fields.get("base64"),
            Value::Object(_) | Value::Array(_) | Value::Bool(_) | Value::Number(_) => None,
        };
        match bytes.and_then(Value::as_str) {
            Some(text) => {
                BASE64.decode(text).map_err(|error| format!("its body isn't base64: {error}"))
            }
            None => Ok(self.content.body.to_string().into_bytes()),
        }
    }
}

impl Signing {
    fn sign(&self, hand: &Hand<'_>, timestamp: &str, body: &[u8]) -> Result<String, String> {
        let key = secret(&self.secret, hand)?;
        let over = self.over.replace("{timestamp}", timestamp);
        let signed = match over.split_once("{body}") {
            Some((before, after)) => [before.as_bytes(), body, after.as_bytes()].concat(),
            None => over.into_bytes(),
        };
        let mac = match self.hash {
            Hash::Sha1 => mac::<Hmac<Sha1>>(key.as_bytes(), &signed),
            Hash::Sha256 => mac::<Hmac<Sha256>>(key.as_bytes(), &signed),
        };
        Ok(match self.encoding {
            Encoding::Hex => hex::encode(mac),
            Encoding::Base64 => BASE64.encode(mac),
        })
    }
}

fn mac<M: Mac + hmac::digest::KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = <M as Mac>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

fn secret(name: &str, hand: &Hand<'_>) -> Result<String, String> {
    (hand.secret)(name).ok_or_else(|| {
        format!("the plugin has no secret `{name}`; give it one with --secret {name}=VALUE, or in --config")
    })
}

fn fill_secrets(text: &str, hand: &Hand<'_>) -> Result<String, String> {
    const OPEN: &str = "{secret:";
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let (name, behind) =
            after.split_once('}').ok_or_else(|| "a {secret:NAME} in it has no end".to_owned())?;
        out.push_str(before);
        out.push_str(&secret(name, hand)?);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}
