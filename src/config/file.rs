//! A configuration file: its syntax, its unknown keys, its values, and the line of each key.

use toml::{
    Spanned, Value,
    de::{DeTable, DeValue, Error},
};

use super::{Config, ConfigError, ValueOrigin, value_errors};
use crate::settings::{InvalidSetting, suggestion};

/// A configuration file that is valid TOML.
pub(super) struct ConfigFile<'a> {
    name: &'a str,
    text: &'a str,
    table: Spanned<DeTable<'a>>,
}

impl<'a> ConfigFile<'a> {
    /// Parses TOML. `name` is the name of the file in messages.
    pub(super) fn parse(text: &'a str, name: &'a str) -> Result<Self, Vec<ConfigError>> {
        match DeTable::parse_recoverable(text) {
            (table, errors) if errors.is_empty() => Ok(Self { name, text, table }),
            (_, errors) => {
                let syntax = |error: &Error| {
                    let line = error.span().map(|span| line(text, span.start));
                    let origin = ValueOrigin::File { name: name.into(), line };
                    ConfigError::Syntax { origin, reason: error.message().into() }
                };
                Err(errors.iter().map(syntax).collect())
            }
        }
    }

    /// The configuration, and the errors of its keys and of the types of its values. A value with an error has its
    /// default. The rules of the sections are not checked.
    pub(super) fn config(&self) -> (Config, Vec<ConfigError>) {
        let mut errors = Vec::new();
        match toml::Table::try_from(Config::default()) {
            Ok(default) => self.find_unknown_keys(self.table.get_ref(), &default, "", &mut errors),
            Err(error) => errors.push(ConfigError::NotToml { reason: error.to_string() }),
        }
        let (config, value_errors) = value_errors::deserialize(self.table.get_ref());
        errors.extend(value_errors.into_iter().map(|(offset, InvalidSetting { key, reason })| {
            ConfigError::Invalid { origin: self.origin_at(offset), key, reason }
        }));
        (config, errors)
    }

    /// Whether the file sets a key of a section.
    pub(super) fn has(&self, section: &str, key: &str) -> bool {
        let section = self.table.get_ref().get(section);
        section.is_some_and(|section| section.get_ref().get(key).is_some())
    }

    /// The line of a key. The key of a family has the family's name instead of its index: `family.asn.labels`. If the
    /// file does not have the key, the line of the innermost table around it.
    pub(super) fn origin(&self, key: &str) -> ValueOrigin {
        let mut table = Some(self.table.get_ref());
        let mut offset = None;
        let mut parts = key.split('.').peekable();
        while let (Some(part), Some(current)) = (parts.next(), table) {
            let Some((name, value)) = current.iter().find(|(name, _)| name.get_ref() == part)
            else {
                break;
            };
            offset = Some(name.span().start);
            table = value.get_ref().as_table();
            if let (Some(elements), Some(&name)) = (value.get_ref().as_array(), parts.peek()) {
                parts.next();
                let element = elements
                    .iter()
                    .find(|element| value_errors::name_of(element.get_ref()) == Some(name));
                offset = element.map(|element| element.span().start).or(offset);
                table = element.and_then(|element| element.get_ref().as_table());
            }
        }
        self.origin_at(offset)
    }

    fn origin_at(&self, offset: Option<usize>) -> ValueOrigin {
        let line = offset.map(|offset| line(self.text, offset));
        ValueOrigin::File { name: self.name.into(), line }
    }

    /// Finds the keys of `table` that the default configuration, which has every key, does not have.
    fn find_unknown_keys(
        &self,
        table: &DeTable<'_>,
        default: &toml::Table,
        parent: &str,
        errors: &mut Vec<ConfigError>,
    ) {
        for (name, value) in table {
            let key = format!("{parent}{}", name.get_ref());
            let Some(default) = default.get(name.get_ref().as_ref()) else {
                let valid: Vec<_> = default.keys().map(String::as_str).collect();
                errors.push(ConfigError::UnknownKey {
                    origin: self.origin_at(Some(name.span().start)),
                    suggestion: suggestion(name.get_ref(), &valid),
                    key,
                });
                continue;
            };
            match (value.get_ref(), default) {
                (DeValue::Table(table), Value::Table(default)) => {
                    self.find_unknown_keys(table, default, &format!("{key}."), errors);
                }
                (DeValue::Array(elements), Value::Array(defaults)) => {
                    let Some(Value::Table(default)) = defaults.first() else { continue };
                    for element in elements {
                        let Some(table) = element.get_ref().as_table() else { continue };
                        let parent = value_errors::element_key(&key, element.get_ref());
                        self.find_unknown_keys(table, default, &format!("{parent}."), errors);
                    }
                }
                // A value of another type is an error of its value.
                _ => {}
            }
        }
    }
}

/// The line of an offset, counted from 1.
fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;

    #[test]
    fn syntax_errors_have_a_line() {
        check("[web\n", "f.toml:1: not valid TOML: unclosed table, expected `]`");
        check("\n[web]\n[web]\n", "f.toml:3: not valid TOML: duplicate key");
    }

    #[test]
    fn unknown_keys_have_a_line_and_a_suggestion() {
        check(
            "x = 1",
            "f.toml:1: x: unknown key; valid names: family, geoip, history, kernel_log, list, log, mirror, networks, nflog, output, privileges, rules, web",
        );
        check(
            "[mirror]\n[mirror.spool]\nmax_sise = 1",
            "f.toml:3: mirror.spool.max_sise: unknown key; did you mean max_size?",
        );
        check("[nflgo]", "f.toml:1: nflgo: unknown key; did you mean nflog?");
        check("[nflog]\n\ngroup = [1]", "f.toml:3: nflog.group: unknown key; did you mean groups?");
        check(
            "nflog.groups = [1]\nnflog.X = 1",
            "f.toml:2: nflog.X: unknown key; valid names: conntrack, copy_range, groups, kernel_buffer, queue_threshold, queue_timeout, receive_buffer",
        );
    }

    #[test]
    fn keys_of_a_family_have_its_name() {
        let family = |line: &str| format!("[[family]]\nname = 'a'\nlabels = ['asn']\n{line}");
        check(
            &family("labls = ['asn']"),
            "f.toml:4: family.a.labls: unknown key; did you mean labels?",
        );
        check(
            &family("max_series = 'x'"),
            "f.toml:4: family.a.max_series: invalid type: string \"x\", expected a whole number, 0 or more",
        );
        check(&family("max_series = 0"), "f.toml:4: family.a.max_series: is 0; use 1 to 1000000");
        check(
            "[[family]]\nname = 'a'\nlabels = [\n'prefix',\n'contry']",
            "f.toml:5: family.a.labels: has \"contry\", which is not a label; did you mean country?",
        );
        // The removed label leaves an empty list, which is not a second error.
        check(
            "[[family]]\nname = 'a'\nlabels = [\n'contry']",
            "f.toml:4: family.a.labels: has \"contry\", which is not a label; did you mean country?",
        );
    }
}
