//! Rules as `nft -j list ruleset` prints them: libnftables-json(5).

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Kind, Logging};

/// Statements that decide about a packet for good, as far as the chain goes.
const FINAL: [&str; 5] = ["accept", "drop", "reject", "return", "queue"];

/// Statements that stand beside a verdict without asking anything of the packet.
const BESIDE: [&str; 3] = ["counter", "log", "notrack"];

/// The rules that log, in their order.
///
/// # Errors
/// What nft printed is no JSON.
pub(super) fn rules(json: &str) -> Result<Vec<Logging>, String> {
    let listed: Value =
        serde_json::from_str(json).map_err(|why| format!("nft -j list ruleset: {why}"))?;
    let mut closed: BTreeSet<String> = BTreeSet::new();
    let mut found = Vec::new();
    for rule in listed["nftables"].as_array().into_iter().flatten().map(|item| &item["rule"]) {
        let Some(statements) = rule["expr"].as_array() else { continue };
        let name = |key: &str| rule[key].as_str().unwrap_or_default();
        let place = format!("{} {} {}", name("family"), name("table"), name("chain"));
        if let Some(log) = statements.iter().find_map(|statement| statement.get("log")) {
            let prefix = log["prefix"].as_str().unwrap_or_default().to_owned();
            let kind = match log["group"].as_u64().and_then(|group| u16::try_from(group).ok()) {
                Some(group) => Kind::Group(group, prefix),
                None => Kind::KernelLog,
            };
            found.push(Logging {
                place: place.clone(),
                kind,
                unreachable: closed.contains(&place),
            });
        }
        let names: Vec<&str> = statements
            .iter()
            .filter_map(Value::as_object)
            .flat_map(|statement| statement.keys().map(String::as_str))
            .filter(|name| !BESIDE.contains(name))
            .collect();
        if matches!(names[..], [verdict] if FINAL.contains(&verdict)) {
            closed.insert(place);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_that_log() {
        let rule = |chain: &str, expr: Value| json!({ "rule": { "family": "inet", "table": "t", "chain": chain, "expr": expr } });
        let listed = json!({ "nftables": [
            { "metainfo": {} },
            rule("a", json!([{ "match": {} }, { "accept": null }])),
            rule("a", json!([{ "log": { "prefix": "x", "group": 7 } }])),
            rule("a", json!([{ "counter": {} }, { "log": null }, { "accept": null }])),
            rule("a", json!([{ "match": {} }, { "log": { "group": 0, "prefix": "5" } }])),
            rule("b", json!([{ "log": { "prefix": "kernel" } }])),
        ] });
        let rule =
            |place: &str, kind, unreachable| Logging { place: place.into(), kind, unreachable };
        assert_eq!(
            rules(&listed.to_string()).unwrap(),
            [
                rule("inet t a", Kind::Group(7, "x".into()), false),
                rule("inet t a", Kind::KernelLog, false),
                rule("inet t a", Kind::Group(0, "5".into()), true),
                rule("inet t b", Kind::KernelLog, false),
            ]
        );
        assert!(rules("nonsense").is_err());
        assert!(rules("{}").unwrap().is_empty());
    }
}
