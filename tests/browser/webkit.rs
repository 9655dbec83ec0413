//! The browser of `WebKit` for GTK in a namespace, on a virtual screen, controlled by `WebDriver`.

use std::time::Duration;

use fantoccini::actions::{
    InputSource as _, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    driver::Driver,
    other_browsers::OtherBrowser,
    support::{Namespace, program::Program},
};

const PORT: u16 = 9516;

/// The screen and the driver: their processes end with their namespace.
const START: &str =
    "Xvfb -displayfd 1 -screen 0 1280x900x24 -nolisten tcp -nolisten unix > display &
    until [ -s display ]; do kill -0 $!; sleep 0.05; done
    DISPLAY=:$(cat display) exec WebKitWebDriver --port=$1";

/// A browser with one window.
pub struct WebKit<'n> {
    driver: Driver<'n>,
    _program: Program,
    _directory: TempDir,
}

impl<'n> WebKit<'n> {
    /// Starts it, with an empty window.
    pub fn start(namespace: &'n Namespace) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = namespace.command("unshare");
        command
            .args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-euc", START, "sh"])
            .arg(PORT.to_string())
            .current_dir(directory.path())
            .env("TMPDIR", directory.path())
            .env("HOME", directory.path());
        let program = Program::start(&mut command, directory.path().join("webkit.log"));
        let options = json!({
            "webkitgtk:browserOptions": {
                "binary": mini_browser(),
                "args": ["--automation"],
            },
        });
        let driver = Driver::connect(namespace, PORT, &options);
        let browser = Self { driver, _program: program, _directory: directory };
        browser.driver.wait(browser.driver.client.set_window_rect(0, 0, 1280, 900)).unwrap();
        browser
    }
}

/// The browser, in the directory of this architecture's libraries.
fn mini_browser() -> String {
    let libraries = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut found = libraries.map(|path| path.join("webkit2gtk-4.1/MiniBrowser"));
    let found = found.find(|path| path.exists()).expect("install webkit2gtk-driver");
    found.display().to_string()
}

impl OtherBrowser for WebKit<'_> {
    fn open(&self, address: &str) {
        self.driver.wait(self.driver.client.goto(address)).unwrap();
    }

    fn eval(&self, expression: &str) -> Value {
        self.driver
            .wait(self.driver.client.execute(&format!("return ({expression});"), vec![]))
            .unwrap()
    }

    fn drag(&self, (x, y): (f64, f64), by: f64) {
        let to = |by| PointerAction::MoveTo { duration: None, x: x + by, y: y + by };
        let mouse = MouseActions::new("mouse".into())
            .then(to(0.0))
            .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT })
            .then(to(by / 2.0))
            .then(to(by))
            .then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
        self.driver.wait(self.driver.client.perform_actions(mouse)).unwrap();
    }

    fn press(&self, key: char) {
        let keys = KeyActions::new("keyboard".into());
        let keys = keys.then(KeyAction::Down { value: key }).then(KeyAction::Up { value: key });
        self.driver.wait(self.driver.client.perform_actions(keys)).unwrap();
    }
}

impl Drop for WebKit<'_> {
    fn drop(&mut self) {
        let client = self.driver.client.clone();
        // A browser that does not close is killed with the driver.
        let close = async { tokio::time::timeout(Duration::from_secs(5), client.close()).await };
        let _ = self.driver.wait(close);
    }
}
