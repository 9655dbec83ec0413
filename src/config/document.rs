//! A configuration file as text: its syntax, its unknown keys, and on which line a key stands.

use serde::Deserialize as _;
use toml::{
    Spanned, Value,
    de::{DeArray, DeTable, DeValue, Deserializer, Error},
};

use super::{Config, ConfigError, Place, family};
use crate::settings::{InvalidSetting, suggestion};

/// Most values of a wrong type that are reported at once.
const MAX_WRONG: usize = 256;

/// A parsed file, not yet a configuration.
pub(super) struct Document<'a> {
    name: &'a str,
    text: &'a str,
    table: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// Parses TOML; `name` stands for the file in messages.
    pub(super) fn parse(text: &'a str, name: &'a str) -> Result<Self, Vec<ConfigError>> {
        match DeTable::parse_recoverable(text) {
            (table, errors) if errors.is_empty() => Ok(Self { name, text, table }),
            (_, errors) => {
                let syntax = |error: &Error| {
                    let line = error.span().map(|span| line(text, span.start));
                    let place = Place::File { name: name.into(), line };
                    ConfigError::Syntax { place, problem: error.message().into() }
                };
                Err(errors.iter().map(syntax).collect())
            }
        }
    }

    /// The configuration it describes, with the defaults for what is wrong, and what that is; its values
    /// are not validated yet.
    pub(super) fn config(&self) -> (Config, Vec<ConfigError>) {
        let mut errors = Vec::new();
        match toml::Table::try_from(Config::default()) {
            Ok(default) => self.find_unknown(self.table.get_ref(), &default, "", &mut errors),
            Err(error) => errors.push(ConfigError::Unprintable { reason: error.to_string() }),
        }
        let mut table = self.table.clone();
        for _ in 0..MAX_WRONG {
            match Config::deserialize(Deserializer::from(table.clone())) {
                Ok(mut config) => {
                    config.family = family::complete(config.family);
                    return (config, errors);
                }
                Err(error) => {
                    errors.push(self.wrong_type(&error));
                    let offset = error.span().map(|span| span.start);
                    if !offset.is_some_and(|offset| remove_at(table.get_mut(), offset)) {
                        break;
                    }
                }
            }
        }
        (Config::default(), errors)
    }

    /// Where this key is given; families stand by their name, as in `family.asn.labels`.
    pub(super) fn place(&self, key: &str) -> Place {
        let mut table = Some(self.table.get_ref());
        let mut at = None;
        let mut parts = key.split('.').peekable();
        while let (Some(part), Some(here)) = (parts.next(), table) {
            let Some((name, value)) = here.iter().find(|(name, _)| name.get_ref() == part) else {
                break;
            };
            at = Some(name.span().start);
            table = value.get_ref().as_table();
            if let (Some(elements), Some(&name)) = (value.get_ref().as_array(), parts.peek()) {
                parts.next();
                let element = elements.iter().find(|element| named(element.get_ref(), name));
                at = element.map(|element| element.span().start).or(at);
                table = element.and_then(|element| element.get_ref().as_table());
            }
        }
        self.place_at(at)
    }

    fn place_at(&self, offset: Option<usize>) -> Place {
        Place::File { name: self.name.into(), line: offset.map(|offset| line(self.text, offset)) }
    }

    /// Finds the keys of `table` that the defaults, which hold every key, do not hold.
    fn find_unknown(
        &self,
        table: &DeTable<'_>,
        known: &toml::Table,
        parent: &str,
        errors: &mut Vec<ConfigError>,
    ) {
        for (name, value) in table {
            let key = format!("{parent}{}", name.get_ref());
            let Some(default) = known.get(name.get_ref().as_ref()) else {
                let known: Vec<_> = known.keys().map(String::as_str).collect();
                errors.push(ConfigError::UnknownKey {
                    place: self.place_at(Some(name.span().start)),
                    suggestion: suggestion(name.get_ref(), &known),
                    key,
                });
                continue;
            };
            match (value.get_ref(), default) {
                (DeValue::Table(table), Value::Table(known)) => {
                    self.find_unknown(table, known, &format!("{key}."), errors);
                }
                (DeValue::Array(elements), Value::Array(defaults)) => {
                    let Some(Value::Table(known)) = defaults.first() else { continue };
                    for element in
                        elements.iter().filter_map(|element| element.get_ref().as_table())
                    {
                        self.find_unknown(element, known, &format!("{key}."), errors);
                    }
                }
                // A value of another type: the next step says so.
                _ => {}
            }
        }
    }

    /// Says which key holds the value that could not be taken.
    fn wrong_type(&self, error: &Error) -> ConfigError {
        let offset = error.span().map(|span| span.start);
        let key =
            offset.and_then(|offset| key_at(self.table.get_ref(), offset)).unwrap_or_default();
        let single =
            self.table.get_ref().get("family").is_some_and(|family| family.get_ref().is_table());
        let InvalidSetting { key, text } = match key.as_str() {
            "family" if single => {
                InvalidSetting::new("[family]", "is one table; write [[family]] for each family")
            }
            "" => InvalidSetting::new("the file", in_plain_words(error.message())),
            _ => InvalidSetting::new(key, in_plain_words(error.message())),
        };
        ConfigError::Invalid { place: self.place_at(offset), key, problem: text }
    }
}

