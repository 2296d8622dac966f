//! `[dashboard]`.

use url::Url;

use super::model::{Dashboard, Server};
use super::scalar;
use super::section::Section;
use super::sections::{address, public_url};

/// `[dashboard]`; `None` where it isn't there.
pub(super) fn dashboard(
    section: Section<'_>,
    server: &Server,
    has_token: bool,
) -> Option<Dashboard> {
    if !section.is_present() {
        return None;
    }
    let default = Dashboard::default();
    let dashboard = Dashboard {
        listen: section.scalar_or("listen", default.listen, address),
        public_url: section.scalar("public_url", public_url),
    };
    const NEXT: &str = "add `token = { env = \"SIDENOTE_SERVER_TOKEN\" }` to [server]";
    if !has_token && !dashboard.listen.ip().is_loopback() {
        section.refuse(
            "listen",
            format!("{} can be reached from other machines, and no token is set", dashboard.listen),
            NEXT,
        );
    }
    let public = dashboard.public_url.as_deref().and_then(|url| Url::parse(url).ok());
    if !has_token && public.as_ref().is_some_and(|url| !scalar::is_loopback(url)) {
        section.refuse("public_url", "others reach the pages by it, and no token is set", NEXT);
    }
    if public.is_some_and(|url| url.path() != "/") {
        section.refuse(
            "public_url",
            "it has a path, and the pages have a name of their own",
            "write scheme and name alone, for example \"https://sidenote.example.com\"",
        );
    }
    if dashboard.listen == server.listen && dashboard.listen.port() != 0 {
        section.refuse(
            "listen",
            "it is the address of [server]",
            "choose another port, for example \"127.0.0.1:8788\"",
        );
    }
    section.finish();
    Some(dashboard)
}
