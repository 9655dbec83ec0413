//! Converts the stacks and the section `[global]` of a `ulogd.conf`.

use super::{
    MigrateError, Migrated,
    database::{self, Database},
    grammar::ConfSection,
    nflog,
    output::Output,
    packet_files::{self, MigratedOutput},
    stack::{self, StackPlugin, steps},
};

/// A migration in progress.
pub(super) struct Migration<'t> {
    /// The file.
    pub(super) text: &'t [u8],
    pub(super) output: Output,
    /// The sections that were read, with the plugin if their lines have no equivalent.
    pub(super) sections: Vec<(String, Option<String>)>,
    /// The group of each converted stack, and whether it writes rows.
    stacks: Vec<(u16, bool)>,
}

impl<'t> Migration<'t> {
    /// Starts the conversion of a file.
    pub(super) fn new(text: &'t [u8]) -> Self {
        let sections = vec![("global".to_owned(), None)];
        Self { text, output: Output::default(), sections, stacks: Vec::new() }
    }

    /// Checks that a stack reads packets from NFLOG.
    ///
    /// # Errors
    /// No stack does.
    pub(super) fn require_group(&self) -> Result<(), MigrateError> {
        if self.output.groups.is_empty() {
            return Err(MigrateError::NoNflog(self.output.reasons()));
        }
        Ok(())
    }

    /// The result.
    pub(super) fn finish(self) -> Migrated {
        self.output.finish()
    }

    /// Converts a stack `NAME:PLUGIN,NAME:PLUGIN,…`, from a source through filters to an output.
    pub(super) fn stack(&mut self, stack: &str, plugins: &[String]) -> Result<(), MigrateError> {
        let steps = match steps(stack, plugins) {
            Ok(steps) => steps,
            Err(why) => {
                self.output.not_migrated(format!("stack={stack}: {why}"));
                return Ok(());
            }
        };
        let Some((source, rest)) = steps.split_first() else { return Ok(()) };
        if let Some(why) = stack::no_packets(&source.plugin) {
            self.output.not_migrated(format!("stack={stack}: {why}"));
            return Ok(());
        }
        self.sections.push((source.name.clone(), None));
        let group = nflog::convert(self.text, &source.name, &mut self.output)?;
        for StackPlugin { name, plugin } in rest {
            self.output_section(name, plugin)?;
        }
        let writes_rows = rest.iter().any(|step| database::keys(&step.plugin).is_some());
        self.stacks.push((group, writes_rows));
        Ok(())
    }

    /// Notes that outputs get the packets of all groups, if several groups are read.
    pub(super) fn groups_of_outputs(&mut self) {
        if self.output.has_outputs() && self.output.groups.len() > 1 {
            self.output.note(
                "each [[output]] gets the packets of all groups: to leave some out, give their rules other prefixes, and \
                 list those of the others in output.prefixes",
            );
        }
    }

    /// Notes which packets become rows, if several groups are read.
    pub(super) fn rows_of_groups(&mut self) {
        let mut with: Vec<_> =
            self.stacks.iter().filter(|(_, rows)| *rows).map(|it| it.0).collect();
        with.dedup();
        let without = |group: &&u16| !with.contains(group);
        let others: Vec<_> = self.output.groups.iter().filter(without).copied().collect();
        if self.output.database.is_none() || self.output.groups.len() < 2 {
            return;
        }
        let list =
            |groups: &[u16]| groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let rest = if others.is_empty() {
            String::new()
        } else {
            format!(
                "; ulogd wrote none of group {}: to leave them out, give their rules other prefixes, and list those of \
                 the others in mirror.prefixes",
                list(&others)
            )
        };
        self.output.note(format!(
            "the packets of all groups ({}) become rows of one table, and the column nflog_group has the group{rest}",
            list(&self.output.groups)
        ));
    }

    /// Notes the lines that load plugins.
    pub(super) fn plugins(&mut self, count: usize) {
        if count > 0 {
            self.output.note(format!("plugin ({count} lines): this program loads no plugins"));
        }
    }

