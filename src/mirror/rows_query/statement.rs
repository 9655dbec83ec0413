//! A statement with bound parameters, in the dialect of a database.

use std::net::IpAddr;

use super::{Question, RowCondition, RowPosition};
use crate::mirror::time_text::time_text;

/// The SQL that a database understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mirror) enum Dialect {
    MySql,
    Postgres,
    Sqlite,
    ClickHouse,
}

/// A value of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mirror) enum Parameter {
    Text(String),
    Number(u64),
    /// `YYYY-MM-DD HH:MM:SS.ffffff`
    Time(String),
    Address(IpAddr),
}

/// How the rows of a period are found. The other databases choose it themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mirror) enum Access {
    /// In the order of their times: for few rows.
    ByTime,
    /// In the index that has all columns of conditions, in the order of sources.
    BySource,
}

/// A statement under construction: its text grows together with its parameters, because those of MySQL have no names.
#[derive(Clone, Debug)]
pub(in crate::mirror) struct Statement {
    pub(super) dialect: Dialect,
    pub(in crate::mirror) text: String,
    pub(in crate::mirror) parameters: Vec<Parameter>,
}

impl Statement {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, text: String::new(), parameters: Vec::new() }
    }

    pub(super) fn add(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds `packets` with the index to use.
    pub(super) fn add_table(&mut self, access: Access) -> &mut Self {
        let hint = match (self.dialect, access) {
            (Dialect::Sqlite, Access::ByTime) => " INDEXED BY packets_by_time",
            (Dialect::Sqlite, Access::BySource) => " INDEXED BY packets_by_source",
            (Dialect::MySql, Access::ByTime) => " FORCE INDEX (PRIMARY)",
            (Dialect::MySql, Access::BySource) => " FORCE INDEX (by_source)",
            (Dialect::Postgres | Dialect::ClickHouse, _) => "",
        };
        self.add("packets").add(hint)
    }

    /// Adds a parameter.
    pub(super) fn bind(&mut self, parameter: Parameter) -> &mut Self {
        let number = self.parameters.len() + 1;
        let place = match (self.dialect, &parameter) {
            (Dialect::Sqlite, _) => format!("?{number}"),
            (Dialect::MySql, _) => "?".into(),
            // All are sent as texts.
            (Dialect::Postgres, Parameter::Text(_)) => format!("${number}::text"),
            (Dialect::Postgres, Parameter::Number(_)) => format!("${number}::text::bigint"),
            (Dialect::Postgres, Parameter::Address(_)) => format!("${number}::text::inet"),
            (Dialect::Postgres, Parameter::Time(_)) => {
                format!("(${number}::text::timestamp AT TIME ZONE 'UTC')")
            }
            (Dialect::ClickHouse, Parameter::Text(_)) => format!("{{p{number}:String}}"),
            (Dialect::ClickHouse, Parameter::Number(_)) => format!("{{p{number}:UInt64}}"),
            (Dialect::ClickHouse, Parameter::Address(_)) => format!("{{p{number}:IPv6}}"),
            (Dialect::ClickHouse, Parameter::Time(_)) => {
                format!("{{p{number}:DateTime64(6, 'UTC')}}")
            }
        };
        self.parameters.push(parameter);
        self.add(&place)
    }

    /// Adds the period of a question.
    pub(super) fn add_period(&mut self, question: &Question) -> &mut Self {
        let time = |time: &u64| Parameter::Time(time_text(*time));
        self.add("time BETWEEN ").bind(time(question.period.start()));
        self.add(" AND ").bind(time(question.period.end()))
    }

    /// Adds the conditions of a question, each after an AND.
    pub(super) fn add_conditions(&mut self, question: &Question) -> &mut Self {
        for condition in &question.conditions {
            self.add(" AND ");
            match condition {
                RowCondition::Host(host) => self.add("host = ").bind(Parameter::Text(host.clone())),
                RowCondition::Country(code) => {
                    self.add("country = ").bind(Parameter::Text(code.clone()))
                }
                RowCondition::Prefix(prefix) => {
                    self.add("prefix = ").bind(Parameter::Text(prefix.clone()))
                }
                RowCondition::Protocol(Some(number)) => {
                    self.add("protocol = ").bind(Parameter::Number((*number).into()))
                }
                RowCondition::Protocol(None) => self.add("protocol IS NULL"),
                RowCondition::Port(Some(port)) => {
                    self.add("destination_port = ").bind(Parameter::Number((*port).into()))
                }
                RowCondition::Port(None) => self.add("destination_port IS NULL"),
                RowCondition::Source(Some(range)) => {
                    self.add("source BETWEEN ").bind(Parameter::Address(*range.start()));
                    self.add(" AND ").bind(Parameter::Address(*range.end()))
                }
                RowCondition::Source(None) => self.add("source IS NULL"),
            };
        }
        self
    }

    /// Adds the condition that a row is before a position.
    pub(super) fn add_before(&mut self, position: &RowPosition) -> &mut Self {
        let RowPosition { time, number, writer } = position;
        let time = || Parameter::Time(time_text(*time));
        let number = || Parameter::Number(*number);
        // The first condition limits what is read of an index.
        self.add(" AND time <= ").bind(time()).add(" AND (time < ").bind(time());
        if self.dialect == Dialect::ClickHouse {
            self.add(" OR sequence < ").bind(number()).add(" OR (sequence = ").bind(number());
            return self.add(" AND hex(writer) < ").bind(Parameter::Text(writer.clone())).add("))");
        }
        self.add(" OR id < ").bind(number()).add(")")
    }
}
