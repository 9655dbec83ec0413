//! Rules as `nft -j list ruleset` prints them: libnftables-json(5).

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::chains::{Chain, Log, Rule, Syntax, Table, Verdict};

/// Statements behind which no further rule of the hook's chain sees the packet.
const FINAL: [&str; 10] = [
    "accept",
    "drop",
    "reject",
    "queue",
    "dnat",
    "snat",
    "masquerade",
    "redirect",
    "tproxy",
    "fwd",
];

/// Statements that stand beside a verdict without asking anything of the packet.
const BESIDE: [&str; 6] = ["counter", "log", "notrack", "mangle", "ct helper", "dup"];

/// The tables. `terse` is the same ruleset in nft's own words: what flags a table has is told wrongly
/// by the JSON of nft 1.0.
///
/// # Errors
/// What nft printed is no JSON.
pub(super) fn tables(json: &str, terse: &str) -> Result<Vec<Table>, String> {
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
            let base = chain.get("hook").is_some();
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
        // Flags of sets and maps stand deeper.
        let flags = line.strip_prefix("\tflags ").unwrap_or_default();
        if flags.split(',').any(|flag| flag.trim() == "dormant") {
            dormant.insert(table.to_owned());
        }
    }
    dormant
}

fn rule<'v>(listed: &'v Value, of_map: impl Fn(&'v str) -> Vec<Verdict>) -> Rule {
    let statements = listed["expr"].as_array().into_iter().flatten();
    let statements = statements.filter_map(Value::as_object).flatten();
    let mut rule = Rule { told: String::new(), conditional: false, verdicts: vec![], log: None };
    let mut last = "";
    for (name, value) in statements {
        last = name;
        match &**name {
            "log" => {
                let group = value["group"].as_u64().and_then(|group| u16::try_from(group).ok());
                let prefix = || text(value, "prefix").to_owned();
                rule.log = Some(group.map_or(Log::Kernel, |group| Log::Group(group, prefix())));
            }
            "vmap" => {
                rule.conditional = true;
                let named = value["data"].as_str().and_then(|name| name.strip_prefix('@'));
                rule.verdicts = named.map_or_else(|| of_elements(&value["data"]["set"]), &of_map);
            }
            name => match verdict(name, value) {
                Some(verdict) => rule.verdicts.push(verdict),
                None => rule.conditional |= !BESIDE.contains(&name),
            },
        }
    }
    rule.told = format!("`{last}` (handle {})", listed["handle"]);
    rule
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
        name => FINAL.contains(&name).then_some(Verdict::Final),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn chains_and_their_rules() {
        let rule = |chain: &str, expr: Value| json!({ "rule": { "family": "inet", "table": "t", "chain": chain, "handle": 7, "expr": expr } });
        let listed = json!({ "nftables": [
            { "metainfo": {} },
            { "table": { "family": "inet", "name": "t" } },
            { "map": { "family": "inet", "table": "t", "name": "m", "map": "verdict",
                "elem": [[22, { "jump": { "target": "b" } }], [23, { "accept": null }]] } },
            { "chain": { "family": "inet", "table": "t", "name": "a", "hook": "input" } },
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
        assert_eq!((a.base, b.base, b.rules.len()), (true, false, 0));
        let jump = Verdict::Jump("b".into());
        let rules: Vec<_> =
            a.rules.iter().map(|rule| (rule.conditional, &rule.verdicts[..], &rule.log)).collect();
        assert_eq!(
            rules,
            [
                (true, &[Verdict::Final][..], &None),
                (false, &[], &Some(Log::Group(7, "x".into()))),
                (true, &[jump, Verdict::Final], &None),
                (true, &[Verdict::Return], &None),
                (false, &[Verdict::Goto("b".into())], &Some(Log::Kernel)),
            ]
        );
        assert_eq!(a.rules[4].told, "`goto` (handle 7)");
    }

    #[test]
    fn nonsense_is_no_rule() {
        assert!(super::tables("nonsense", "").is_err());
        assert!(super::tables("{}", "flags dormant").unwrap().is_empty());
        let deep = "table inet a {\n\tset s {\n\t\tflags dormant\n\t}\n}\ntable ip b {\n\tflags owner,dormant\n}";
        assert_eq!(dormant(deep), HashSet::from(["ip b".to_owned()]));
    }
}
