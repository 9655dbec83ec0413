//! A real Chromium in a namespace, controlled by `WebDriver`, with its console and network events.

use std::{fs, path::Path, time::Duration};

use fantoccini::{Locator, wd::WebDriverCompatibleCommand};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::{
    driver::Driver,
    support::{
        Namespace,
        program::{Program, wait_for},
    },
};

const PORT: u16 = 9515;

/// A browser with one window.
pub struct Browser<'n> {
    driver: Driver<'n>,
    _program: Program,
    _directory: TempDir,
}

impl<'n> Browser<'n> {
    /// Starts it, with an empty window.
    pub fn start(namespace: &'n Namespace) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = namespace.command("unshare");
        // The browser's processes have their own sessions: they all end with their namespace.
        command
            .args(["--pid", "--fork", "--kill-child", "--mount-proc", "chromedriver"])
            .arg(format!("--port={PORT}"))
            // It leaves temporary files.
            .env("TMPDIR", directory.path())
            .env("HOME", directory.path());
        let program = Program::start(&mut command, directory.path().join("chromedriver.log"));
        let options = json!({
            "goog:chromeOptions": {
                "args": [
                    "--headless=new",
                    // Chromium has no sandbox for root.
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-dev-shm-usage",
                    "--disable-background-networking",
                    "--no-first-run",
                    "--lang=en",
                    format!("--user-data-dir={}", directory.path().join("profile").display()),
                ],
            },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let driver = Driver::connect(namespace, PORT, &options);
        Self { driver, _program: program, _directory: directory }
    }

    /// Opens an address.
    pub fn open(&self, address: &str) {
        self.driver.wait(self.driver.client.goto(address)).unwrap();
    }

    /// The value of an expression in the page.
    pub fn eval(&self, expression: &str) -> Value {
        self.driver
            .wait(self.driver.client.execute(&format!("return ({expression});"), vec![]))
            .unwrap()
    }

    /// Runs statements in the page, which call the function `done` with their result when it is there.
    pub fn run(&self, statements: &str) -> Value {
        let script = format!("const done = arguments[0]; {statements}");
        self.driver.wait(self.driver.client.execute_async(&script, vec![])).unwrap()
    }

    /// The text of an expression in the page.
    pub fn text(&self, expression: &str) -> String {
        self.eval(expression).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true.
    pub fn until(&self, what: &str) {
        wait_for(what, || self.eval(what).as_bool()?.then_some(()));
    }

    /// Clicks at the position of an element; `selector` is CSS.
    pub fn click(&self, selector: &str) {
        self.driver.wait(async {
            let element = self.driver.client.find(Locator::Css(selector)).await.unwrap();
            element.click().await.unwrap();
        });
    }

    /// The centre of an element in the window; `selector` is CSS.
    pub fn centre(&self, selector: &str) -> (f64, f64) {
        let centre = self.eval(&format!(
            "(({{ x, y, width, height }}) => [x + width / 2, y + height / 2])\
             (document.querySelector('{selector}').getBoundingClientRect())"
        ));
        (centre[0].as_f64().unwrap(), centre[1].as_f64().unwrap())
    }

    /// Moves the mouse to the centre of an element; `selector` is CSS.
    pub fn hover(&self, selector: &str) {
        self.mouse("mouseMoved", self.centre(selector), &json!({}));
    }

    /// Turns the wheel; positive pixels are towards the user.
    pub fn wheel(&self, at: (f64, f64), pixels: i32) {
        self.mouse("mouseWheel", at, &json!({ "deltaX": 0, "deltaY": pixels }));
    }

    /// Moves the mouse with its button pressed.
    pub fn drag(&self, (x, y): (f64, f64), by: (f64, f64)) {
        let button = json!({ "button": "left", "buttons": 1, "clickCount": 1 });
        self.mouse("mousePressed", (x, y), &button);
        for step in [0.25, 0.5, 0.75, 1.0] {
            self.mouse("mouseMoved", (x + by.0 * step, y + by.1 * step), &button);
        }
        self.mouse("mouseReleased", (x + by.0, y + by.1), &button);
    }

    fn mouse(&self, kind: &str, (x, y): (f64, f64), more: &Value) {
        let mut event = json!({ "type": kind, "x": x, "y": y });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.devtools("Input.dispatchMouseEvent", &event);
    }

    /// Moves fingers: each element has the position of every finger at one moment.
    pub fn touch(&self, moments: &[Vec<(f64, f64)>]) {
        for (moment, fingers) in moments.iter().enumerate() {
            let kind = if moment == 0 { "touchStart" } else { "touchMove" };
            let points: Vec<_> = fingers
                .iter()
                .enumerate()
                .map(|(id, (x, y))| json!({ "x": x, "y": y, "id": id }))
                .collect();
            let event = json!({ "type": kind, "touchPoints": points });
            self.devtools("Input.dispatchTouchEvent", &event);
        }
        self.devtools(
            "Input.dispatchTouchEvent",
            &json!({ "type": "touchEnd", "touchPoints": [] }),
        );
    }

    /// Sets the language of numbers and dates for the pages that are opened from now on.
    pub fn locale(&self, locale: &str) {
        self.devtools("Emulation.setLocaleOverride", &json!({ "locale": locale }));
    }

    /// Presses and releases a key.
    pub fn press(&self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            "ArrowLeft" => (37, ""),
            "ArrowUp" => (38, ""),
            "ArrowRight" => (39, ""),
            "ArrowDown" => (40, ""),
            "+" => (187, "+"),
            "-" => (189, "-"),
            "0" => (48, "0"),
            other => panic!("the code of the key {other} is not known here"),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text,
            });
            self.devtools("Input.dispatchKeyEvent", &event);
        }
    }

