//! Basic authentication (RFC 7617) against bcrypt hashes. A valid password is hashed only once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hyper::{HeaderMap, header::AUTHORIZATION};
use ring::{
    hmac::{self, HMAC_SHA256},
    rand::{SecureRandom as _, SystemRandom},
};

use super::{InvalidWebConfig, password_queue::PasswordQueue};
use crate::http::Rejection;

/// Minimum cost of a hash.
const MIN_COST: u32 = 4;

/// Maximum cost of a hash. Each step doubles the time of a check, which is seconds above this one.
const MAX_COST: u32 = 16;

/// The users and their hashes.
///
/// The valid password of each user is cached as an HMAC with a random key of this process, which does not
/// reveal the password. Invalid passwords are not cached, so the cache cannot grow. It stays valid in
/// the next configuration for users with the same hash.
#[derive(Debug)]
pub(super) struct Users {
    known: HashMap<String, Arc<User>>,
    /// Checked for unknown names, so that the response takes as long as for the highest cost.
    unknown: Arc<User>,
    key: hmac::Key,
    queue: PasswordQueue,
}

#[derive(Debug)]
struct User {
    hash: String,
    valid: OnceLock<hmac::Tag>,
}

impl Users {
    /// The users of a configuration that replaces one with the users `previous`.
    pub(super) fn new(
        hashes: &BTreeMap<String, String>,
        queue: PasswordQueue,
        previous: Option<&Self>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, InvalidWebConfig> {
        let mut known = HashMap::new();
        let mut costs = BTreeSet::new();
        for (name, hash) in hashes {
            costs.insert(cost(name, hash)?);
            if name.contains(':') {
                return Err(InvalidWebConfig::setting(format!(
                    "basic_auth_users: invalid name {name:?}: a name has no colon (RFC 7617)"
                )));
            }
            let same = previous.and_then(|previous| previous.known.get(name));
            let user = same.filter(|user| user.hash == *hash).cloned();
            known.insert(name.clone(), user.unwrap_or_else(|| Arc::new(User::new(hash.clone()))));
        }
        if costs.len() > 1 {
            warnings.push(format!(
                "basic_auth_users: the hashes have different costs ({costs:?}), so the response time \
                 reveals valid names; use one cost for all"
            ));
        }
        let key = match previous {
            Some(previous) => previous.key.clone(),
            None => key()?,
        };
        // A hash of the highest cost that no password has: its digest is all zeros.
        let highest = costs.last().copied().unwrap_or(MIN_COST);
        let unknown = format!("$2y${highest:02}${}", ".".repeat(53));
        Ok(Self { known, unknown: Arc::new(User::new(unknown)), key, queue })
    }

    /// Checks the credentials of a request from this address. A password that is not cached is checked on a
    /// blocking thread.
    pub(super) async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Result<(), Rejection> {
        let (name, password) = credentials(headers).ok_or(Rejection::Password)?;
        let user = self.known.get(&name);
        let is_known = user.is_some();
        let user = user.unwrap_or(&self.unknown).clone();
        if let Some(tag) = user.valid.get()
            && hmac::verify(&self.key, &password, tag.as_ref()).is_ok()
        {
            return Ok(());
        }
        let permit = self.queue.permit(peer).await.ok_or(Rejection::Busy)?;
        let key = self.key.clone();
        let check = tokio::task::spawn_blocking(move || {
            // Held by the work itself, which continues if the client disconnects.
            let _permit = permit;
            // An unknown user is checked as well, so that the time reveals nothing.
            let is_valid = bcrypt::verify(&password, &user.hash).unwrap_or(false) && is_known;
            if is_valid {
                user.valid.get_or_init(|| hmac::sign(&key, &password));
            }
            is_valid
        });
        if check.await.unwrap_or(false) { Ok(()) } else { Err(Rejection::Password) }
    }
}

/// A random key.
fn key() -> Result<hmac::Key, InvalidWebConfig> {
    let mut secret = [0; 32];
    let filled = SystemRandom::new().fill(&mut secret);
    filled.map_err(|_| InvalidWebConfig::setting("the system provides no random numbers"))?;
    Ok(hmac::Key::new(HMAC_SHA256, &secret))
}

impl User {
    fn new(hash: String) -> Self {
        Self { hash, valid: OnceLock::new() }
    }
}

/// The cost of a user's hash.
fn cost(name: &str, hash: &str) -> Result<u32, InvalidWebConfig> {
    // The parser's error could quote a password.
    let parts = hash.parse::<bcrypt::HashParts>().map_err(|_| {
        InvalidWebConfig::setting(format!(
            "basic_auth_users.{name}: expected a bcrypt hash; make one with `htpasswd -nBC 10 {name}`"
        ))
    })?;
    match parts.get_cost() {
        cost if cost < MIN_COST => Err(InvalidWebConfig::setting(format!(
            "basic_auth_users.{name}: the hash has cost {cost}, which is invalid; \
             use at least {MIN_COST}, for example 10"
        ))),
        cost if cost > MAX_COST => Err(InvalidWebConfig::setting(format!(
            "basic_auth_users.{name}: the hash has cost {cost}, so one check takes many seconds; \
             use at most {MAX_COST}, for example 10"
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
    use std::time::Duration;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Users that replace others.
    fn replacing(
        hashes: &[(&str, &str)],
        previous: Option<&Users>,
    ) -> Result<Users, InvalidWebConfig> {
        let hashes = hashes.iter().map(|(name, hash)| ((*name).into(), (*hash).into())).collect();
        let queue = PasswordQueue::new(Duration::ZERO);
        Users::new(&hashes, queue, previous, &mut Vec::new())
    }

    /// One user with the password `secret`, at the minimum cost.
    fn users() -> Users {
        replacing(&[("alice", &bcrypt::hash("secret", 4).unwrap())], None).unwrap()
    }

    fn with(name: &str, password: &str) -> HeaderMap {
        let text = BASE64_STANDARD.encode(format!("{name}:{password}"));
        [(AUTHORIZATION, format!("Basic {text}").parse().unwrap())].into_iter().collect()
    }

    #[tokio::test]
    async fn only_the_valid_password_of_a_known_user_passes() {
        let users = users();
        for (name, password, outcome) in [
            ("alice", "secret", Ok(())),
            ("alice", "secret", Ok(())),
            ("alice", "Secret", Err(Rejection::Password)),
            ("alice", "", Err(Rejection::Password)),
            ("bob", "secret", Err(Rejection::Password)),
            ("", "", Err(Rejection::Password)),
        ] {
            assert_eq!(
                users.authenticate(&with(name, password), PEER).await,
                outcome,
                "{name} {password}"
            );
        }
        assert_eq!(users.authenticate(&HeaderMap::new(), PEER).await, Err(Rejection::Password));
        for odd in ["Basic", "Basic !", "Bearer x", "Basic YWxpY2U="] {
            let headers = [(AUTHORIZATION, odd.parse().unwrap())].into_iter().collect();
            assert_eq!(users.authenticate(&headers, PEER).await, Err(Rejection::Password), "{odd}");
        }
    }

    #[tokio::test]
    async fn a_cached_password_needs_no_check_also_after_a_reload() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let other = bcrypt::hash("secret", 4).unwrap();
        let users = replacing(&[("alice", &hash), ("bob", &hash)], None).unwrap();
        let alice = with("alice", "secret");
        // The check of another client blocks the queue.
        let permit = users.queue.permit("192.0.2.1".parse().unwrap()).await;
        assert_eq!(users.authenticate(&alice, PEER).await, Err(Rejection::Busy));
        drop(permit);
        assert_eq!(users.authenticate(&alice, PEER).await, Ok(()));
        assert_eq!(users.authenticate(&with("bob", "secret"), PEER).await, Ok(()));

        let next = replacing(&[("alice", &hash), ("bob", &other)], Some(&users)).unwrap();
        let _permit = next.queue.permit("192.0.2.1".parse().unwrap()).await;
        assert_eq!(next.authenticate(&alice, PEER).await, Ok(()));
        assert_eq!(next.authenticate(&with("alice", "guess"), PEER).await, Err(Rejection::Busy));
        // Another hash may be of another password.
        assert_eq!(next.authenticate(&with("bob", "secret"), PEER).await, Err(Rejection::Busy));
    }

    #[test]
    fn the_hash_for_unknown_users_has_the_highest_cost() {
        let users = users();
        assert_eq!(cost("unknown", &users.unknown.hash).unwrap(), 4);
        assert!(!bcrypt::verify("secret", &users.unknown.hash).unwrap());
        let [low, high] = [4, 5].map(|cost| bcrypt::hash("secret", cost).unwrap());
        for (hash, warned) in [(&low, false), (&high, true)] {
            let hashes = [("a".to_owned(), low.clone()), ("b".to_owned(), hash.clone())].into();
            let mut warnings = Vec::new();
            let users = Users::new(&hashes, PasswordQueue::default(), None, &mut warnings).unwrap();
            assert_eq!(cost("unknown", &users.unknown.hash).unwrap(), 4 + u32::from(warned));
            assert_eq!(warnings.iter().any(|warning| warning.contains("costs")), warned);
        }
    }

    #[test]
    fn invalid_hashes_and_names_are_rejected() {
        for (name, hash) in [
            ("a", "secret"),
            ("a", ""),
            ("a", "$2y$31$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"),
            ("a", "$2y$03$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"),
            ("a:b", "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"),
        ] {
            assert!(replacing(&[(name, hash)], None).is_err(), "{name} {hash}");
        }
    }
}
