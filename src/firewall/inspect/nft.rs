//! Parses the output of `nft -j list ruleset`: libnftables-json(5).

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::chains::{Base, Chain, Condition, LogTarget, Matches, Rule, Syntax, Table, Verdict};
use crate::firewall::COMMENT;

/// Statements that end the traversal of a hook's chains without dropping the packet.
const ACCEPT: [&str; 9] =
    ["accept", "queue", "dnat", "snat", "masquerade", "redirect", "tproxy", "fwd", "synproxy"];

/// Statements that neither match nor decide.
const NEUTRAL: [&str; 6] = ["counter", "log", "notrack", "mangle", "ct helper", "dup"];

/// Parses the tables. `terse` is the same ruleset in nft's own syntax, because the JSON of nft 1.0 has wrong
/// table flags.
///
/// # Errors
/// `json` is not valid JSON.
pub fn tables(json: &str, terse: &str) -> Result<Vec<Table>, String> {
    let listed: Value =
        serde_json::from_str(json).map_err(|why| format!("nft -j list ruleset: {why}"))?;
    let items = || listed["nftables"].as_array().into_iter().flatten();
    let dormant = dormant(terse);
    let mut maps: HashMap<(String, &str), Vec<Verdict>> = HashMap::new();
    for map in items().filter_map(|item| item.get("map")) {
        maps.insert((place(map, "table"), text(map, "name")), of_elements(&map["elem"]));
    }
    let mut tables: Vec<Table> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    let mut chains: HashMap<(String, &str), usize> = HashMap::new();
    for item in items() {
        if let Some(table) = item.get("table") {
            let place = place(table, "name");
            index.insert(place.clone(), tables.len());
            let dormant = dormant.contains(&place);
            tables.push(Table { place, syntax: Syntax::Nft, dormant, chains: Vec::new() });
        } else if let Some(chain) = item.get("chain") {
            let Some(at) = index.get(&place(chain, "table")) else { continue };
            let name = text(chain, "name");
            chains.insert((place(chain, "table"), name), tables[*at].chains.len());
            let base = chain["hook"]
                .as_str()
                .map(|hook| Base { hook: hook.to_owned(), drops: text(chain, "policy") == "drop" });
            tables[*at].chains.push(Chain { name: name.into(), base, rules: Vec::new() });
        } else if let Some(listed) = item.get("rule") {
            let place = place(listed, "table");
            let table = index.get(&place).copied();
            let chain = chains.get(&(place.clone(), text(listed, "chain"))).copied();
            if let (Some(table), Some(chain)) = (table, chain) {
                let of_map = |name| maps.get(&(place.clone(), name)).cloned().unwrap_or_default();
                tables[table].chains[chain].rules.push(rule(listed, of_map));
            }
        }
    }
    Ok(tables)
}

fn text<'v>(item: &'v Value, key: &str) -> &'v str {
    item[key].as_str().unwrap_or_default()
}

fn place(item: &Value, table: &str) -> String {
    format!("{} {}", text(item, "family"), text(item, table))
}

/// The tables with the flag `dormant`.
fn dormant(terse: &str) -> HashSet<String> {
    let mut dormant = HashSet::new();
    let mut table = "";
    for line in terse.lines() {
        if let Some(place) = line.strip_prefix("table ") {
            table = place.trim_end_matches([' ', '{']);
        }
        // Flags of sets and maps have a deeper indentation.
        let flags = line.strip_prefix("\tflags ").unwrap_or_default();
        if flags.split(',').any(|flag| flag.trim() == "dormant") {
            dormant.insert(table.to_owned());
        }
    }
    dormant
}

/// The target of a `log` statement.
fn log_target(value: &Value) -> LogTarget {
    let group = value["group"].as_u64().and_then(|group| u16::try_from(group).ok());
    let prefix = || text(value, "prefix").to_owned();
    group.map_or(LogTarget::Kernel, |group| LogTarget::Group(group, prefix()))
}

