//! Downloads a file of a publisher into a temporary file, within the limits of size and time.

use std::{
    ffi::OsStr,
    fs::{self, File},
    future::Future,
    io::{self, Read as _, Seek as _, Write as _},
    path::Path,
};

use http_body_util::BodyExt as _;
use hyper::{
    Response, StatusCode,
    body::{Body as _, Incoming},
    header::{ETAG, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED},
};
use ring::digest::{Context, SHA256};
use tokio::{runtime::Runtime, time::timeout};
use url::Url;

use super::{
    client::{Client, Headers},
    config::UpdateConfig,
    error::{RequestError, UpdateError, UpdateSetupError},
    hex,
    source_file::Validators,
};
use crate::system::replace_file::create_temporary;

/// Maximum size of a file with a checksum, bytes.
const MAX_CHECKSUM: u64 = 1024;

/// Downloads files of one publisher.
pub(super) struct Downloader {
    client: Client,
    /// `None` after the end.
    runtime: Option<Runtime>,
    authorization: Option<HeaderValue>,
    limits: Limits,
}

#[derive(Clone, Copy)]
struct Limits {
    timeout: std::time::Duration,
    max_size: u64,
}

/// A response to a request for a file.
pub(super) enum Answer {
    /// The file is the one with the given validators.
    NotModified,
    /// The server does not have the file.
    NotFound,
    /// The file.
    File(Download),
}

/// A complete file.
pub(super) struct Download {
    /// The content, from its start.
    pub(super) file: File,
    /// SHA-256 of the content, hexadecimal.
    pub(super) sha256: String,
    /// What the next request can ask for.
    pub(super) validators: Validators,
}

impl Downloader {
    /// Prepares downloads with the section `[geoip.update]`.
    ///
    /// # Errors
    /// There are no certificate authorities.
    pub(super) fn new(
        config: &UpdateConfig,
        authorization: Option<HeaderValue>,
    ) -> Result<Self, UpdateSetupError> {
        let ca_file = Some(config.ca_file.as_path()).filter(|file| !file.as_os_str().is_empty());
        Ok(Self {
            client: Client::new(ca_file)?,
            runtime: Some(
                tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?,
            ),
            authorization,
            limits: Limits { timeout: config.timeout, max_size: config.max_size },
        })
    }

    /// Downloads a file unless it is the one with these validators. The temporary file is in `directory`, has no name,
    /// and is created first, so that nothing is downloaded that cannot be written.
    pub(super) fn file(
        &self,
        url: &Url,
        validators: Option<&Validators>,
        directory: &Path,
    ) -> Result<Answer, UpdateError> {
        let written = |cause| UpdateError::Write { path: directory.to_owned(), cause };
        let mut file = temporary(directory).map_err(written)?;
        self.within_time(url, async {
            let headers = validators.map(conditions).unwrap_or_default();
            let response = self.get(url, &headers).await?;
            match response.status() {
                StatusCode::NOT_FOUND => return Ok(Answer::NotFound),
                StatusCode::NOT_MODIFIED if validators.is_some() => return Ok(Answer::NotModified),
                StatusCode::OK => {}
                status => return Err(unexpected(url, status)),
            }
            let validators = validators_of(&response);
            let sha256 = self.save(url, response, &mut file, self.limits.max_size).await?;
            file.rewind().map_err(written)?;
            Ok(Answer::File(Download { file, sha256, validators }))
        })
    }

    /// Downloads a checksum as `sha256sum` writes it: its hexadecimal digits, and the name of the file.
    pub(super) fn checksum(&self, url: &Url, directory: &Path) -> Result<String, UpdateError> {
        let written = |cause| UpdateError::Write { path: directory.to_owned(), cause };
        let mut file = temporary(directory).map_err(written)?;
        self.within_time(url, async {
            let response = self.get(url, &Headers::new()).await?;
            if response.status() != StatusCode::OK {
                return Err(unexpected(url, response.status()));
            }
            self.save(url, response, &mut file, MAX_CHECKSUM).await.map(drop)
        })?;
        let mut text = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut text)).map_err(written)?;
        let text = String::from_utf8_lossy(&text);
        let digits = text.split_whitespace().next().unwrap_or_default();
        if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(UpdateError::InvalidChecksum { url: url.to_string() });
        }
        Ok(digits.to_ascii_lowercase())
    }

    fn within_time<T>(
        &self,
        url: &Url,
        download: impl Future<Output = Result<T, UpdateError>>,
    ) -> Result<T, UpdateError> {
        let limit = self.limits.timeout;
        let late = || UpdateError::Timeout { url: url.to_string(), timeout: limit };
        match &self.runtime {
            Some(runtime) => runtime
                .block_on(async { timeout(limit, download).await })
                .unwrap_or_else(|_| Err(late())),
            None => Err(late()),
        }
    }

    async fn get(&self, url: &Url, headers: &Headers) -> Result<Response<Incoming>, UpdateError> {
        let response = self.client.get(url, self.authorization.as_ref(), headers).await;
        response.map_err(|cause| UpdateError::Request { url: url.to_string(), cause })
    }

    /// Writes the body of a response; returns its SHA-256, hexadecimal.
    async fn save(
        &self,
        url: &Url,
        response: Response<Incoming>,
        file: &mut File,
        max: u64,
    ) -> Result<String, UpdateError> {
        let too_large = || UpdateError::TooLarge { url: url.to_string(), max };
        let mut body = response.into_body();
        if body.size_hint().lower() > max {
            return Err(too_large());
        }
        let (mut digest, mut size) = (Context::new(&SHA256), 0);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| UpdateError::Request {
                url: url.to_string(),
                cause: RequestError::Http(error),
            })?;
            let Some(bytes) = frame.data_ref() else { continue };
            size += bytes.len() as u64;
            if size > max {
                return Err(too_large());
            }
            digest.update(bytes);
            file.write_all(bytes)
                .map_err(|cause| UpdateError::Write { path: "the temporary file".into(), cause })?;
        }
        Ok(hex(digest.finish().as_ref()))
    }
}

impl Drop for Downloader {
    fn drop(&mut self) {
        // A name that is still being resolved cannot be stopped.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The headers of a request for a file that differs from the one with these validators (RFC 9110, 13.1).
fn conditions(validators: &Validators) -> Headers {
    let header = |name: HeaderName, value: &Option<String>| {
        Some((name, HeaderValue::from_str(value.as_deref()?).ok()?))
    };
    let etag = header(IF_NONE_MATCH, &validators.etag);
    etag.into_iter().chain(header(IF_MODIFIED_SINCE, &validators.last_modified)).collect()
}

fn validators_of(response: &Response<Incoming>) -> Validators {
    let text = |name: HeaderName| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    Validators { etag: text(ETAG), last_modified: text(LAST_MODIFIED) }
}

/// The error for a status that no file has.
pub(super) fn unexpected(url: &Url, status: StatusCode) -> UpdateError {
    let advice = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "check geoip.update.account_id and the license key, and that the account may download this database"
        }
        StatusCode::TOO_MANY_REQUESTS => {
            "the limit of downloads of a day is reached: try again tomorrow"
        }
        StatusCode::NOT_FOUND => "check geoip.update.server",
        status if status.is_server_error() => "try again later",
        _ => "check geoip.update.server and the proxy",
    };
    UpdateError::Status { url: url.to_string(), status: status.to_string(), advice }
}

/// A file without a name, which vanishes when it is closed.
fn temporary(directory: &Path) -> io::Result<File> {
    let (path, file) = create_temporary(directory, OsStr::new(".geoip-download"), 0o600)?;
    fs::remove_file(&path)?;
    Ok(file)
}
