//! A real Firefox in a namespace, controlled by Marionette, its own protocol: Debian has no `WebDriver` server for it.

use std::{
    cell::{Cell, RefCell},
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    other_browsers::OtherBrowser,
    page::ADDRESS,
    support::{
        Namespace,
        program::{PATIENCE, Program, wait_for},
    },
};

const PORT: u16 = 2828;

/// A browser with one window.
pub struct Firefox {
    stream: RefCell<BufReader<TcpStream>>,
    last: Cell<u64>,
    _program: Program,
    _profile: TempDir,
}

impl Firefox {
    /// Starts it, with an empty window.
    pub fn start(namespace: &Namespace) -> Self {
        let profile = tempfile::tempdir().unwrap();
        fs::write(profile.path().join("user.js"), "user_pref('intl.accept_languages', 'en-US');\n")
            .unwrap();
        let mut command = namespace.command("unshare");
        // Its processes end with their namespace.
        command
            .args(["--pid", "--fork", "--kill-child", "--mount-proc", "firefox-esr"])
            // The console is that of the whole browser.
            .args(["--marionette", "--remote-allow-system-access", "--headless", "--profile"])
            .arg(profile.path())
            .env("TMPDIR", profile.path())
            .env("HOME", profile.path());
        let program = Program::start(&mut command, profile.path().join("firefox.log"));
        let stream = wait_for("Firefox to start", || {
            namespace.run(|| TcpStream::connect(("127.0.0.1", PORT))).ok()
        });
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let stream = RefCell::new(BufReader::new(stream));
        let browser = Self { stream, last: Cell::new(0), _program: program, _profile: profile };
        // It introduces itself.
        browser.receive();
        browser.command("WebDriver:NewSession", &json!({}));
        let size = json!({ "width": 1280, "height": 900 });
        browser.command("WebDriver:SetWindowRect", &size);
        browser
    }

    /// The next message: its length in bytes, a colon, and JSON.
    fn receive(&self) -> Value {
        let mut stream = self.stream.borrow_mut();
        let mut length = Vec::new();
        stream.read_until(b':', &mut length).unwrap();
        let length = std::str::from_utf8(&length).unwrap().trim_end_matches(':');
        let mut message = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut message).unwrap();
        serde_json::from_slice(&message).unwrap()
    }

    /// The result of a command.
    fn command(&self, name: &str, parameters: &Value) -> Value {
        self.last.set(self.last.get() + 1);
        let message = json!([0, self.last.get(), name, parameters]).to_string();
        let message = format!("{}:{message}", message.len());
        self.stream.borrow_mut().get_mut().write_all(message.as_bytes()).unwrap();
        let response = self.receive();
        assert_eq!((&response[1], &response[2]), (&json!(self.last.get()), &Value::Null), "{name}");
        response[3].get("value").unwrap_or(&Value::Null).clone()
    }

    /// The errors of the page's scripts and of the policy that the console has.
    pub fn problems(&self) -> Vec<String> {
        self.command("Marionette:SetContext", &json!({ "value": "chrome" }));
        let messages = self.eval(
            "Services.console.getMessageArray().filter((it) => it instanceof Ci.nsIScriptError)\
             .map((it) => `${it.sourceName}: ${it.errorMessage}`)",
        );
        self.command("Marionette:SetContext", &json!({ "value": "content" }));
        let messages =
            messages.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned());
        messages.filter(|message| message.starts_with(ADDRESS)).collect()
    }
}

impl OtherBrowser for Firefox {
    fn open(&self, address: &str) {
        self.command("WebDriver:Navigate", &json!({ "url": address }));
    }

    fn eval(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.command("WebDriver:ExecuteScript", &json!({ "script": script, "args": [] }))
    }

    fn drag(&self, (x, y): (f64, f64), by: f64) {
        let to = |by| json!({ "type": "pointerMove", "x": x + by, "y": y + by, "duration": 0 });
        let button = |kind| json!({ "type": kind, "button": 0 });
        let down = button("pointerDown");
        let steps = json!([to(0.0), down, to(by / 2.0), to(by), button("pointerUp")]);
        let source = json!({ "type": "pointer", "id": "mouse", "actions": steps });
        self.command("WebDriver:PerformActions", &json!({ "actions": [source] }));
    }

    fn press(&self, key: char) {
        let keys = ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key }));
        let source = json!({ "type": "key", "id": "keyboard", "actions": keys });
        self.command("WebDriver:PerformActions", &json!({ "actions": [source] }));
    }
}
