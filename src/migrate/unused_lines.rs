//! Names every line that no other part of the conversion has read.

use super::{
    conf_lines::{conf_lines, has_sections},
    migration::Migration,
};

impl Migration<'_> {
    /// Notes sections that no converted stack uses, lines outside of sections, and lines of plugins without an
    /// equivalent.
    pub(super) fn unused_lines(&mut self) {
        let lines = conf_lines(self.text);
        let mut seen: Vec<String> = Vec::new();
        let mut is_second = false;
        for line in lines {
            let number = line.line;
            match (line.section, line.key) {
                (None, Some(key)) if has_sections(self.text) => {
                    self.output.note(format!(
                        "{key} (line {number}): before the first section, so ulogd ignores it"
                    ));
                }
                (Some(section), None) => {
                    is_second = seen.contains(&section);
                    let is_used = self.sections.iter().any(|(name, _)| *name == section);
                    if is_second {
                        self.output.note(format!("[{section}] (line {number}): ulogd reads only the first section of a name"));
                    } else if !is_used {
                        self.output.note(format!("[{section}] (line {number}): nothing that is migrated uses this section"));
                    }
                    seen.push(section);
                }
                (Some(section), Some(key)) => {
                    let plugin = self.sections.iter().find(|(name, _)| *name == section);
                    if let Some((_, Some(plugin))) = plugin.filter(|_| !is_second) {
                        self.output.not_migrated(format!(
                            "[{section}] {key} (line {number}): a setting of {plugin}"
                        ));
                    }
                }
                _ => {}
            }
        }
    }
}
