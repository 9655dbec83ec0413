//! Values of the wrong type: finds all of them, each with its key, while deserialization stops at the first.

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::{
    Config,
    deserializer::{self, ValueError},
};
use crate::settings::InvalidSetting;

/// Maximum number of errors that are reported at once.
const MAX_ERRORS: usize = 256;

/// The configuration of a file, and its errors with their offsets in the text. A value with an error is removed, and
/// has its default.
pub(super) fn deserialize(file: &DeTable<'_>) -> (Config, Vec<(Option<usize>, InvalidSetting)>) {
    let mut errors = Vec::new();
    let mut table = file.clone();
    for _ in 0..MAX_ERRORS {
        match deserializer::deserialize(&table) {
            Ok(config) => return (config, errors),
            Err(error) => {
                errors.push((error.offset, invalid_setting(file, &error)));
                if !error.offset.is_some_and(|offset| remove_at(&mut table, offset)) {
                    break;
                }
            }
        }
    }
    (Config::default(), errors)
}

/// The key of an element of an array of tables: with its name, as in `family.asn`, if it has a valid one.
pub(super) fn element_key(array: &str, element: &DeValue<'_>) -> String {
    match name_of(element) {
        Some(name) => format!("{array}.{name}"),
        None => array.to_owned(),
    }
}

/// The value of the key `name` of an element of an array of tables.
pub(super) fn name_of<'a>(element: &'a DeValue<'_>) -> Option<&'a str> {
    element.get("name").and_then(|value| value.get_ref().as_str())
}

fn invalid_setting(table: &DeTable<'_>, error: &ValueError) -> InvalidSetting {
    let key = error.offset.and_then(|offset| key_at(table, offset)).unwrap_or_default();
    let family_is_table = table.get("family").is_some_and(|family| family.get_ref().is_table());
    match key.as_str() {
        "family" if family_is_table => {
            InvalidSetting::new("[family]", "is one table; use [[family]] for each family")
        }
        "" => InvalidSetting::new("the file", with_toml_types(&error.message)),
        _ => InvalidSetting::new(key, with_toml_types(&error.message)),
    }
}

/// Removes the innermost value that includes the offset: an element of an array, or a key. Returns false if there is
/// none. A family whose name has an error is removed whole, because it requires a name.
fn remove_at(table: &mut DeTable<'_>, offset: usize) -> bool {
    let mut found = None;
    for (name, value) in table.iter_mut() {
        let includes = value.span().contains(&offset);
        let removed = match value.get_mut() {
            DeValue::Table(inner) => remove_at(inner, offset),
            DeValue::Array(elements) => remove_element(elements, offset),
            _ => false,
        };
        if removed {
            return true;
        }
        if includes {
            found = Some(name.clone());
        }
    }
    found.is_some_and(|name| table.remove(&name).is_some())
}

/// [`remove_at`] for an array.
fn remove_element(elements: &mut DeArray<'_>, offset: usize) -> bool {
    let mut found = None;
    for (index, element) in elements.iter_mut().enumerate() {
        let includes = element.span().contains(&offset);
        let name = element.get_ref().get("name").map(Spanned::span);
        let in_name = name.is_some_and(|name| name.contains(&offset));
        if let (DeValue::Table(inner), false) = (element.get_mut(), in_name)
            && remove_at(inner, offset)
        {
            return true;
        }
        if includes || in_name {
            found = Some(index);
        }
    }
    let Some(found) = found else { return false };
    let all = std::mem::replace(elements, DeArray::new());
    let others = all.into_iter().enumerate().filter(|(index, _)| *index != found);
    others.for_each(|(_, element)| elements.push(element));
    true
}

/// The innermost key whose value includes the offset, with dots.
fn key_at(table: &DeTable<'_>, offset: usize) -> Option<String> {
    let includes = |value: &Spanned<DeValue<'_>>| value.span().contains(&offset);
    table.iter().find_map(|(name, value)| {
        let name = name.get_ref();
        // The span of a table is its header, which is before its keys. The span of an array of tables is that of
        // its first table.
        match value.get_ref() {
            DeValue::Table(table) => key_at(table, offset).map(|inner| format!("{name}.{inner}")),
            DeValue::Array(elements) => elements.iter().find_map(|element| {
                let inner = element.get_ref().as_table().and_then(|table| key_at(table, offset));
                match inner {
                    Some(inner) => {
                        Some(format!("{}.{inner}", element_key(name, element.get_ref())))
                    }
                    None => includes(element).then(|| name.to_string()),
                }
            }),
            _ => None,
        }
        .or_else(|| includes(value).then(|| name.to_string()))
    })
}

/// Replaces the names of Rust types by those of TOML.
fn with_toml_types(message: &str) -> String {
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
    .fold(message, |message, (rust, toml)| message.replace(rust, toml))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;

    #[test]
    fn values_of_a_wrong_type_have_a_line_and_a_key() {
        check("nflog = 5", "f.toml:1: nflog: invalid type: integer `5`, expected a table");
        check(
            "[nflog]\ngroups = 5",
            "f.toml:2: nflog.groups: invalid type: integer `5`, expected a list in [ ]",
        );
        check(
            "[nflog]\ngroups = [1,\n 70000]",
            "f.toml:3: nflog.groups: invalid value: integer `70000`, expected a whole number from 0 to 65535",
        );
        check(
            "[nflog]\nqueue_timeout = 5",
            "f.toml:2: nflog.queue_timeout: invalid type: integer `5`, expected a duration with a unit, such as \"100ms\", \"5s\" or \"14d\"",
        );
        check(
            "[nflog]\nkernel_buffer = -5",
            "f.toml:2: nflog.kernel_buffer: invalid value: integer `-5`, expected a size in bytes or with a unit, such as 131072 or \"16MiB\"",
        );
        check(
            "[nflog]\nreceive_buffer = '9TiB'",
            "f.toml:2: nflog.receive_buffer: the size is above 4 GiB",
        );
        check(
            "[log]\nlevel = 'loud'",
            "f.toml:2: log.level: unknown value `loud`, expected one of `error`, `warn`, `info`, `debug`, `trace`",
        );
        check("[log]\nlevel = 5", "f.toml:2: log.level: expected a string");
        check(
            "[nflog]\nqueue_timeout = 2026-11-29",
            "f.toml:2: nflog.queue_timeout: invalid type: date or time, expected a duration with a unit, such as \"100ms\", \"5s\" or \"14d\"",
        );
        check(
            "[mirror]\nsample = 99999999999999999999",
            "f.toml:2: mirror.sample: the number is too large",
        );
        check(
            "[web]\nlisten_addresses = [\n'localhost']",
            "f.toml:3: web.listen_addresses: \"localhost\" is not a listen address; write HOST:PORT, [IPv6]:PORT, or :PORT for all addresses",
        );
        check(
            "[family]\nname = 'a'",
            "f.toml:1: [family]: is one table; use [[family]] for each family",
        );
        check("\n[[family]]\nlabels = ['asn']", "f.toml:2: family: each [[family]] needs a name");
    }
}