fn rule<'v>(listed: &'v Value, of_map: impl Fn(&'v str) -> Vec<Verdict>) -> Rule {
    let statements = listed["expr"].as_array().into_iter().flatten();
    let statements = statements.filter_map(Value::as_object).flatten();
    let mut verdicts = Vec::new();
    let mut log = None;
    let mut matches = Vec::new();
    let mut is_copyable = true;
    let mut last = "";
    for (name, value) in statements {
        last = name;
        match &**name {
            "log" => log = Some(log_target(value)),
            "match" => {
                is_copyable &= is_copyable_match(value);
                matches.push(json!({ "match": value }));
            }
            "vmap" => {
                is_copyable = false;
                let named = value["data"].as_str().and_then(|name| name.strip_prefix('@'));
                verdicts = named.map_or_else(|| of_elements(&value["data"]["set"]), &of_map);
            }
            "reject" => {
                matches.extend(of_reject(text(listed, "family"), text(value, "type")));
                verdicts.push(Verdict::Drop);
            }
            // A statement of xtables that nft cannot list.
            "xt" => {
                is_copyable = false;
                verdicts.push(Verdict::Unknown);
            }
            name => match verdict(name, value) {
                Some(verdict) => verdicts.push(verdict),
                None => is_copyable &= NEUTRAL.contains(&name),
            },
        }
    }
    // A user's rule may have the same comment, for example one that opens the exporter's port.
    let is_logged_alone = verdicts.is_empty() && matches!(log, Some(LogTarget::Group(..)));
    Rule {
        text: format!("`{last}` (handle {})", listed["handle"]),
        handle: listed["handle"].as_u64(),
        condition: condition(&matches, is_copyable),
        matches: Matches::Nft(matches),
        is_copyable,
        verdicts,
        log,
        is_ours: is_logged_alone && text(listed, "comment") == COMMENT,
    }
}

/// Whether nft accepts a copy of a match, and the copy matches the same packets.
fn is_copyable_match(value: &Value) -> bool {
    let text = value.to_string();
    // Without a seed, the kernel gives each rule another one.
    let has_own_seed = text.contains("\"jhash\"") && !text.contains("\"seed\"");
    // The JSON of `socket cgroupv2` lacks the level, so nft does not accept it.
    !has_own_seed && !text.contains("\"numgen\"") && !text.contains("\"cgroupv2\"")
}

/// The implicit match of a `reject` of this type, which nft omits from the listing.
fn of_reject(family: &str, kind: &str) -> Option<Value> {
    let (key, value) = match (kind, family) {
        ("tcp reset", _) => ("l4proto", "tcp"),
        ("icmp", "inet") => ("nfproto", "ipv4"),
        ("icmpv6", "inet") => ("nfproto", "ipv6"),
        _ => return None,
    };
    Some(json!({ "match": { "op": "==", "left": { "meta": { "key": key } }, "right": value } }))
}

/// Which packets a rule with these matches is for; `is_whole`: the rule has no other conditions.
fn condition(matches: &[Value], is_whole: bool) -> Condition {
    let about_loopback = |it: &Value| {
        let it = &it["match"];
        let is_loopback = match it["left"]["meta"]["key"].as_str() {
            Some("iif" | "iifname") => it["right"] == "lo",
            Some("iiftype") => it["right"] == "loopback",
            _ => false,
        };
        is_loopback.then(|| it["op"] == "==")
    };
    if matches.iter().any(|it| about_loopback(it) == Some(true)) {
        return Condition::Loopback;
    }
    if !is_whole || matches.iter().any(|it| about_loopback(it).is_none()) {
        return Condition::Some;
    }
    if matches.is_empty() { Condition::Always } else { Condition::NotLoopback }
}

/// The verdicts of a map's elements: pairs of key and verdict.
fn of_elements(elements: &Value) -> Vec<Verdict> {
    let values = elements.as_array().into_iter().flatten().filter_map(|pair| pair[1].as_object());
    values.flatten().filter_map(|(name, value)| verdict(name, value)).collect()
}

