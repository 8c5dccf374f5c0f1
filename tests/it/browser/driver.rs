//! How do the tests drive a real browser? Debian's Chromium, by its driver, a process of each of its own.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fantoccini::{
    Client, ClientBuilder, Locator,
    elements::Element,
    error::CmdError,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value as Json, json};

/// What the protocol itself does not know: a command of Chromium's driver.
#[derive(Debug)]
struct Special {
    path: &'static str,
    body: Json,
}

impl WebDriverCompatibleCommand for Special {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (reqwest::Method, Option<String>) {
        (reqwest::Method::POST, Some(self.body.to_string()))
    }
}

/// Chromium's driver and the browser that it has started, which end with it, also where a test fails.
struct Driver {
    process: Child,
    profile: tempfile::TempDir,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        // the driver leaves its browser behind, which would follow its page for ever
        let mark = format!("user-data-dir={}", self.profile.path().display());
        Command::new("pkill").args(["-KILL", "-f", &mark]).status().ok();
    }
}

/// One window of a browser that knows nothing of any other.
pub struct Browser {
    pub client: Client,
    root: String,
    _driver: Driver,
}

impl Browser {
    /// Opens a window on the pages of the service at `root`.
    pub async fn open(root: &str) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("needs Debian's packages chromium and chromium-driver");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let driver = Driver { process: driver, profile: tempfile::tempdir().unwrap() };
        let port = lines.find_map(|line| {
            let line = line.ok()?;
            Some(line.split_once("successfully on port ")?.1.trim_end_matches('.').to_owned())
        });
        let port = port.expect("the browser's driver says where it listens");
        let options = json!({
            "binary": "/usr/bin/chromium",
            // the last ones: it asks nobody outside, and in a container it may be root with little of /dev/shm
            "args": [
                "--headless=new", "--disable-gpu", "--no-first-run", "--disable-quic", "--disable-sync",
                "--disable-background-networking", "--disable-component-update", "--no-sandbox",
                "--disable-dev-shm-usage", "--force-color-profile=srgb", "--lang=en",
                format!("--user-data-dir={}", driver.profile.path().display()),
            ],
        });
        let mut wanted = Map::new();
        wanted.insert("goog:chromeOptions".to_owned(), options);
        wanted.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(Capabilities::from_iter(wanted))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("a browser starts");
        let browser = Self { client, root: root.to_owned(), _driver: driver };
        browser.screen(1440, false).await;
        browser
    }

    async fn special(&self, path: &'static str, body: Json) -> Json {
        self.client.issue_cmd(Special { path, body }).await.unwrap()
    }

    /// A command of the browser's own protocol.
    pub async fn devtools(&self, name: &str, parameters: Json) -> Json {
        self.special("goog/cdp/execute", json!({ "cmd": name, "params": parameters })).await
    }

    /// A screen of this width, at day or at night.
    pub async fn screen(&self, width: u32, night: bool) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 720 });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if night { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// From now on, pages have no script.
    pub async fn without_script(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    }

    /// What the console has said since it was asked last: errors, and what the policy has kept away.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.special("se/log", json!({ "type": "browser" })).await;
        let bad = |entry: &Json| ["SEVERE", "WARNING"].contains(&entry["level"].as_str().unwrap_or_default());
        entries
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| bad(entry))
            .map(|entry| entry["message"].to_string())
            .collect()
    }

    pub async fn go(&self, path: &str) {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.root) };
        self.client.goto(&url).await.unwrap();
    }

    /// Where it is: path and query.
    pub async fn place(&self) -> String {
        let url = self.client.current_url().await.unwrap();
        url.as_str().strip_prefix(&self.root).unwrap_or(url.as_str()).to_owned()
    }

    pub async fn script(&self, text: &str) -> Json {
        self.client.execute(text, Vec::new()).await.unwrap()
    }

    /// The text that a person sees; between two pages there is none.
    pub async fn text(&self) -> String {
        let text = self.client.execute("return document.body.innerText", Vec::new()).await;
        text.ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// The first element that fits.
    pub async fn find(&self, css: &str) -> Element {
        self.client.find(Locator::Css(css)).await.unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    pub async fn has(&self, css: &str) -> bool {
        self.client.find(Locator::Css(css)).await.is_ok()
    }

    /// A button or link by its words, where it is seen.
    async fn named(&self, words: &str) -> Result<Element, CmdError> {
        let script = "return [...document.querySelectorAll('a, button, summary')]
                      .find(one => one.innerText.replace(/\\s+/g, ' ').includes(arguments[0]) && one.getClientRects().length) ?? null";
        let found = self.client.execute(script, vec![json!(words)]).await?;
        match found.as_object().and_then(|found| found.values().next()).and_then(Json::as_str) {
            Some(id) => Ok(Element::from_element_id(self.client.clone(), id.to_owned().into())),
            None => Err(CmdError::NotJson(format!("nothing is called {words}"))),
        }
    }

    /// Clicks what has these words on it, as soon as it is there.
    pub async fn click(&self, words: &str) {
        let began = Instant::now();
        loop {
            let clicked = async { self.named(words).await?.click().await };
            let Err(error) = clicked.await else { return };
            // a live page may have swapped it in between
            let text = self.text().await;
            assert!(began.elapsed() < Duration::from_secs(30), "click {words}: {error}\n{text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn offers(&self, words: &str) -> bool {
        self.named(words).await.is_ok()
    }

    /// Types into a field.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Waits until the page says so.
    pub async fn sees(&self, words: &str) {
        let began = Instant::now();
        loop {
            let text = self.text().await;
            if text.contains(words) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(45), "{words:?} was not seen:\n{text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until this is so on the page.
    pub async fn sees_that(&self, script: &str) {
        let began = Instant::now();
        while self.script(&format!("return Boolean({script})")).await != json!(true) {
            let text = self.text().await;
            assert!(began.elapsed() < Duration::from_secs(45), "{script} did not come true:\n{text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Presses the button of the question that is open.
    pub async fn confirm(&self) {
        self.find("details.sure[open] form button").await.click().await.unwrap();
    }

    /// Marks the page: a page that is loaded anew has lost the mark.
    pub async fn mark(&self) {
        self.script("window.isTheSamePage = true").await;
    }

    pub async fn is_the_same_page(&self) -> bool {
        self.script("return window.isTheSamePage === true").await == json!(true)
    }

    /// Logs in with a token, as a person does.
    pub async fn log_in(&self, token: &str) {
        self.go("/login").await;
        self.fill("input[name=token]", token).await;
        self.click("Log in").await;
    }

    pub async fn close(self) {
        self.client.clone().close().await.unwrap();
    }
}
