//! The configuration as it was written: values with their types and places, nothing judged yet.
//! It does not leave the crate.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Level, Location, Snippet};
use crate::directive::Value;
use crate::table::{Global, Pool, Table};

/// A piece of a line of a file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) file: usize,
    /// Counted from 1.
    pub(crate) line: u32,
    /// Where the line starts in the file.
    pub(crate) offset: usize,
    /// Bytes within the line.
    pub(crate) range: Range<usize>,
}

/// A file that was read.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Arc<[u8]>,
}

/// All files that were read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources(pub(crate) Vec<Source>);

impl Sources {
    fn line(&self, span: &Span) -> &[u8] {
        let rest = &self.0[span.file].bytes[span.offset..];
        let end = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end])
    }

    pub(crate) fn location(&self, span: &Span) -> Location {
        let line = self.line(span);
        let before = &line[..span.range.start.min(line.len())];
        Location {
            file: self.0[span.file].path.clone(),
            line: span.line,
            column: String::from_utf8_lossy(before).chars().count() as u32 + 1,
        }
    }

    /// A message about that place.
    pub(crate) fn diagnostic(&self, level: Level, message: String, span: &Span) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(level, message);
        diagnostic.location = Some(self.location(span));
        let (start, end) = (span.range.start, span.range.end);
        diagnostic.snippet = Some(Snippet::new(self.line(span), start, end));
        diagnostic
    }
}

/// A directive's value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) value: Value,
    /// Where the value stands. `None`: validation put it there.
    pub(crate) span: Option<Span>,
}

/// One `name[key] = value`.
#[derive(Debug, Clone)]
pub(crate) struct Item<Id> {
    pub(crate) id: Id,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) name_span: Span,
}

/// The directives of one section.
#[derive(Debug, Clone)]
pub(crate) struct Settings<Id> {
    pub(crate) scalars: BTreeMap<Id, Setting>,
    /// Array entries in the order of the file.
    pub(crate) items: Vec<Item<Id>>,
}

impl<Id> Default for Settings<Id> {
    fn default() -> Self {
        Settings { scalars: BTreeMap::new(), items: Vec::new() }
    }
}

impl<Id: Table> Settings<Id> {
    /// The value as set, or the default of the table. `None` if neither is there.
    pub(crate) fn value(&self, id: Id) -> Option<Value> {
        match self.scalars.get(&id) {
            Some(setting) => Some(setting.value.clone()),
            None => default(id),
        }
    }

    /// Whether the file sets it.
    pub(crate) fn is_set(&self, id: Id) -> bool {
        self.scalars.contains_key(&id)
    }

    /// Where the value stands, if the file sets it.
    pub(crate) fn span(&self, id: Id) -> Option<&Span> {
        self.scalars.get(&id)?.span.as_ref()
    }

    /// Replaces a value by what it comes to.
    pub(crate) fn put(&mut self, id: Id, value: Value) {
        let span = self.scalars.remove(&id).and_then(|setting| setting.span);
        self.scalars.insert(id, Setting { value, span });
    }

    /// A number; those without default are 0 if unset.
    pub(crate) fn integer(&self, id: Id) -> i32 {
        match self.value(id) {
            Some(Value::Integer(number)) => number,
            _ => 0,
        }
    }

    pub(crate) fn boolean(&self, id: Id) -> bool {
        self.value(id) == Some(Value::Bool(true))
    }

    pub(crate) fn size(&self, id: Id) -> u64 {
        match self.value(id) {
            Some(Value::Size(size)) => size,
            _ => 0,
        }
    }

    /// Text as set or by default, possibly empty.
    pub(crate) fn text(&self, id: Id) -> Option<Vec<u8>> {
        match self.value(id) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Text that the file or validation sets, and that is not empty.
    pub(crate) fn filled(&self, id: Id) -> Option<Vec<u8>> {
        match self.is_set(id) {
            true => self.text(id).filter(|text| !text.is_empty()),
            false => None,
        }
    }
}

/// The table's default, read like a value of a file.
pub(crate) fn default<Id: Table>(id: Id) -> Option<Value> {
    let directive = id.directive();
    let text = directive.default?;
    // A test walks the table: every default parses.
    directive.kind.parse(text.as_bytes()).ok()
}

/// A pool as it was written.
#[derive(Debug, Clone)]
pub(crate) struct WrittenPool {
    pub(crate) name: String,
    /// The first header with that name.
    pub(crate) header: Span,
    pub(crate) settings: Settings<Pool>,
}

/// Everything that was written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    pub(crate) sources: Sources,
    pub(crate) global: Settings<Global>,
    pub(crate) pools: Vec<WrittenPool>,
    /// Lower-case names of pools.
    names: HashMap<String, usize>,
}

impl Written {
    /// The pool of that name, whatever its case; made if there is none.
    pub(crate) fn pool(&mut self, name: &str, header: &Span) -> usize {
        let next = self.pools.len();
        let index = *self.names.entry(name.to_ascii_lowercase()).or_insert(next);
        if index == next {
            self.pools.push(WrittenPool {
                name: name.to_string(),
                header: header.clone(),
                settings: Settings::default(),
            });
        }
        index
    }
}
