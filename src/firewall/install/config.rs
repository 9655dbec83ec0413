//! The configuration section `[rules]`: whether to install the table, and for which interfaces.

use serde::{Deserialize, Serialize};

use crate::settings::{ConfigSection, InvalidSetting, broken, check_list, reject};

/// Maximum number of interfaces.
const MAX_INTERFACES: usize = 256;

/// `[rules]`: whether to install the table, and for which interfaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RulesConfig {
    /// Whether to install a table that logs inbound packets to the group; default false.
    pub install: bool,
    /// Interfaces whose packets the table logs; default empty: all except loopback.
    pub interfaces: Vec<String>,
}

impl ConfigSection for RulesConfig {
    fn validate(&self) -> Vec<InvalidSetting> {
        let key = "rules.interfaces";
        let invalid = self.interfaces.iter().filter(|name| !is_interface_name(name)).map(|name| {
            reject(
                key,
                format!(
                    "has {name:?}, which is not a valid interface name; use names as `ip link` shows them"
                ),
            )
        });
        broken(invalid.chain([check_list(key, self.interfaces.iter(), MAX_INTERFACES)]))
    }
}

/// Whether an interface can have this name: the rules of the kernel's `dev_valid_name`. Quotes and backslashes are
/// invalid too, because the name becomes part of a rule's text.
fn is_interface_name(name: &str) -> bool {
    let is_invalid =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':' | '"' | '\\');
    !name.is_empty()
        && name.len() < libc::IFNAMSIZ
        && !matches!(name, "." | "..")
        && !name.contains(is_invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::testing::check_section;

    #[test]
    fn interfaces_have_names_that_the_kernel_accepts() {
        let check = check_section::<RulesConfig>;
        for name in ["", "..", "a b", "a/b", "a:b", "a\tb", "sixteen-letters-", "a\"b", "a\\b"] {
            check(
                &format!("[rules]\ninterfaces = [\"eth0\", {name:?}]"),
                &format!(
                    "rules.interfaces: has {name:?}, which is not a valid interface name; use names as `ip link` \
                     shows them"
                ),
            );
        }
        check("[rules]\ninterfaces = ['eth0', 'wg-home', 'fifteen-letters', 'br0.7']", "");
        check(
            "[rules]\ninterfaces = ['a', 'a']",
            "rules.interfaces: has a twice; remove the duplicate",
        );
    }
}