    /// Converts a filter or an output.
    pub(super) fn output_section(&mut self, name: &str, plugin: &str) -> Result<(), MigrateError> {
        if let Some(keys) = database::keys(plugin) {
            self.sections.push((name.to_owned(), None));
            let section = ConfSection::read(self.text, name, &keys, &[])?;
            return self.database(&section, name, plugin);
        }
        if let Some(keys) = packet_files::keys(plugin) {
            self.sections.push((name.to_owned(), None));
            let section = ConfSection::read(self.text, name, keys, &[])?;
            return self.packet_file(&section, name, plugin);
        }
        self.sections.push((name.to_owned(), Some(plugin.to_owned())));
        if let Some(why) = stack::no_equivalent(plugin) {
            self.output.not_migrated(format!("{name}:{plugin}: {why}"));
        }
        Ok(())
    }

    /// Converts the section of an output that writes packets to a file or to syslog.
    fn packet_file(
        &mut self,
        section: &ConfSection,
        name: &str,
        plugin: &str,
    ) -> Result<(), MigrateError> {
        for ignored in &section.ignored {
            self.output.note(ignored);
        }
        match MigratedOutput::new(section, name, plugin)? {
            Ok(output) => {
                for note in &output.notes {
                    self.output.not_migrated(format!("[{name}] {note}"));
                }
                self.output.add_output(output);
            }
            Err(why) => self.output.not_migrated(format!("{name}:{plugin}: {why}")),
        }
        Ok(())
    }

    /// Converts the section of an output that writes to a database.
    pub(super) fn database(
        &mut self,
        section: &ConfSection,
        name: &str,
        plugin: &str,
    ) -> Result<(), MigrateError> {
        if !section.exists {
            self.output.not_migrated(format!(
                "{name}:{plugin}: there is no section [{name}], so ulogd wrote no rows"
            ));
            return Ok(());
        }
        for key in section.keys() {
            if matches!(key, "table" | "procedure" | "schema") {
                let value = section.text(key)?.unwrap_or_default();
                self.output.not_migrated(format!(
                    "[{name}] {key}={value}: rows are written to this program's tables; the view `ulog` has \
                     ulogd's column names"
                ));
            }
        }
        for key in section.keys() {
            if let Some(why) = database::no_equivalent(key) {
                self.output.not_migrated(format!("[{name}] {key}: {why}"));
            }
        }
        for ignored in &section.ignored {
            self.output.note(ignored);
        }
        let database = match Database::new(section, plugin)? {
            Ok(database) => database,
            Err(why) => {
                self.output.not_migrated(format!("{name}:{plugin}: {why}"));
                return Ok(());
            }
        };
        for note in &database.notes {
            self.output.not_migrated(format!("[{name}] {note}"));
        }
        match &self.output.database {
            Some((_, first)) if *first != database => self.output.not_migrated(format!(
                "{name}:{plugin}: all rows are written to one database; the first one is used"
            )),
            _ => self.output.database = Some((name.to_owned(), database)),
        }
        Ok(())
    }

    /// Converts the section `[global]`.
    pub(super) fn global(&mut self, global: &ConfSection) -> Result<(), MigrateError> {
        // ulogd's levels: 1 debug, 3 info, 5 notice, 7 error, 8 fatal.
        let level = self.output.number(global, "global", "loglevel", i32::MAX as u32)?;
        self.output.level = match level {
            Some(0..=1) => Some("debug"),
            Some(4..=5) => Some("warn"),
            Some(6..) => Some("error"),
            Some(2..=3) | None => None,
        };
        if let Some(file) = global.text("logfile")? {
            let why = "the log is written to standard error, which is the journal under systemd";
            self.output.not_migrated(format!("logfile={file}: {why}"));
        }
        for ignored in &global.ignored {
            self.output.note(ignored);
        }
        Ok(())
    }
}