/// The line of an offset, counted from 1.
fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

/// Whether a table of an array of tables carries this name.
fn named(element: &DeValue<'_>, name: &str) -> bool {
    element.get("name").and_then(|value| value.get_ref().as_str()) == Some(name)
}

/// Removes the innermost value that covers the offset from the table: an element of a list, else the key;
/// returns whether there was one. A family without a usable name is removed as a whole.
fn remove_at(table: &mut DeTable<'_>, offset: usize) -> bool {
    let mut covering = None;
    for (name, value) in table.iter_mut() {
        let covers = value.span().contains(&offset);
        let removed = match value.get_mut() {
            DeValue::Table(inner) => remove_at(inner, offset),
            DeValue::Array(elements) => remove_element(elements, offset),
            _ => false,
        };
        if removed {
            return true;
        }
        if covers {
            covering = Some(name.clone());
        }
    }
    covering.is_some_and(|name| table.remove(&name).is_some())
}

/// The same for a list.
fn remove_element(elements: &mut DeArray<'_>, offset: usize) -> bool {
    let mut at = None;
    for (index, element) in elements.iter_mut().enumerate() {
        let covers = element.span().contains(&offset);
        let name = element.get_ref().get("name").map(Spanned::span);
        let goes_whole = name.is_some_and(|name| name.contains(&offset));
        if let (DeValue::Table(inner), false) = (element.get_mut(), goes_whole)
            && remove_at(inner, offset)
        {
            return true;
        }
        if covers || goes_whole {
            at = Some(index);
        }
    }
    let Some(at) = at else { return false };
    let all = std::mem::replace(elements, DeArray::new());
    let others = all.into_iter().enumerate().filter(|(index, _)| *index != at);
    others.for_each(|(_, element)| elements.push(element));
    true
}

/// The innermost key whose value covers the offset, with dots.
fn key_at(table: &DeTable<'_>, offset: usize) -> Option<String> {
    let inside = |value: &Spanned<DeValue<'_>>| value.span().contains(&offset);
    table.iter().find_map(|(name, value)| {
        let name = name.get_ref();
        let inner = match value.get_ref() {
            // A table's own span is its header: its keys stand behind it.
            DeValue::Table(table) => key_at(table, offset),
            DeValue::Array(elements) => elements
                .iter()
                .filter_map(|element| element.get_ref().as_table())
                .find_map(|table| key_at(table, offset)),
            _ => None,
        };
        // A list of tables covers the first of them alone.
        let in_element = || {
            let elements = value.get_ref().as_array();
            elements.is_some_and(|elements| elements.iter().any(inside))
        };
        match inner {
            Some(inner) => Some(format!("{name}.{inner}")),
            None => (inside(value) || in_element()).then(|| name.to_string()),
        }
    })
}

/// Names types as a user does, not as Rust does.
fn in_plain_words(message: &str) -> String {
    let message = match message.split_once("expected struct") {
        Some((before, _)) => format!("{before}expected a table"),
        None => message.to_owned(),
    };
    [
        ("expected u16", "expected a whole number from 0 to 65535"),
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected a sequence", "expected a list in [ ]"),
        ("invalid type: sequence", "invalid type: list"),
        ("invalid type: map", "invalid type: table"),
        ("missing field `name`", "each [[family]] needs a name"),
        ("unknown variant", "unknown value"),
    ]
    .into_iter()
    .fold(message, |message, (rust, plain)| message.replace(rust, plain))
}
