//! Directives that are set and have no effect yet.

use std::collections::BTreeSet;
use std::fmt;

use crate::config::Config;
use crate::diagnostic::Location;
use crate::directive::{ActedOn, Directive, Type, Value};
use crate::table::Table;
use crate::written::{Settings, Span, default};

/// A directive that the configuration sets, to something other than its default, and that has no
/// effect yet.
#[derive(Debug, Clone)]
pub struct NotActedOn {
    /// The directive.
    pub directive: &'static Directive,
    /// The word that has no effect, if others of the directive have.
    pub value: Option<&'static str>,
    /// The first place where it is set.
    pub location: Location,
}

impl fmt::Display for NotActedOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.directive.name;
        let (file, line) = (self.location.file.display(), self.location.line);
        match (self.value, self.directive.acted_on) {
            (Some(value), ActedOn::Only(word)) => {
                write!(f, "[{file}:{line}] '{name} = {value}' is not acted on yet, it runs as {word}")
            }
            _ => write!(f, "[{file}:{line}] '{name}' is not acted on yet"),
        }
    }
}

impl Config {
    /// Each directive, once, that is set to something other than its default and has no effect
    /// yet, in the order of the table.
    pub fn not_acted_on(&self) -> Vec<NotActedOn> {
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        self.collect(&self.written.global, &mut seen, &mut found);
        let mut pools = Vec::new();
        let mut seen = BTreeSet::new();
        for pool in &self.written.pools {
            self.collect(&pool.settings, &mut seen, &mut pools);
        }
        pools.sort_by_key(|(id, _)| *id);
        let found = found.into_iter().map(|(_, unused)| unused);
        found.chain(pools.into_iter().map(|(_, unused)| unused)).collect()
    }

    fn collect<Id: Table>(&self, settings: &Settings<Id>, seen: &mut BTreeSet<Id>, found: &mut Vec<(Id, NotActedOn)>) {
        let mut add = |id: Id, value: Option<&'static str>, span: &Span| {
            if seen.insert(id) {
                let location = self.written.sources.location(span);
                let directive = id.directive();
                found.push((id, NotActedOn { directive, value, location }));
            }
        };
        for (&id, setting) in &settings.scalars {
            let directive = id.directive();
            let Some(place) = &setting.place else {
                continue;
            };
            match directive.acted_on {
                ActedOn::Yes => {}
                ActedOn::No => {
                    let empty = setting.value == Value::Text(Vec::new());
                    if Some(&setting.value) != default(id).as_ref() && !empty {
                        add(id, None, &place.name);
                    }
                }
                ActedOn::Only(word) => {
                    if let Some(other) = chosen(directive, &setting.value)
                        && other != word
                    {
                        add(id, Some(other), &place.name);
                    }
                }
            }
        }
        for item in &settings.items {
            if item.id.directive().acted_on == ActedOn::No {
                add(item.id, None, &item.name_span);
            }
        }
    }
}

/// The word that was chosen.
fn chosen(directive: &Directive, value: &Value) -> Option<&'static str> {
    match (directive.kind, value) {
        (Type::Choice { choices, .. }, Value::Integer(number)) => {
            let choice = choices.iter().find(|choice| choice.number == *number);
            choice.map(|choice| choice.name)
        }
        _ => None,
    }
}
