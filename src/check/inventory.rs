//! What a pool's PHP consists of, and which of its functions do not mean what they mean to a process of its own.

use super::shared;
use crate::php::Engine;

/// The longest list that is one line, in bytes: PHP-FPM cuts a message at 2048.
const LIST_MAX: usize = 1500;

/// Lines about the engine: its extensions, the functions that are refused, those that act on all requests.
pub fn lines(engine: &Engine) -> Vec<String> {
    let mut lines = extensions(&Engine::php_version(), engine.extensions());
    let refused = engine.refused_functions();
    if !refused.is_empty() {
        lines.push(format!("refused with a warning, since they would act on all requests: {refused}"));
    }
    lines.extend(shared::functions(engine));
    lines
}

/// PHP's version and the extensions' names in alphabetical order, each with its version where that is another.
fn extensions(php: &str, mut loaded: Vec<(String, String)>) -> Vec<String> {
    loaded.sort_by_key(|(name, _)| name.to_lowercase());
    let mut lists = vec![String::new()];
    for (name, version) in &loaded {
        // mysqlnd's begins with its name.
        let version = version.strip_prefix(name.as_str()).unwrap_or(version).trim_start();
        let item = match version.is_empty() || version == php {
            true => name.clone(),
            false => format!("{name} {version}"),
        };
        let list = lists.last_mut().filter(|list| list.len() + item.len() < LIST_MAX);
        match list {
            Some(list) if list.is_empty() => *list = item,
            Some(list) => *list += &format!(", {item}"),
            None => lists.push(item),
        }
    }
    lists.into_iter().map(|list| format!("PHP {php} with {list}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_named_with_versions_of_their_own() {
        let loaded = [("xdebug", "3.3.1"), ("Core", "8.2.1"), ("mysqlnd", "mysqlnd 8.2.1"), ("x", "")];
        let loaded = loaded.map(|(name, version)| (name.to_string(), version.to_string())).to_vec();
        assert_eq!(extensions("8.2.1", loaded), ["PHP 8.2.1 with Core, mysqlnd, x, xdebug 3.3.1"]);
    }

    #[test]
    fn long_lists_take_several_lines() {
        let loaded: Vec<_> = (100..600).map(|n| (format!("extension{n}"), String::new())).collect();
        let lines = extensions("8.2.1", loaded);
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() < 2000), "{}", lines.len());
        assert!(lines[1].starts_with("PHP 8.2.1 with extension"), "{}", lines[1]);
    }
}
