//! Reads files into [`Written`]: sections, directives and includes, with php-fpm's messages
//! (`fpm_conf.c`). Where php-fpm stops at the first error, this goes on and collects.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Level};
use crate::directive::{Section, Type, Value};
use crate::files::{self, MAX_CONFIG_BYTES};
use crate::options::LoadOptions;
use crate::parser::{Lookup, MAX_VALUE_BYTES, Statement, Text, parse_line};
use crate::paths;
use crate::suggest::suggest;
use crate::table::{Global, Pool, Table};
use crate::written::{Item, Setting, Settings, Source, Span, Written};

/// Files within files, the main one counted.
const MAX_DEPTH: usize = 5;

/// Errors after which reading stops.
const MAX_ERRORS: usize = 100;

/// Longest name of a pool. `$pool` puts it into values, so it must not let them grow without bound.
const MAX_POOL_NAME_BYTES: usize = 255;

/// Longest line.
const MAX_LINE_BYTES: usize = 1 << 20;

/// Files that one configuration may consist of.
const MAX_FILES: usize = 10_000;

/// Reads `path` and what it includes.
///
/// # Errors
/// All errors there are, php-fpm's closing lines not among them, mixed with warnings.
pub(crate) fn read(path: &Path, options: &LoadOptions<'_>) -> Result<(Written, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut reader = Reader {
        options,
        written: Written::default(),
        diagnostics: Vec::new(),
        pool: None,
        depth: 0,
        bytes: 0,
        files: 0,
        errors: 0,
    };
    if path.as_os_str().is_empty() {
        reader.report(Diagnostic::new(Level::Error, "configuration filename is empty"));
    } else {
        reader.file(path);
    }
    match reader.errors {
        0 => Ok((reader.written, reader.diagnostics)),
        _ => Err(reader.diagnostics),
    }
}

struct Reader<'a> {
    options: &'a LoadOptions<'a>,
    written: Written,
    diagnostics: Vec<Diagnostic>,
    /// The pool whose section this is; `None` in `[global]`. Includes go on in it.
    pool: Option<usize>,
    depth: usize,
    bytes: u64,
    files: usize,
    errors: usize,
}

/// One line while it is read.
struct Line {
    file: usize,
    number: u32,
    offset: usize,
}

impl Line {
    fn span(&self, text: &Text) -> Span {
        Span { file: self.file, line: self.number, offset: self.offset, range: text.span.clone() }
    }
}