fn verdict(name: &str, value: &Value) -> Option<Verdict> {
    match name {
        "return" => Some(Verdict::Return),
        "jump" => Some(Verdict::Jump(text(value, "target").to_owned())),
        "goto" => Some(Verdict::Goto(text(value, "target").to_owned())),
        "drop" => Some(Verdict::Drop),
        name => ACCEPT.contains(&name).then_some(Verdict::Accept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_and_their_rules() {
        let rule = |chain: &str, expr: Value| json!({ "rule": { "family": "inet", "table": "t", "chain": chain, "handle": 7, "expr": expr } });
        let listed = json!({ "nftables": [
            { "metainfo": {} },
            { "table": { "family": "inet", "name": "t" } },
            { "map": { "family": "inet", "table": "t", "name": "m", "map": "verdict",
                "elem": [[22, { "jump": { "target": "b" } }], [23, { "accept": null }]] } },
            { "chain": { "family": "inet", "table": "t", "name": "a", "hook": "input", "policy": "drop" } },
            { "chain": { "family": "inet", "table": "t", "name": "b" } },
            rule("a", json!([{ "match": {} }, { "accept": null }])),
            rule("a", json!([{ "log": { "prefix": "x", "group": 7 } }])),
            rule("a", json!([{ "vmap": { "key": {}, "data": "@m" } }])),
            rule("a", json!([{ "vmap": { "key": {}, "data": { "set": [[1, { "return": null }]] } } }])),
            rule("a", json!([{ "counter": {} }, { "log": null }, { "goto": { "target": "b" } }])),
            rule("nowhere", json!([{ "accept": null }])),
        ] });
        let tables = tables(&listed.to_string(), "table inet t {\n\tflags dormant\n").unwrap();
        let [table] = &tables[..] else { panic!("{tables:?}") };
        assert_eq!((&*table.place, table.dormant), ("inet t", true));
        let [a, b] = &table.chains[..] else { panic!("{table:?}") };
        let base = Base { hook: "input".into(), drops: true };
        assert_eq!((&a.base, &b.base, b.rules.len()), (&Some(base), &None, 0));
        let jump = Verdict::Jump("b".into());
        let rules: Vec<_> =
            a.rules.iter().map(|rule| (rule.condition, &rule.verdicts[..], &rule.log)).collect();
        assert_eq!(
            rules,
            [
                (Condition::Some, &[Verdict::Accept][..], &None),
                (Condition::Always, &[], &Some(LogTarget::Group(7, "x".into()))),
                (Condition::Some, &[jump, Verdict::Accept], &None),
                (Condition::Some, &[Verdict::Return], &None),
                (Condition::Always, &[Verdict::Goto("b".into())], &Some(LogTarget::Kernel)),
            ]
        );
        assert_eq!(a.rules[4].text, "`goto` (handle 7)");
    }

    fn parsed(family: &str, expr: &Value) -> Rule {
        let listed = json!({ "family": family, "handle": 1, "expr": expr });
        rule(&listed, |_| Vec::new())
    }

    #[test]
    fn conditions_on_loopback() {
        let on = |key: &str, op: &str, right: Value| json!({ "match": { "op": op, "left": { "meta": { "key": key } }, "right": right } });
        let drop = json!({ "drop": null });
        for (expr, expect) in [
            (vec![on("iifname", "!=", json!("lo"))], Condition::NotLoopback),
            (vec![on("iif", "==", json!("lo"))], Condition::Loopback),
            (vec![on("iiftype", "==", json!("loopback"))], Condition::Loopback),
            (vec![on("iifname", "!=", json!({ "set": ["lo", "tun0"] }))], Condition::Some),
            (vec![on("oif", "!=", json!("lo"))], Condition::Some),
            (vec![on("iif", "!=", json!("lo")), json!({ "limit": {} })], Condition::Some),
            (vec![json!({ "counter": null }), json!({ "log": null })], Condition::Always),
        ] {
            let expr = [expr, vec![drop.clone()]].concat();
            assert_eq!(parsed("inet", &json!(expr)).condition, expect, "{expr:?}");
        }
    }

    #[test]
    fn a_reject_matches_the_protocol_of_its_type() {
        let reject = |kind: &str| json!([{ "reject": { "type": kind } }]);
        for (family, kind, expect) in [
            ("inet", "icmpx", Condition::Always),
            ("inet", "icmp", Condition::Some),
            ("ip", "icmp", Condition::Always),
            ("ip", "tcp reset", Condition::Some),
        ] {
            let rule = parsed(family, &reject(kind));
            assert_eq!((rule.condition, &rule.verdicts[..]), (expect, &[Verdict::Drop][..]));
        }
        assert_eq!(parsed("inet", &json!([{ "reject": null }])).condition, Condition::Always);
    }

    #[test]
    fn only_matches_can_be_copied() {
        assert!(
            parsed("ip", &json!([{ "match": {} }, { "counter": {} }, { "drop": null }]))
                .is_copyable
        );
        for other in ["limit", "quota", "set", "xt", "vmap"] {
            assert!(
                !parsed("ip", &json!([{ other: {} }, { "drop": null }])).is_copyable,
                "{other}"
            );
        }
    }

    #[test]
    fn a_match_that_nft_does_not_accept_back_is_not_copied() {
        let socket = json!({ "match": { "op": "==", "left": { "socket": { "key": "cgroupv2" } }, "right": 1 } });
        assert!(!parsed("inet", &json!([socket, { "drop": null }])).is_copyable);
    }

    #[test]
    fn a_hash_is_copied_only_with_its_seed() {
        let hash = |seed: Value| {
            let mut hash =
                json!({ "mod": 2, "expr": { "payload": { "protocol": "ip", "field": "saddr" } } });
            if !seed.is_null() {
                hash["seed"] = seed;
            }
            json!([{ "match": { "op": "==", "left": { "jhash": hash }, "right": 0 } }, { "drop": null }])
        };
        assert!(parsed("ip", &hash(json!(7))).is_copyable);
        assert!(!parsed("ip", &hash(Value::Null)).is_copyable);
    }

    #[test]
    fn malformed_listings_have_no_rules() {
        assert!(super::tables("nonsense", "").is_err());
        assert!(super::tables("{}", "flags dormant").unwrap().is_empty());
        let deep = "table inet a {\n\tset s {\n\t\tflags dormant\n\t}\n}\ntable ip b {\n\tflags owner,dormant\n}";
        assert_eq!(dormant(deep), HashSet::from(["ip b".to_owned()]));
    }
}
