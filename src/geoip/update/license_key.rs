//! The license key of MaxMind, and the header that it becomes.

use std::{env, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hyper::header::HeaderValue;

use super::{
    config::{LICENSE_KEY_VARIABLE, Publisher, UpdateConfig},
    error::UpdateSetupError,
};
use crate::system::files::read_small;

/// Maximum size of the file with the key, bytes.
const MAX_FILE: u64 = 4096;

/// The header `Authorization` for the publisher's server (RFC 7617): the account and its key. `None` without an account.
///
/// # Errors
/// There is no valid key.
pub(super) fn authorization(
    config: &UpdateConfig,
) -> Result<Option<HeaderValue>, UpdateSetupError> {
    if config.publisher != Publisher::MaxMind {
        return Ok(None);
    }
    let key = license_key(&config.license_key_file).map_err(UpdateSetupError::LicenseKey)?;
    let login = BASE64_STANDARD.encode(format!("{}:{key}", config.account_id));
    let invalid = |_| UpdateSetupError::LicenseKey("the license key is invalid".into());
    let mut header = HeaderValue::from_str(&format!("Basic {login}")).map_err(invalid)?;
    header.set_sensitive(true);
    Ok(Some(header))
}

/// The key in the environment, or in the file. Errors do not show it.
fn license_key(file: &Path) -> Result<String, String> {
    let (origin, text) = match env::var(LICENSE_KEY_VARIABLE) {
        Ok(text) => (LICENSE_KEY_VARIABLE.to_owned(), text),
        Err(env::VarError::NotUnicode(_)) => {
            return Err(format!("{LICENSE_KEY_VARIABLE} is not a license key"));
        }
        Err(env::VarError::NotPresent) if file.as_os_str().is_empty() => {
            return Err(format!(
                "geoip.update.license_key_file: is missing; write the license key into a file that only the user of \
                 the exporter can read, and set its path, or set the environment variable {LICENSE_KEY_VARIABLE}"
            ));
        }
        Err(env::VarError::NotPresent) => {
            let path = file.display();
            let text = read_small(file, MAX_FILE).map_err(|cause| {
                format!(
                    "geoip.update.license_key_file: names {path}, which cannot be read: {cause}; check the path and \
                     the permissions"
                )
            })?;
            (
                format!("geoip.update.license_key_file: {path}"),
                String::from_utf8_lossy(&text).into_owned(),
            )
        }
    };
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{origin} has no license key; write only the key into it"));
    }
    Ok(key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        let check = |content: &str, expect: Result<&str, &str>| {
            std::fs::write(&file, content).unwrap();
            match (license_key(&file), expect) {
                (Ok(key), Ok(expect)) => assert_eq!(key, expect),
                (Err(error), Err(expect)) => assert!(error.contains(expect), "{error}"),
                (found, expect) => panic!("{found:?}, expected {expect:?}"),
            }
        };
        check("abc_mmk\n", Ok("abc_mmk"));
        check("\n", Err("has no license key"));
        check("two words", Err("has no license key"));
        check(&"x".repeat(5000), Err("cannot be read"));
        assert!(license_key(Path::new("")).unwrap_err().contains(LICENSE_KEY_VARIABLE));
    }

    #[test]
    fn the_header_has_the_account_and_does_not_show_itself() {
        let directory = tempfile::tempdir().unwrap();
        let license_key_file = directory.path().join("key");
        std::fs::write(&license_key_file, "b").unwrap();
        let publisher = Publisher::MaxMind;
        let config =
            UpdateConfig { publisher, account_id: 1, license_key_file, ..UpdateConfig::default() };
        let header = authorization(&config).unwrap().unwrap();
        assert_eq!(header.to_str().unwrap(), "Basic MTpi");
        assert_eq!(format!("{header:?}"), "Sensitive");
        assert!(authorization(&UpdateConfig::default()).unwrap().is_none());
    }
}
