//! The configuration of a rig's host.

use sidenote_sim::{Connector, Platform};

use crate::components::compiled;
use crate::rig::{COMPONENT, STREAM, Setup};

/// `sidenote.toml`, with the addresses of this rig.
pub(crate) fn configuration(setup: &Setup, connector: &Connector, platform: &Platform) -> String {
    format!(
        r#"
plugins_folder = "."
cache_folder = {cache:?}

[server]
listen = "127.0.0.1:0"
token = {{ env = "API_TOKEN" }}
{server}

[store]
{store}
{store_keys}

[delivery]
{delivery}

[streams.all]
url = "{stream_url}"
token = {{ env = "STREAM_TOKEN" }}
{stream}

[plugins.bot]
file = "{COMPONENT}"
{bot}

[plugins.bot.config]
url = "{notes}"
redact_url = "{redact}"
{messages}

[plugins.bot.secrets]
signing = {{ env = "SIGNING", hosts = [] }}
incoming = {{ env = "INCOMING", hosts = [] }}

[plugins.bot.grants]
hosts = ["{platform}"]
private = true

[plugins.bot.limits]
{limits}

[products.p]
plugins = {plugins_p:?}
{ingest_p}

[products.q]
plugins = ["bot"]
{ingest_q}

{tables}
"#,
        cache = compiled(),
        server = setup.server,
        store = setup.store.keys(),
        store_keys = setup.store_keys,
        delivery = setup.delivery,
        stream = setup.stream,
        bot = setup.bot,
        limits = setup.limits,
        plugins_p = [&["bot"], setup.beside].concat(),
        ingest_p = ingest(setup, "INGEST_P"),
        ingest_q = ingest(setup, "INGEST_Q"),
        tables = setup.tables,
        stream_url = connector.stream_url(STREAM),
        notes = platform.notes_url(),
        redact = platform.redact_url(),
        messages = messages(setup, platform),
        platform = platform.url(),
    )
}

/// The endpoints of what the person sees, where the bot says something.
fn messages(setup: &Setup, platform: &Platform) -> String {
    let urls = [
        ("offer_url", platform.offers_url()),
        ("reply_url", platform.replies_url()),
        ("find_url", platform.find_url()),
    ];
    let lines = urls.iter().filter(|_| setup.messages);
    lines.map(|(key, url)| format!("{key} = {url:?}\n")).collect()
}

fn ingest(setup: &Setup, variable: &str) -> String {
    match setup.pushed {
        true => format!("ingest_secret = {{ env = \"{variable}\" }}"),
        false => String::new(),
    }
}
