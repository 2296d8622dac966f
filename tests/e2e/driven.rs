//! A real browser that a test drives.

use std::process::Stdio;

use thirtyfour::prelude::*;
use thirtyfour::{ChromiumLikeCapabilities, LoggingPrefsLogLevel};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// What a browser is told at its start.
const ARGUMENTS: [&str; 7] = [
    "--headless=new",
    // As root, and in containers, it has no sandbox.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--no-first-run",
    "--window-size=1280,800",
];

/// A browser, and the driver that it hangs on.
pub(crate) struct Driven {
    /// Its page.
    pub(crate) page: WebDriver,
    _driver: Child,
    _profile: tempfile::TempDir,
}

impl Driven {
    /// Starts one; `None` where there is none on this machine.
    pub(crate) async fn start() -> Option<Self> {
        let mut driver = Command::new("chromedriver");
        driver.args(["--port=0"]).stdin(Stdio::null()).stdout(Stdio::piped());
        driver.stderr(Stdio::null()).kill_on_drop(true);
        let mut driver = driver.spawn().ok()?;
        let mut lines = BufReader::new(driver.stdout.take().expect("it is piped")).lines();
        let port = loop {
            let line = lines.next_line().await.ok()??;
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        let profile = tempfile::tempdir().expect("a folder");
        let mut wanted = DesiredCapabilities::chrome();
        let folder = format!("--user-data-dir={}", profile.path().display());
        for argument in ARGUMENTS.into_iter().chain([&*folder]) {
            wanted.add_arg(argument).expect("it is text");
        }
        wanted.set_browser_log_level(LoggingPrefsLogLevel::All).expect("it is a level");
        let page = WebDriver::new(format!("http://127.0.0.1:{port}"), wanted).await.ok()?;
        Some(Self { page, _driver: driver, _profile: profile })
    }

    /// Presses what a selector finds.
    pub(crate) async fn click(&self, css: &str) {
        self.element(css).await.click().await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// What a selector finds.
    pub(crate) async fn element(&self, css: &str) -> WebElement {
        self.page.find(By::Css(css)).await.unwrap_or_else(|error| panic!("{css}: {error}"))
    }
}
