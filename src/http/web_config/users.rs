//! Basic authentication (RFC 7617) against bcrypt hashes, each right password checked the slow way
//! once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hyper::{HeaderMap, header::AUTHORIZATION};
use ring::{
    hmac::{self, HMAC_SHA256},
    rand::{SecureRandom as _, SystemRandom},
};
use tokio::sync::Semaphore;

use super::Problem;

/// Highest cost of a hash: a check doubles with each step, and takes seconds from here on.
const MAX_COST: u32 = 16;

/// Most passwords that wait for their check; further ones are told to come again.
const MAX_WAITING: usize = 64;

/// What a request's credentials are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Verdict {
    /// It may pass.
    Welcome,
    /// It has no right ones.
    Stranger,
    /// Too many others wait for an answer.
    Busy,
}

/// The users and their hashes.
///
/// A right password is remembered as its HMAC under a key of this process alone, one for each user:
/// nothing to fill, and nothing that tells the password. Wrong ones are not remembered.
#[derive(Debug)]
pub(super) struct Users {
    known: HashMap<String, Arc<User>>,
    /// Stands in for a user that there is not, so that the answer takes as long.
    nobody: Arc<User>,
    key: hmac::Key,
    checks: Checks,
}

/// The checks under way, whatever the configuration: one at a time, for each takes a processor.
#[derive(Clone, Debug)]
pub(super) struct Checks {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            running: Arc::new(Semaphore::new(1)),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
        }
    }
}

#[derive(Debug)]
struct User {
    hash: String,
    right: OnceLock<hmac::Tag>,
}

impl Users {
    pub(super) fn new(hashes: &BTreeMap<String, String>, checks: Checks) -> Result<Self, Problem> {
        let mut known = HashMap::new();
        let mut dearest = 4;
        for (name, hash) in hashes {
            dearest = dearest.max(cost(name, hash)?);
            if name.contains(':') {
                return Err(Problem::said(format!(
                    "basic_auth_users has {name:?}: a name cannot have a colon (RFC 7617)"
                )));
            }
            known.insert(name.clone(), Arc::new(User::new(hash.clone())));
        }
        let mut secret = [0; 32];
        let filled = SystemRandom::new().fill(&mut secret);
        filled.map_err(|_| Problem::said("the system has no random numbers"))?;
        // A hash of the same cost that no password has: its digest is all zeros.
        let nobody = format!("$2y${dearest:02}${}", ".".repeat(53));
        Ok(Self {
            known,
            nobody: Arc::new(User::new(nobody)),
            key: hmac::Key::new(HMAC_SHA256, &secret),
            checks,
        })
    }

    /// Looks at a request's credentials; a new password is checked off the async threads.
    pub(super) async fn look(&self, headers: &HeaderMap) -> Verdict {
        let Some((name, password)) = credentials(headers) else { return Verdict::Stranger };
        let user = self.known.get(&name);
        let is_known = user.is_some();
        let user = user.unwrap_or(&self.nobody).clone();
        if let Some(tag) = user.right.get()
            && hmac::verify(&self.key, &password, tag.as_ref()).is_ok()
        {
            return Verdict::Welcome;
        }
        let Ok(_place) = self.checks.waiting.clone().try_acquire_owned() else {
            return Verdict::Busy;
        };
        // Nobody closes the semaphore.
        let Ok(running) = self.checks.running.clone().acquire_owned().await else {
            return Verdict::Busy;
        };
        let key = self.key.clone();
        let check = tokio::task::spawn_blocking(move || {
            // Held by the work itself: the client may be gone before it is done.
            let _running = running;
            let right = bcrypt::verify(&password, &user.hash).unwrap_or(false);
            if right && is_known {
                user.right.get_or_init(|| hmac::sign(&key, &password));
            }
            right && is_known
        });
        if check.await.unwrap_or(false) { Verdict::Welcome } else { Verdict::Stranger }
    }
}

impl User {
    fn new(hash: String) -> Self {
        Self { hash, right: OnceLock::new() }
    }
}

/// The cost of a user's hash.
fn cost(name: &str, hash: &str) -> Result<u32, Problem> {
    let parts = hash.parse::<bcrypt::HashParts>().map_err(|error| {
        Problem::said(format!(
            "basic_auth_users.{name} is no bcrypt hash: {error}; make one with `htpasswd -nBC 10 {name}`"
        ))
    })?;
    match parts.get_cost() {
        cost if cost > MAX_COST => Err(Problem::said(format!(
            "basic_auth_users.{name} has cost {cost}, so that one check would take many seconds; \
             use {MAX_COST} at most, 10 is good"
        ))),
        cost => Ok(cost),
    }
}

/// Name and password of a request.
fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let name = String::from_utf8(decoded[..colon].to_vec()).ok()?;
    Some((name, decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `secret`, at the least cost.
    fn users() -> Users {
        let hash = bcrypt::hash("secret", 4).unwrap();
        Users::new(&BTreeMap::from([("alice".into(), hash)]), Checks::default()).unwrap()
    }

    fn with(name: &str, password: &str) -> HeaderMap {
        let text = BASE64_STANDARD.encode(format!("{name}:{password}"));
        [(AUTHORIZATION, format!("Basic {text}").parse().unwrap())].into_iter().collect()
    }

    #[tokio::test]
    async fn only_the_right_password_of_the_right_user_passes() {
        let users = users();
        for (name, password, verdict) in [
            ("alice", "secret", Verdict::Welcome),
            ("alice", "secret", Verdict::Welcome),
            ("alice", "Secret", Verdict::Stranger),
            ("alice", "", Verdict::Stranger),
            ("bob", "secret", Verdict::Stranger),
            ("", "", Verdict::Stranger),
        ] {
            assert_eq!(users.look(&with(name, password)).await, verdict, "{name} {password}");
        }
        assert_eq!(users.look(&HeaderMap::new()).await, Verdict::Stranger);
        for odd in ["Basic", "Basic !", "Bearer x", "Basic YWxpY2U="] {
            let headers = [(AUTHORIZATION, odd.parse().unwrap())].into_iter().collect();
            assert_eq!(users.look(&headers).await, Verdict::Stranger, "{odd}");
        }
    }

    #[tokio::test]
    async fn a_known_password_needs_no_check_and_unknown_ones_wait_for_few() {
        let users = users();
        let busy = || users.checks.waiting.clone().try_acquire_many_owned(64).unwrap();
        let full = busy();
        assert_eq!(users.look(&with("alice", "secret")).await, Verdict::Busy);
        drop(full);
        assert_eq!(users.look(&with("alice", "secret")).await, Verdict::Welcome);
        let _full = busy();
        assert_eq!(users.look(&with("alice", "secret")).await, Verdict::Welcome);
        assert_eq!(users.look(&with("alice", "guess")).await, Verdict::Busy);
    }

    #[test]
    fn the_hash_of_nobody_is_a_hash() {
        let users = users();
        assert_eq!(cost("nobody", &users.nobody.hash).unwrap(), 4);
        assert!(!bcrypt::verify("secret", &users.nobody.hash).unwrap());
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for (name, hash) in [
            ("a", "secret"),
            ("a", ""),
            ("a", "$2y$31$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"),
            ("a:b", "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"),
        ] {
            let hashes = BTreeMap::from([(name.to_owned(), hash.to_owned())]);
            assert!(Users::new(&hashes, Checks::default()).is_err(), "{name} {hash}");
        }
    }
}
