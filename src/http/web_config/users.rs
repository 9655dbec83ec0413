//! Basic authentication (RFC 7617) against bcrypt hashes, each right password checked the slow way
//! once.

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

use super::{Problem, checks::Checks};

/// Lowest cost of a hash.
const MIN_COST: u32 = 4;

/// Highest cost of a hash: a check doubles with each step, and takes seconds from here on.
const MAX_COST: u32 = 16;

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
/// nothing to fill, and nothing that tells the password. Wrong ones are not remembered. Who keeps name
/// and hash in the next configuration stays remembered.
#[derive(Debug)]
pub(super) struct Users {
    known: HashMap<String, Arc<User>>,
    /// Stands in for a user that there is not, so that the answer takes as long as the dearest hash.
    nobody: Arc<User>,
    key: hmac::Key,
    checks: Checks,
}

#[derive(Debug)]
struct User {
    hash: String,
    right: OnceLock<hmac::Tag>,
}

impl Users {
    /// The users of a configuration, that follows one with the users `before`.
    pub(super) fn new(
        hashes: &BTreeMap<String, String>,
        checks: Checks,
        before: Option<&Self>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, Problem> {
        let mut known = HashMap::new();
        let mut costs = BTreeSet::new();
        for (name, hash) in hashes {
            costs.insert(cost(name, hash)?);
            if name.contains(':') {
                return Err(Problem::said(format!(
                    "basic_auth_users has {name:?}: a name cannot have a colon (RFC 7617)"
                )));
            }
            let same = before.and_then(|before| before.known.get(name));
            let user = same.filter(|user| user.hash == *hash).cloned();
            known.insert(name.clone(), user.unwrap_or_else(|| Arc::new(User::new(hash.clone()))));
        }
        if costs.len() > 1 {
            warnings.push(format!(
                "basic_auth_users: the hashes have different costs ({costs:?}), so that the time of \
                 an answer tells which names there are; give all the same"
            ));
        }
        let key = match before {
            Some(before) => before.key.clone(),
            None => key()?,
        };
        // A hash of the dearest cost that no password has: its digest is all zeros.
        let dearest = costs.last().copied().unwrap_or(MIN_COST);
        let nobody = format!("$2y${dearest:02}${}", ".".repeat(53));
        Ok(Self { known, nobody: Arc::new(User::new(nobody)), key, checks })
    }

    /// Looks at the credentials of a request from this address; a new password is checked off the
    /// async threads.
    pub(super) async fn look(&self, headers: &HeaderMap, peer: IpAddr) -> Verdict {
        let Some((name, password)) = credentials(headers) else { return Verdict::Stranger };
        let user = self.known.get(&name);
        let is_known = user.is_some();
        let user = user.unwrap_or(&self.nobody).clone();
        if let Some(tag) = user.right.get()
            && hmac::verify(&self.key, &password, tag.as_ref()).is_ok()
        {
            return Verdict::Welcome;
        }
        let Some(turn) = self.checks.turn(peer).await else { return Verdict::Busy };
        let key = self.key.clone();
        let check = tokio::task::spawn_blocking(move || {
            // Held by the work itself: the client may be gone before it is done.
            let _turn = turn;
            let right = bcrypt::verify(&password, &user.hash).unwrap_or(false);
            if right && is_known {
                user.right.get_or_init(|| hmac::sign(&key, &password));
            }
            right && is_known
        });
        if check.await.unwrap_or(false) { Verdict::Welcome } else { Verdict::Stranger }
    }
}

/// A key that nobody else has.
fn key() -> Result<hmac::Key, Problem> {
    let mut secret = [0; 32];
    let filled = SystemRandom::new().fill(&mut secret);
    filled.map_err(|_| Problem::said("the system has no random numbers"))?;
    Ok(hmac::Key::new(HMAC_SHA256, &secret))
}

impl User {
    fn new(hash: String) -> Self {
        Self { hash, right: OnceLock::new() }
    }
}

/// The cost of a user's hash.
fn cost(name: &str, hash: &str) -> Result<u32, Problem> {
    // The error would quote what may be the password itself.
    let parts = hash.parse::<bcrypt::HashParts>().map_err(|_| {
        Problem::said(format!(
            "basic_auth_users.{name} is no bcrypt hash; make one with `htpasswd -nBC 10 {name}`"
        ))
    })?;
    match parts.get_cost() {
        cost if cost < MIN_COST => Err(Problem::said(format!(
            "basic_auth_users.{name} has cost {cost}, which no password ever passes; \
             use {MIN_COST} at least, 10 is good"
        ))),
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
    use std::time::Duration;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// These users, after others.
    fn after(hashes: &[(&str, &str)], before: Option<&Users>) -> Result<Users, Problem> {
        let hashes = hashes.iter().map(|(name, hash)| ((*name).into(), (*hash).into())).collect();
        let checks = Checks::new(Duration::ZERO);
        Users::new(&hashes, checks, before, &mut Vec::new())
    }

    /// Of `secret`, at the least cost.
    fn users() -> Users {
        after(&[("alice", &bcrypt::hash("secret", 4).unwrap())], None).unwrap()
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
            assert_eq!(users.look(&with(name, password), PEER).await, verdict, "{name} {password}");
        }
        assert_eq!(users.look(&HeaderMap::new(), PEER).await, Verdict::Stranger);
        for odd in ["Basic", "Basic !", "Bearer x", "Basic YWxpY2U="] {
            let headers = [(AUTHORIZATION, odd.parse().unwrap())].into_iter().collect();
            assert_eq!(users.look(&headers, PEER).await, Verdict::Stranger, "{odd}");
        }
    }

    #[tokio::test]
    async fn a_known_password_needs_no_check_also_in_the_next_configuration() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let other = bcrypt::hash("secret", 4).unwrap();
        let users = after(&[("alice", &hash), ("bob", &hash)], None).unwrap();
        let alice = with("alice", "secret");
        // Somebody else's check goes on and on.
        let turn = users.checks.turn("192.0.2.1".parse().unwrap()).await;
        assert_eq!(users.look(&alice, PEER).await, Verdict::Busy);
        drop(turn);
        assert_eq!(users.look(&alice, PEER).await, Verdict::Welcome);
        assert_eq!(users.look(&with("bob", "secret"), PEER).await, Verdict::Welcome);

        let next = after(&[("alice", &hash), ("bob", &other)], Some(&users)).unwrap();
        let _turn = next.checks.turn("192.0.2.1".parse().unwrap()).await;
        assert_eq!(next.look(&alice, PEER).await, Verdict::Welcome);
        assert_eq!(next.look(&with("alice", "guess"), PEER).await, Verdict::Busy);
        // Another hash is another password, for all that is known.
        assert_eq!(next.look(&with("bob", "secret"), PEER).await, Verdict::Busy);
    }

    #[test]
    fn the_hash_of_nobody_is_a_hash_of_the_dearest_cost() {
        let users = users();
        assert_eq!(cost("nobody", &users.nobody.hash).unwrap(), 4);
        assert!(!bcrypt::verify("secret", &users.nobody.hash).unwrap());
        let [cheap, dear] = [4, 5].map(|cost| bcrypt::hash("secret", cost).unwrap());
        for (hash, warned) in [(&cheap, false), (&dear, true)] {
            let hashes = [("a".to_owned(), cheap.clone()), ("b".to_owned(), hash.clone())].into();
            let mut warnings = Vec::new();
            let users = Users::new(&hashes, Checks::default(), None, &mut warnings).unwrap();
            assert_eq!(cost("nobody", &users.nobody.hash).unwrap(), 4 + u32::from(warned));
            assert_eq!(warnings.iter().any(|warning| warning.contains("costs")), warned);
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for (name, hash) in [
            ("a", "secret"),
            ("a", ""),
            ("a", "$2y$31$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"),
            ("a", "$2y$03$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"),
            ("a:b", "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"),
        ] {
            assert!(after(&[(name, hash)], None).is_err(), "{name} {hash}");
        }
    }
}
