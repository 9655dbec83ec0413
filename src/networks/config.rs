//! The configuration sections `[networks]` and `[[list]]`: the files.

use std::{ops::Deref, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::settings::{ConfigSection, InvalidSetting, RuleResult, broken, check_list, reject};

/// Maximum number of lists: each is looked up for each packet.
pub const MAX_LISTS: usize = 16;
/// Maximum length of a list's name, bytes.
const MAX_NAME: usize = 64;

/// `[networks]`: the names of networks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworksConfig {
    /// File with a prefix and a name on each line; default empty: no names.
    pub file: PathBuf,
}

/// `[[list]]`: one list of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListConfig {
    /// Value of the label and of the column `list`.
    pub name: String,
    /// File with the prefixes.
    pub file: PathBuf,
}

/// The lists, in their order: an address on several counts for the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ListConfigs(Vec<ListConfig>);

impl From<Vec<ListConfig>> for ListConfigs {
    fn from(lists: Vec<ListConfig>) -> Self {
        Self(lists)
    }
}

impl Deref for ListConfigs {
    type Target = [ListConfig];

    fn deref(&self) -> &[ListConfig] {
        &self.0
    }
}

impl ConfigSection for NetworksConfig {
    fn validate(&self) -> Vec<InvalidSetting> {
        Vec::new()
    }
}

impl ConfigSection for ListConfigs {
    fn validate(&self) -> Vec<InvalidSetting> {
        let names = check_list("list", self.iter().map(|list| &list.name), MAX_LISTS);
        let lists = self.iter().flat_map(|list| [validate_name(&list.name), validate_file(list)]);
        broken(std::iter::once(names).chain(lists))
    }
}

fn validate_name(name: &str) -> RuleResult {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(valid) && name != "other" {
        return Ok(());
    }
    reject(
        format!("list.{name}.name"),
        format!(
            "is {name:?}; use letters, digits, _, - and ., at most {MAX_NAME}, and not \"other\""
        ),
    )
}

fn validate_file(list: &ListConfig) -> RuleResult {
    if !list.file.as_os_str().is_empty() {
        return Ok(());
    }
    reject(format!("list.{}.file", list.name), "has an empty path; name the file of the list")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::testing::{check_section, section_errors};

    fn list(name: &str) -> String {
        format!("[[list]]\nname = '{name}'\nfile = 'a'\n")
    }

    #[test]
    fn lists_have_a_name_and_a_file() {
        let check = check_section::<ListConfigs>;
        check(&list("drop-v4.txt"), "");
        for name in ["", "a b", "other", "ü"] {
            check(
                &list(name),
                &format!(
                    "list.{name}.name: is {name:?}; use letters, digits, _, - and ., at most 64, and not \"other\""
                ),
            );
        }
        check(
            "[[list]]\nname = 'a'\nfile = ''",
            "list.a.file: has an empty path; name the file of the list",
        );
        check(&[list("a"), list("a")].concat(), "list: has a twice; remove the duplicate");
        let many: String = (0..17).map(|number| list(&number.to_string())).collect();
        check(&many, "list: has 17 entries; use 16 at most");
    }

    #[test]
    fn unknown_keys_and_missing_ones_are_errors() {
        for (toml, expect) in [
            ("[[list]]\nname = 'a'", "missing field `file`"),
            ("[[list]]\nname = 'a'\nfile = 'b'\nurl = 'c'", "unknown field `url`"),
        ] {
            let errors = section_errors::<ListConfigs>(toml);
            assert!(errors.contains(expect), "{errors}");
        }
        check_section::<NetworksConfig>("[networks]\nfile = 'a'", "");
    }
}
