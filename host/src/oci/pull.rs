//! A component out of a registry: its manifest, its bytes, and whether they are what was asked for.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use tokio::time::timeout;

use super::client::{Client, Scope};
use super::error::RegistryError;
use super::layout::{self, Layer, MANIFEST, MAX_MANIFEST_BYTES};
use crate::config::{Reference, RegistryAccess, Sha256};

/// How long all of it may take. Python's components have 18 MB.
const LIMIT: Duration = Duration::from_secs(300);

/// A component as it lies in a registry. All of it fits its digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The manifest's digest.
    pub digest: Sha256,
    /// The manifest, byte by byte.
    pub manifest: Vec<u8>,
    /// What it says of the component.
    pub layer: Layer,
    /// The component.
    pub component: Vec<u8>,
}

impl Pulled {
    /// Pulls a component of at most `most` bytes. Nothing that doesn't fit its digest is given out; a tag is believed
    /// to stand for what the registry says.
    ///
    /// # Errors
    /// It isn't there, can't be had within the bounds, or isn't what was asked for.
    pub async fn pull(
        reference: &Reference,
        access: &RegistryAccess,
        most: u64,
    ) -> Result<Self, RegistryError> {
        let client = Client::new(reference, access)?;
        let late = |_| RegistryError::Late { host: reference.host.clone(), limit: LIMIT };
        timeout(LIMIT, pull(&client, reference, most)).await.map_err(late)?
    }
}

async fn pull(client: &Client, reference: &Reference, most: u64) -> Result<Pulled, RegistryError> {
    let repository = &reference.repository;
    let version = match (&reference.digest, &reference.tag) {
        (Some(digest), _) => layout::name(*digest),
        (None, Some(tag)) => tag.clone(),
        (None, None) => "latest".to_owned(),
    };
    let not_found = || RegistryError::NotFound(Box::new(reference.clone()));
    let get = async |path: String, accept: &'static str| {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
        let to = (Method::GET, client.url(&format!("{repository}/{path}")));
        let answer = client.send(to, &headers, Bytes::new(), (Scope::Pull, repository)).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            StatusCode::NOT_FOUND => Err(not_found()),
            _ => Err(answer.unexpected().await),
        }
    };
    let fits = |what, found: Sha256, wanted: Sha256| match found == wanted {
        true => Ok(()),
        false => {
            let host = reference.host.clone();
            Err(RegistryError::Tampered { host, what, found, wanted })
        }
    };
    let answer = get(format!("manifests/{version}"), MANIFEST).await?;
    let manifest = answer.body(MAX_MANIFEST_BYTES, "the manifest").await?;
    let digest = layout::hash(&manifest);
    if let Some(wanted) = reference.digest {
        fits("the manifest", digest, wanted)?;
    }
    let layer = layout::read(&manifest).map_err(RegistryError::NotAComponent)?;
    if layer.size > most {
        return Err(RegistryError::TooLarge { what: "the component", limit: most });
    }
    let answer = get(format!("blobs/{}", layout::name(layer.sha256)), "*/*").await?;
    // What has more bytes than it should is another content.
    let component = answer.body(layer.size, "the component").await?;
    fits("the component", layout::hash(&component), layer.sha256)?;
    Ok(Pulled { digest, manifest, layer, component })
}