    /// Gives the window a size and a colour scheme, `light` or `dark`. A narrow window is that of a phone.
    pub fn view(&self, width: u32, height: u32, scheme: &str) {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 }),
        );
        self.devtools(
            "Emulation.setTouchEmulationEnabled",
            &json!({ "enabled": width < 600, "maxTouchPoints": 2 }),
        );
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [
                { "name": "prefers-color-scheme", "value": scheme },
                { "name": "prefers-reduced-motion", "value": "reduce" },
            ] }),
        );
    }

    /// Writes a screenshot of the window as a PNG.
    pub fn screenshot(&self, file: &Path) {
        let image = self.driver.wait(self.driver.client.screenshot()).unwrap();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, image).unwrap();
    }

    /// The messages of the console since the last call: errors of scripts, of requests and of the policy.
    pub fn console(&self) -> Vec<String> {
        self.log("browser").iter().map(ToString::to_string).collect()
    }

    /// The URLs of all requests since the last call, except those of the browser's start page.
    pub fn requests(&self) -> Vec<String> {
        let events = self.log("performance");
        let sent = events.iter().filter_map(|entry| {
            let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let event = &event["message"];
            let own = event["params"]["documentURL"].as_str()?.starts_with("chrome://");
            (event["method"] == "Network.requestWillBeSent" && !own)
                .then(|| event["params"]["request"]["url"].as_str().map(str::to_owned))?
        });
        sent.collect()
    }

    /// The reasons for requests that the browser blocked, since the last call of `requests`.
    pub fn refusals(&self) -> Vec<String> {
        let events = self.log("performance");
        let rejected = events.iter().filter_map(|entry| {
            let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let event = &event["message"];
            (event["method"] == "Network.loadingFailed")
                .then(|| event["params"]["blockedReason"].as_str().map(str::to_owned))?
        });
        rejected.collect()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.issue("se/log", &json!({ "type": kind }));
        entries.as_array().unwrap().clone()
    }

    fn devtools(&self, command: &str, parameters: &Value) {
        self.issue("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
    }

    fn issue(&self, path: &'static str, body: &Value) -> Value {
        self.driver
            .wait(self.driver.client.issue_cmd(Extension { path, body: body.to_string() }))
            .unwrap()
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        let client = self.driver.client.clone();
        // A browser that does not close is killed with the driver.
        let close = async { tokio::time::timeout(Duration::from_secs(5), client.close()).await };
        let _ = self.driver.wait(close);
    }
}

/// A command that only Chromium has.
#[derive(Debug)]
struct Extension {
    path: &'static str,
    body: String,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (hyper::Method, Option<String>) {
        (hyper::Method::POST, Some(self.body.clone()))
    }
}
