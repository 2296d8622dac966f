//! What a push sends: the blobs that the registry lacks, and then the manifest that names them.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode, Url};
use sidenote::config::{Reference, RegistryAccess};
use sidenote::oci::{Answer, Client, RegistryError, Scope, layout};
use tokio::time::timeout;

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(600);

/// A component with all that goes with it.
pub(super) struct Upload<'a> {
    pub(super) reference: &'a Reference,
    pub(super) component: Vec<u8>,
    pub(super) config: Vec<u8>,
    pub(super) manifest: Vec<u8>,
}

impl Upload<'_> {
    /// Sends it. The tag is given last: until then nobody sees anything of it.
    pub(super) async fn send(self, access: &RegistryAccess) -> anyhow::Result<()> {
        let host = self.reference.host.clone();
        let late = |_| RegistryError::Late { host, limit: LIMIT };
        timeout(LIMIT, self.all(access)).await.map_err(late)?
    }

    async fn all(self, access: &RegistryAccess) -> anyhow::Result<()> {
        let Self { reference, component, config, manifest } = self;
        let client = Client::new(reference, access)?;
        let repository = &*reference.repository;
        blob(&client, repository, component.into()).await?;
        blob(&client, repository, config.into()).await?;
        let tag = reference.tag.as_deref().context("a push has a tag")?;
        let url = client.url(&format!("{repository}/manifests/{tag}"));
        let headers = of_type(layout::MANIFEST);
        let answer =
            ask(&client, repository, (Method::PUT, url), &headers, manifest.into()).await?;
        wanted(answer, StatusCode::CREATED).await?;
        Ok(())
    }
}

/// Sends a blob in one piece, where it isn't there.
async fn blob(client: &Client, repository: &str, bytes: Bytes) -> anyhow::Result<()> {
    let digest = layout::name(layout::hash(&bytes));
    let none = HeaderMap::new();
    let there = client.url(&format!("{repository}/blobs/{digest}"));
    let known = ask(client, repository, (Method::HEAD, there), &none, Bytes::new()).await?;
    if known.status() == StatusCode::OK {
        return Ok(());
    }
    let begin = client.url(&format!("{repository}/blobs/uploads/"));
    let begun = ask(client, repository, (Method::POST, begin), &none, Bytes::new()).await?;
    let begun = wanted(begun, StatusCode::ACCEPTED).await?;
    let url = next(client, &begun, &digest)?;
    let headers = of_type("application/octet-stream");
    let put = ask(client, repository, (Method::PUT, url), &headers, bytes).await?;
    wanted(put, StatusCode::CREATED).await?;
    Ok(())
}

/// Where an upload goes on: at the registry, or at a store of files that it names.
fn next(client: &Client, begun: &Answer<'_>, digest: &str) -> anyhow::Result<Url> {
    let odd = || {
        anyhow!(
            "registry: {} doesn't say where an upload goes on; push to another registry",
            client.host()
        )
    };
    let location = begun.headers().get(LOCATION).and_then(|it| it.to_str().ok()).ok_or_else(odd)?;
    let mut url = begun.url().join(location).map_err(|_| odd())?;
    if url.scheme() != "https" && client.url("").scheme() == "https" {
        bail!(
            "registry: {} has uploads go on without TLS; push to another registry",
            client.host()
        );
    }
    url.query_pairs_mut().append_pair("digest", digest);
    Ok(url)
}

async fn ask<'a>(
    client: &'a Client,
    repository: &str,
    to: (Method, Url),
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Answer<'a>, RegistryError> {
    client.send(to, headers, body, (Scope::Push, repository)).await
}

async fn wanted(answer: Answer<'_>, status: StatusCode) -> Result<Answer<'_>, RegistryError> {
    if answer.status() == status { Ok(answer) } else { Err(answer.unexpected().await) }
}

fn of_type(media_type: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))])
}
