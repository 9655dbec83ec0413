//! ClickHouse's HTTP interface: one connection that is kept alive, and its requests, one after the other.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderValue, USER_AGENT},
};
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::TlsConnector;
use url::form_urlencoded;

use super::{
    super::{StoreError, tls::client_config},
    error::{network, refused},
};
use crate::{
    mirror::target::{Endpoint, Target},
    system::http_client::{RequestSender, Stream, start_http},
};

/// Maximum bytes of an answer that is read whole.
const MAX_ANSWER: usize = 16 << 20;

/// Maximum bytes of an error that are read.
const MAX_ERROR: usize = 16 << 10;

/// A client of one server.
pub(super) struct Client {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    authorization: HeaderValue,
    database: String,
    /// The target, for messages.
    target: String,
    connection: Option<Connection>,
}

/// An open connection.
struct Connection {
    sender: RequestSender,
    _driver: Driver,
}

/// The task that moves bytes between the client and the server. It is aborted with the connection.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A statement with its settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement<'a> {
    /// What it is for, as in "cannot write rows".
    pub(super) doing: &'a str,
    /// Its text.
    pub(super) text: &'a str,
    /// Settings, and parameters of the text: `param_NAME` for `{NAME:Type}`.
    pub(super) settings: &'a [(&'a str, &'a str)],
}

impl Client {
    /// A client that is not connected yet.
    pub(super) fn new(target: &Target) -> Result<Self, StoreError> {
        let Endpoint::Tcp { host, port } = &target.endpoint else {
            return Err(StoreError::Denied(format!("ClickHouse needs a host, not {target}")));
        };
        let user = if target.user.is_empty() { "default" } else { &target.user };
        let login = BASE64_STANDARD.encode(format!("{user}:{}", target.password));
        let mut authorization = HeaderValue::try_from(format!("Basic {login}"))
            .map_err(|error| StoreError::Denied(format!("invalid password: {error}")))?;
        authorization.set_sensitive(true);
        let tls = client_config(&target.tls)?;
        Ok(Self {
            host: host.clone(),
            port: *port,
            tls: tls.map(|config| TlsConnector::from(Arc::new(config))),
            authorization,
            database: target.database.clone(),
            target: target.to_string(),
            connection: None,
        })
    }

    /// The name of the database.
    pub(super) fn database(&self) -> &str {
        &self.database
    }

    /// Runs a statement; returns its whole result.
    pub(super) async fn run(&mut self, statement: Statement<'_>) -> Result<Bytes, StoreError> {
        let body = Bytes::copy_from_slice(statement.text.as_bytes());
        let answer = self.send(&statement, None, body).await?;
        self.whole(statement.doing, answer).await
    }

    /// Runs an INSERT with data in the format that it names.
    pub(super) async fn insert(
        &mut self,
        statement: Statement<'_>,
        data: Vec<u8>,
    ) -> Result<(), StoreError> {
        let answer = self.send(&statement, Some(statement.text), data.into()).await?;
        self.whole(statement.doing, answer).await.map(drop)
    }

    /// Runs a statement, and passes its result to `take` as it arrives.
    pub(super) async fn stream(
        &mut self,
        statement: Statement<'_>,
        mut take: impl FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let body = Bytes::copy_from_slice(statement.text.as_bytes());
        let mut answer = self.send(&statement, None, body).await?;
        while let Some(frame) = answer.frame().await {
            let frame = frame.map_err(|error| network(statement.doing, &error))?;
            if let Some(bytes) = frame.data_ref() {
                take(bytes)?;
            }
        }
        Ok(())
    }

    async fn whole(&mut self, doing: &str, answer: Incoming) -> Result<Bytes, StoreError> {
        match Limited::new(answer, MAX_ANSWER).collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) => Err(network(doing, error.as_ref())),
        }
    }

    /// Sends a request; returns the body of a successful answer.
    async fn send(
        &mut self,
        statement: &Statement<'_>,
        query: Option<&str>,
        body: Bytes,
    ) -> Result<Incoming, StoreError> {
        let doing = statement.doing;
        let mut path = String::from("/?");
        {
            let mut parameters = form_urlencoded::Serializer::for_suffix(&mut path, 2);
            parameters.append_pair("database", &self.database);
            // An error that comes late is not mixed into the result, and the answer means that everything is done.
            parameters.append_pair("wait_end_of_query", "1");
            parameters.extend_pairs(statement.settings);
            parameters.extend_pairs(query.map(|query| ("query", query)));
        }
        let request = Request::post(path)
            .header(HOST, self.authority())
            .header(USER_AGENT, concat!("nflog_exporter/", env!("CARGO_PKG_VERSION")))
            .header(AUTHORIZATION, self.authorization.clone())
            // The library writes none for an empty body, and the server rejects a POST without a length.
            .header(CONTENT_LENGTH, body.len())
            .body(Full::new(body))
            .map_err(|error| StoreError::Denied(format!("ClickHouse: cannot {doing}: {error}")))?;
        let answer = self
            .sender()
            .await?
            .send_request(request)
            .await
            .map_err(|error| network(doing, &error))?;
        let code = code(answer.headers());
        if answer.status().is_success() && code.is_none() {
            return Ok(answer.into_body());
        }
        Err(failed(doing, code, answer).await)
    }

    /// A connection that can take a request; a new one when the server closed the last, as it does after some
    /// requests or seconds.
    async fn sender(&mut self) -> Result<&mut RequestSender, StoreError> {
        let mut usable = None;
        if let Some(mut connection) = self.connection.take()
            && connection.sender.ready().await.is_ok()
        {
            usable = Some(connection);
        }
        let connection = match usable {
            Some(connection) => connection,
            None => self.open().await?,
        };
        Ok(&mut self.connection.insert(connection).sender)
    }

    async fn open(&self) -> Result<Connection, StoreError> {
        let doing = format!("connect to {}", self.target);
        let tcp = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|error| network(&doing, &error))?;
        // Requests are whole when they are sent.
        tcp.set_nodelay(true).map_err(|error| network(&doing, &error))?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone()).map_err(|error| {
                    StoreError::Denied(format!(
                        "ClickHouse: cannot {doing}: {}: {error}",
                        self.host
                    ))
                })?;
                Box::new(tls.connect(name, tcp).await.map_err(|error| network(&doing, &error))?)
            }
        };
        let (sender, task) = start_http(stream).await.map_err(|error| network(&doing, &error))?;
        Ok(Connection { sender, _driver: Driver(task) })
    }

    fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// ClickHouse's number of an error.
fn code(headers: &HeaderMap) -> Option<u32> {
    headers.get("X-ClickHouse-Exception-Code")?.to_str().ok()?.parse().ok()
}

async fn failed(doing: &str, code: Option<u32>, answer: Response<Incoming>) -> StoreError {
    let status = answer.status();
    let text = match Limited::new(answer.into_body(), MAX_ERROR).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    refused(doing, status, code, &String::from_utf8_lossy(&text))
}
