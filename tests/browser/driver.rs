//! A session of a browser's `WebDriver` in a namespace, with a limit for each answer.

use fantoccini::{Client, ClientBuilder};
use serde_json::Value;
use tokio::{runtime::Runtime, time::timeout};

use crate::support::{
    Namespace,
    program::{PATIENCE, wait_for},
};

/// A session.
pub struct Driver<'n> {
    namespace: &'n Namespace,
    /// Its methods return futures for [`Self::wait`].
    pub client: Client,
    runtime: Runtime,
}

impl<'n> Driver<'n> {
    /// Waits until the driver on this port has started a browser with these options.
    pub fn connect(namespace: &'n Namespace, port: u16, options: &Value) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = wait_for("the browser to start", || {
            let Value::Object(options) = options.clone() else { unreachable!() };
            let mut builder =
                ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
            builder.capabilities(options);
            let connect = async {
                timeout(PATIENCE, builder.connect(&format!("http://127.0.0.1:{port}"))).await
            };
            let answer = namespace.run(|| runtime.block_on(connect));
            answer.expect("the driver starts the browser in time").ok()
        });
        Self { namespace, client, runtime }
    }

    /// Runs a future of the client to its end, on a thread in the namespace.
    pub fn wait<T: Send>(&self, work: impl Future<Output = T> + Send) -> T {
        let work = async { timeout(PATIENCE, work).await };
        let answer = self.namespace.run(|| self.runtime.block_on(work));
        answer.expect("the driver answers in time")
    }
}
