//! "did you mean …?"

use crate::directive::{Directive, Section};
use crate::table::directives;

/// Longest misspelt name that is compared with the table, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Help for a name that is no directive of `section`. `bracketed`: it was written `name[key]`.
pub(crate) fn suggest(name: &[u8], section: Section, bracketed: bool) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return None;
    }
    if name.starts_with('#') {
        return Some("comments start with ';'".into());
    }
    let mut exact: Option<&Directive> = None;
    for directive in directives().filter(|d| d.name.eq_ignore_ascii_case(name)) {
        if exact.is_none_or(|found| found.section != section) {
            exact = Some(directive);
        }
    }
    if let Some(directive) = exact {
        return Some(misplaced(directive, section, bracketed));
    }
    if name.eq_ignore_ascii_case("include") {
        return Some("write include in lower case and without brackets".into());
    }
    let lower = name.to_ascii_lowercase();
    let near = |d: &&Directive| -> usize { strsim::damerau_levenshtein(&lower, d.name) };
    // One slip for a short name, about one in four letters for a long one.
    let reach = (name.len() / 4).max(1);
    // The same section first, so that it wins when both are equally near.
    let mut candidates: Vec<&Directive> = directives().collect();
    candidates.sort_by_key(|d| d.section != section);
    let best = candidates.into_iter().min_by_key(near)?;
    (near(&best) <= reach).then(|| match best.section == section {
        true => format!("did you mean '{}'?", spelling(best)),
        false => format!("did you mean '{}'? It belongs in {}", best.name, home(best)),
    })
}

/// Help for a name that exists, but not like this.
fn misplaced(directive: &Directive, section: Section, bracketed: bool) -> String {
    if directive.section != section {
        return format!("'{}' belongs in {}", directive.name, home(directive));
    }
    match bracketed {
        true if directive.kind.is_array() => format!("write '{}' in lower case", directive.name),
        true => format!("'{}' takes no brackets", directive.name),
        false => format!("write {} = …", spelling(directive)),
    }
}

fn spelling(directive: &Directive) -> String {
    match directive.kind {
        crate::directive::Type::Map { .. } => format!("{}[NAME]", directive.name),
        crate::directive::Type::Paths => format!("{}[]", directive.name),
        _ => directive.name.to_string(),
    }
}

fn home(directive: &Directive) -> &'static str {
    match directive.section {
        Section::Global => "the section [global]",
        Section::Pool => "a pool's section, such as [www]",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_answered_with_the_name_meant() {
        let help = |name: &str, section| suggest(name.as_bytes(), section, false);
        let said = |text: &str| Some(text.to_string());
        use Section::{Global, Pool};
        assert_eq!(help("pm.max_childrn", Pool), said("did you mean 'pm.max_children'?"));
        assert_eq!(help("PM.Max_Childrn", Pool), said("did you mean 'pm.max_children'?"));
        assert_eq!(help("rlimit_file", Global), said("did you mean 'rlimit_files'?"));
        assert_eq!(help("php_vaule", Pool), said("did you mean 'php_value[NAME]'?"));
        assert_eq!(help("daemonise", Pool), said("did you mean 'daemonize'? It belongs in the section [global]"));
        assert_eq!(help("listen", Global), said("'listen' belongs in a pool's section, such as [www]"));
        assert_eq!(help("env", Pool), said("write env[NAME] = …"));
        assert_eq!(help("# pid", Global), said("comments start with ';'"));
        assert_eq!(help("Include", Pool), said("write include in lower case and without brackets"));
        assert_eq!(help("entirely_different", Pool), None);
        assert_eq!(help(&"x".repeat(1 << 20), Pool), None);
        let brackets = |name: &str| suggest(name.as_bytes(), Pool, true);
        assert_eq!(brackets("user"), said("'user' takes no brackets"));
        assert_eq!(brackets("ENV"), said("write 'env' in lower case"));
        assert_eq!(brackets("php_values"), said("did you mean 'php_value[NAME]'?"));
    }
}
