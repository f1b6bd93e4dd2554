//! What a configuration asks for that means something else where requests are threads of one
//! process. The texts stand in the tables; here is when they matter.

use crate::config::Config;
use crate::diagnostic::{Diagnostic, Level};
use crate::directive::Value;
use crate::table::{Global, Pool, Table, php_settings};
use crate::written::{Settings, Span, WrittenPool};

/// Fewer open files for a thread than this are too few: connections and scripts take theirs from
/// what the pool has.
const FILES_PER_THREAD: i32 = 64;

impl Config {
    /// A warning for each directive, once, that does not mean here what it means to php-fpm, where
    /// its value makes that matter. In the order of the tables.
    pub fn thread_notes(&self) -> Vec<Diagnostic> {
        let (global, pools) = (&self.written.global, &self.written.pools);
        let mut notes = Vec::new();
        if let Some(span) = global.span(Global::RlimitFiles) {
            let shared = pools.iter().filter(|pool| pool.settings.integer(Pool::RlimitFiles) == 0);
            let help = shared.filter_map(|pool| few_files(global.integer(Global::RlimitFiles), pool)).next();
            notes.extend(help.map(|help| self.note(global, Global::RlimitFiles, span, Some(help))));
        }
        if let Some(span) = global.span(Global::EventsMechanism)
            && self.global.events_mechanism != Some("epoll")
        {
            notes.push(self.note(global, Global::EventsMechanism, span, None));
        }
        let few = pools.iter().find_map(|pool| {
            let help = few_files(pool.settings.integer(Pool::RlimitFiles), pool)?;
            let span = pool.settings.span(Pool::RlimitFiles)?;
            Some(self.note(&pool.settings, Pool::RlimitFiles, span, Some(help)))
        });
        notes.extend(few);
        notes.extend(self.php_notes());
        notes
    }

    fn php_notes(&self) -> impl Iterator<Item = Diagnostic> {
        let items = || self.written.pools.iter().flat_map(|pool| &pool.settings.items);
        let is_php = |id| matches!(id, Pool::PhpValue | Pool::PhpFlag | Pool::PhpAdminValue | Pool::PhpAdminFlag);
        php_settings().iter().filter_map(move |setting| {
            let named = |key: &[u8]| key == setting.name.as_bytes();
            let item = items().find(|item| is_php(item.id) && named(&item.key) && setting.matters(&item.value))?;
            let name = format!("{}[{}]", item.id.directive().name, setting.name);
            Some(self.warning(&name, &item.value, setting.threads, &item.name_span))
        })
    }

    fn note<Id: Table>(&self, settings: &Settings<Id>, id: Id, span: &Span, help: Option<String>) -> Diagnostic {
        let directive = id.directive();
        let value = match settings.value(id) {
            Some(Value::Integer(number)) => number.to_string().into_bytes(),
            Some(Value::Text(text)) => text,
            _ => Vec::new(),
        };
        let mut note = self.warning(directive.name, &value, directive.threads.unwrap_or_default(), span);
        note.help = help;
        note
    }

    fn warning(&self, name: &str, value: &[u8], text: &str, span: &Span) -> Diagnostic {
        let value = String::from_utf8_lossy(value);
        let place = self.written.sources.location(span);
        let message = format!("[{}:{}] '{name} = {value}': {text}", place.file.display(), place.line);
        self.written.sources.diagnostic(Level::Warning, message, span)
    }
}

/// What to do if `limit` (0: none) open files are too few for the pool's threads.
fn few_files(limit: i32, pool: &WrittenPool) -> Option<String> {
    let threads = pool.settings.integer(Pool::PmMaxChildren);
    let enough = threads.saturating_mul(FILES_PER_THREAD);
    (1..enough).contains(&limit).then(|| {
        format!("the {threads} threads of pool {} need {enough} or more; 0 takes what the system allows", pool.name)
    })
}
