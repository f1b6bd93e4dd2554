//! `-tt`: the configuration as it is understood, in php-fpm's format (`fpm_conf_dump`).

use crate::config::Config;
use crate::directive::{Type, Value};
use crate::table::{Global, LOG_LEVELS, Pool, Table};
use crate::validate::{MECHANISMS, priority_of};
use crate::written::Settings;

impl Config {
    /// The lines php-fpm prints at level NOTICE for `-tt`: `[section]`, one line per directive with
    /// a tab before it, and a line with a blank behind each section. Our own directives stand
    /// behind php-fpm's scalar ones.
    pub fn dump(&self) -> Vec<String> {
        let mut lines = vec!["[global]".to_string()];
        let global = &self.written.global;
        for &id in Global::ALL {
            let text = match id {
                // A number; unset it is not even that.
                Global::SyslogFacility => global.integer(id).to_string(),
                Global::LogLevel => log_level(global),
                Global::EventsMechanism => {
                    let name = self.global.events_mechanism;
                    name.unwrap_or(MECHANISMS[0]).to_string()
                }
                _ => scalar(global, id),
            };
            lines.push(format!("\t{} = {text}", id.directive().name));
        }
        lines.push(" ".into());
        for pool in &self.written.pools {
            lines.push(format!("[{}]", pool.name));
            for &id in Pool::ALL {
                let directive = id.directive();
                match id {
                    // Not in php-fpm's list.
                    Pool::ApparmorHat => {}
                    Pool::PmProcessIdleTimeout => {
                        let seconds = pool.settings.integer(id);
                        lines.push(format!("\t{} = {seconds}", directive.name));
                    }
                    // Flags are shown among the values they are kept with.
                    Pool::PhpFlag | Pool::PhpAdminFlag => {}
                    Pool::PhpValue => items(&mut lines, &pool.settings, &[id, Pool::PhpFlag]),
                    Pool::PhpAdminValue => {
                        items(&mut lines, &pool.settings, &[id, Pool::PhpAdminFlag]);
                    }
                    _ if directive.kind.is_array() => items(&mut lines, &pool.settings, &[id]),
                    _ => {
                        let text = scalar(&pool.settings, id);
                        lines.push(format!("\t{} = {text}", directive.name));
                    }
                }
            }
            lines.push(" ".into());
        }
        lines
    }
}

/// Array entries, the last of the file first.
fn items(lines: &mut Vec<String>, settings: &Settings<Pool>, ids: &[Pool]) {
    let name = ids[0].directive().name;
    for item in settings.items.iter().rev() {
        if ids.contains(&item.id) {
            let key = String::from_utf8_lossy(&item.key);
            let value = String::from_utf8_lossy(&item.value);
            lines.push(format!("\t{name}[{key}] = {value}"));
        }
    }
}

fn log_level(settings: &Settings<Global>) -> String {
    let number = settings.integer(Global::LogLevel);
    match settings.is_set(Global::LogLevel) {
        true => LOG_LEVELS
            .iter()
            .find(|choice| choice.number == number)
            .map(|choice| choice.name.to_ascii_uppercase())
            .unwrap_or_default(),
        false => "unknown value".into(),
    }
}

fn scalar<Id: Table>(settings: &Settings<Id>, id: Id) -> String {
    const UNDEFINED: &str = "undefined";
    let kind = id.directive().kind;
    if matches!(kind, Type::Priority) {
        let priority = priority_of(settings.value(id));
        return priority.map_or(UNDEFINED.into(), |number| number.to_string());
    }
    match (settings.value(id), kind) {
        (Some(Value::Bool(on)), _) => if on { "yes" } else { "no" }.into(),
        (Some(Value::Integer(number)), Type::Time) => format!("{number}s"),
        (Some(Value::Integer(number)), Type::Choice { choices, .. }) => {
            let choice = choices.iter().find(|choice| choice.number == number);
            choice.map_or(UNDEFINED.into(), |choice| choice.name.to_string())
        }
        (Some(Value::Integer(number)), _) => number.to_string(),
        (Some(Value::Size(bytes)), _) => bytes.to_string(),
        // Defaults of texts show only where validation put them in.
        (Some(Value::Text(text)), _) if settings.is_set(id) => String::from_utf8_lossy(&text).into_owned(),
        _ => UNDEFINED.into(),
    }
}