impl Reader<'_> {
    fn report(&mut self, diagnostic: Diagnostic) {
        if self.errors >= MAX_ERRORS {
            return;
        }
        self.errors += usize::from(diagnostic.is_error());
        self.diagnostics.push(diagnostic);
        if self.errors == MAX_ERRORS {
            let message = format!("{MAX_ERRORS} errors; the rest is not read");
            self.diagnostics.push(Diagnostic::new(Level::Error, message));
        }
    }

    /// Reads one file; false if it holds an error.
    fn file(&mut self, path: &Path) -> bool {
        let before = self.errors;
        let allowed = MAX_CONFIG_BYTES - self.bytes;
        let bytes = match self.options.files.read(path, allowed + 1) {
            Ok(bytes) => bytes,
            Err(error) => {
                let reason = strerror(&error);
                let path = path.display();
                let message = format!("failed to open configuration file '{path}': {reason}");
                self.report(Diagnostic::new(Level::Error, message));
                return false;
            }
        };
        self.files += 1;
        let refused = if self.depth >= MAX_DEPTH {
            Some(format!("failed to include more than {MAX_DEPTH} files recursively"))
        } else if bytes.len() as u64 > allowed {
            Some(format!("configuration larger than {MAX_CONFIG_BYTES} bytes"))
        } else if self.files > MAX_FILES {
            Some(format!("configuration of more than {MAX_FILES} files"))
        } else {
            None
        };
        if let Some(message) = refused {
            self.report(Diagnostic::new(Level::Error, message));
            return false;
        }
        self.bytes += bytes.len() as u64;
        let bytes: Arc<[u8]> = bytes.into();
        let file = self.written.sources.0.len();
        self.written.sources.0.push(Source { path: path.to_path_buf(), bytes: Arc::clone(&bytes) });
        self.depth += 1;
        let mut offset = 0;
        for (index, text) in bytes.split(|&b| b == b'\n').enumerate() {
            let number = index as u32 + 1;
            let line = Line { file, number, offset };
            offset += text.len() + 1;
            if !text.is_empty() && self.errors < MAX_ERRORS {
                self.line(&line, text, path);
            }
        }
        self.depth -= 1;
        self.errors == before
    }

    fn line(&mut self, line: &Line, text: &[u8], path: &Path) {
        if text.len() > MAX_LINE_BYTES {
            let start = Text { bytes: Vec::new(), span: 0..1 };
            let message = format!("line longer than {MAX_LINE_BYTES} bytes");
            return self.line_error(line, &start, &message, None);
        }
        let mut bytes = text.to_vec();
        bytes.push(b'\n');
        let options = self.options;
        let variable = |name: &[u8]| {
            let value = (options.variable)(OsStr::from_bytes(name))?;
            Some(OsString::into_vec(value))
        };
        let constant = |name: &[u8]| {
            let value = (options.constant)(std::str::from_utf8(name).ok()?)?;
            Some(value.into_bytes())
        };
        let lookup = Lookup { variable: &variable, constant: &constant };
        let (statements, error) = parse_line(&bytes, lookup);
        let mut include: Option<Text> = None;
        for statement in &statements {
            match statement {
                Statement::Section(name) => self.section(line, name),
                Statement::Entry { name, value: None } => self.valueless(line, name),
                Statement::Entry { name, value: Some(value) } => {
                    if name.bytes != b"include" {
                        self.entry(line, name, value);
                    } else if include.is_some() {
                        self.line_error(line, name, "two includes at the same time !", None);
                    } else {
                        include = Some(value.clone());
                    }
                }
                Statement::Array { name, key, value } => self.array(line, name, key, value),
            }
        }
        if let Some(error) = error {
            let text = Text { bytes: Vec::new(), span: error.span };
            let message = format!("PHP:  {} in Unknown on line {}", error.message, error.scanner_line);
            let sources = &self.written.sources;
            let mut diagnostic = sources.diagnostic(Level::Error, message, &line.span(&text));
            diagnostic.level = None;
            diagnostic.help = error.help.map(str::to_string);
            self.report(diagnostic);
        } else if let Some(pattern) = include {
            self.include(line, &pattern, path);
        }
    }

    /// An error php-fpm starts with `[file:line]`.
    fn line_error(&mut self, line: &Line, at: &Text, message: &str, help: Option<String>) {
        let sources = &self.written.sources;
        let path = sources.0[line.file].path.display();
        let message = format!("[{path}:{}] {message}", line.number);
        let mut diagnostic = sources.diagnostic(Level::Error, message, &line.span(at));
        diagnostic.help = help;
        self.report(diagnostic);
    }

    fn section(&mut self, line: &Line, name: &Text) {
        if name.bytes.eq_ignore_ascii_case(b"global") {
            self.pool = None;
            return;
        }
        match std::str::from_utf8(&name.bytes) {
            Ok(text) if text.len() > MAX_POOL_NAME_BYTES => {
                let message = format!("the pool's name is longer than {MAX_POOL_NAME_BYTES} bytes");
                self.line_error(line, name, &message, None);
            }
            Ok(text) => self.pool = Some(self.written.pool(text, &line.span(name))),
            Err(_) => self.line_error(line, name, "the pool's name is not valid UTF-8", None),
        }
    }

    fn valueless(&mut self, line: &Line, name: &Text) {
        let comment = name.bytes.starts_with(b"#") || name.bytes.starts_with(b"//");
        let help = match comment {
            true => "comments start with ';'".into(),
            false if name.bytes.is_empty() => "write name = value".into(),
            false => format!("write {} = …", String::from_utf8_lossy(&name.bytes)),
        };
        let message = "value is NULL for a ZEND_INI_PARSER_ENTRY";
        self.line_error(line, name, message, Some(help));
    }

    fn entry(&mut self, line: &Line, name: &Text, value: &Text) {
        let known = match self.pool {
            None => self.scalar::<Global>(line, name, value),
            Some(_) => self.scalar::<Pool>(line, name, value),
        };
        if !known {
            let help = suggest(&name.bytes, self.here(), false);
            let message = format!("unknown entry '{}'", String::from_utf8_lossy(&name.bytes));
            self.line_error(line, name, &message, help);
        }
    }

    fn here(&self) -> Section {
        match self.pool {
            None => Section::Global,
            Some(_) => Section::Pool,
        }
    }

    /// Sets a directive of the current section; false if it has none of that name.
    fn scalar<Id: Table>(&mut self, line: &Line, name: &Text, value: &Text) -> bool
    where
        Self: Holds<Id>,
    {
        let Some(id) = Id::find(&name.bytes) else {
            return false;
        };
        let directive = id.directive();
        if directive.kind.is_array() {
            return false;
        }
        let parsed = match directive.kind.parse(&value.bytes) {
            Ok(Value::Text(text)) => self.expand_pool(text).map(Value::Text),
            Ok(value) => Ok(value),
            Err(complaint) => Err(complaint.to_string()),
        };
        match parsed {
            Ok(parsed) => {
                let setting = Setting { value: parsed, span: Some(line.span(value)) };
                self.settings().scalars.insert(id, setting);
            }
            Err(complaint) => {
                let name = directive.name;
                let message = format!("unable to parse value for entry '{name}': {complaint}");
                self.line_error(line, value, &message, directive.kind.hint());
            }
        }
        true
    }

    /// Replaces `$pool`. php-fpm replaces it again in what it inserted; a pool whose name holds
    /// `$pool` would keep it busy for ever.
    fn expand_pool(&self, text: Vec<u8>) -> Result<Vec<u8>, String> {
        const TOKEN: &[u8] = b"$pool";
        let Some(first) = find(&text, TOKEN) else {
            return Ok(text);
        };
        let Some(pool) = self.pool else {
            return Err("Can't use '$pool' when the pool is not defined".into());
        };
        let name = self.written.pools[pool].name.as_bytes();
        let mut expanded = text[..first].to_vec();
        let mut rest = &text[first..];
        while let Some(at) = find(rest, TOKEN) {
            expanded.extend(&rest[..at]);
            expanded.extend(name);
            rest = &rest[at + TOKEN.len()..];
            if expanded.len() > MAX_VALUE_BYTES {
                return Err(format!("value longer than {MAX_VALUE_BYTES} bytes"));
            }
        }
        expanded.extend(rest);
        Ok(expanded)
    }

    fn array(&mut self, line: &Line, name: &Text, key: &Text, value: &Text) {
        let shown = String::from_utf8_lossy(&name.bytes);
        let id = Pool::ALL.iter().copied().find(|id| {
            let directive = id.directive();
            directive.kind.is_array() && directive.name.as_bytes() == name.bytes
        });
        if id == Some(Pool::AccessSuppressPath) {
            let before = self.errors;
            if !key.bytes.is_empty() {
                let message = format!("Keys provided to field '{shown}' are ignored");
                let help = format!("write {shown}[] = …");
                self.line_error(line, key, &message, Some(help));
            }
            if value.bytes.first() != Some(&b'/') {
                let message = format!("Values provided to field '{shown}' must begin with '/'");
                self.line_error(line, value, &message, None);
            }
            if self.errors > before {
                return;
            }
        } else if key.bytes.is_empty() {
            let message = format!("You must provide a key for field '{shown}'");
            let help = format!("write {shown}[NAME] = …");
            return self.line_error(line, name, &message, Some(help));
        }
        if self.pool.is_none() {
            let message = "Array are not allowed in the global section";
            let help = "put it into a pool's section, such as [www]".to_string();
            return self.line_error(line, name, message, Some(help));
        }
        let Some(id) = id else {
            let message = format!("unknown directive '{shown}'");
            let help = suggest(&name.bytes, Section::Pool, true);
            return self.line_error(line, name, &message, help);
        };
        if id == Pool::Env && value.bytes.is_empty() {
            let help = "to set it to nothing, leave it out".to_string();
            return self.line_error(line, value, "empty value", Some(help));
        }
        let kind = id.directive().kind;
        let parsed = match kind.parse(&value.bytes) {
            Ok(Value::Bool(on)) => Ok(if on { b"1".to_vec() } else { b"0".to_vec() }),
            Ok(_) => self.expand_pool(value.bytes.clone()),
            Err(complaint) => Err(complaint.to_string()),
        };
        match parsed {
            Ok(value) => {
                let item = Item { id, key: key.bytes.clone(), value, name_span: line.span(name) };
                Holds::<Pool>::settings(self).items.push(item);
            }
            Err(complaint) => {
                let key = String::from_utf8_lossy(&key.bytes);
                let message = format!("error while parsing '{shown}[{key}]' : {complaint}");
                let help = kind.hint().filter(|_| matches!(kind, Type::Map { flag: true }));
                self.line_error(line, value, &message, help);
            }
        }
    }

    fn include(&mut self, line: &Line, pattern: &Text, from: &Path) {
        let full = paths::absolute(&pattern.bytes, None, &self.options.compile_prefix, self.options);
        let full = PathBuf::from(OsString::from_vec(full));
        let (shown, from, number) = (full.display(), from.display(), line.number);
        let problem = match files::expand(self.options.files, &full) {
            Err(_) => {
                Some((Level::Error, format!("Unable to globalize '{shown}' (ret=2) from {from} at line {number}.")))
            }
            Ok(None) => Some((
                Level::Warning,
                format!("Nothing matches the include pattern '{shown}' from {from} at line {number}."),
            )),
            Ok(Some(found)) => {
                for file in found {
                    if self.errors < MAX_ERRORS && !self.file(&file) {
                        let file = file.display();
                        let message = format!("Unable to include {file} from {from} at line {number}");
                        let span = line.span(pattern);
                        let sources = &self.written.sources;
                        self.report(sources.diagnostic(Level::Error, message, &span));
                    }
                }
                None
            }
        };
        if let Some((level, message)) = problem {
            let sources = &self.written.sources;
            self.report(sources.diagnostic(level, message, &line.span(pattern)));
        }
    }
}

/// The settings of the section that is being read.
trait Holds<Id> {
    fn settings(&mut self) -> &mut Settings<Id>;
}

impl Holds<Global> for Reader<'_> {
    fn settings(&mut self) -> &mut Settings<Global> {
        &mut self.written.global
    }
}

impl Holds<Pool> for Reader<'_> {
    /// Only called within a pool's section.
    fn settings(&mut self) -> &mut Settings<Pool> {
        let pool = self.pool.unwrap_or_default();
        &mut self.written.pools[pool].settings
    }
}

fn find(text: &[u8], token: &[u8]) -> Option<usize> {
    text.windows(token.len()).position(|part| part == token)
}

/// An I/O error as php-fpm shows it: `No such file or directory (2)`.
fn strerror(error: &std::io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(code) => {
            let text = text.split(" (os error").next().unwrap_or_default();
            format!("{text} ({code})")
        }
        None => text,
    }
}
