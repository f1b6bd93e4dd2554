//! A .phpt file: sections that each begin with a line such as `--FILE--`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// One test, as it stands in its file.
#[derive(Debug)]
pub struct Phpt {
    sections: HashMap<String, Vec<u8>>,
}

impl Phpt {
    /// Reads the file `path`; an error says why it is no test.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(|e| e.to_string())?;
        let mut phpt = Self::parse(&bytes)?;
        for name in ["FILE", "EXPECT", "EXPECTF", "EXPECTREGEX"] {
            if let Some(file) = phpt.text(&format!("{name}_EXTERNAL")) {
                // Only from the test's own directory and below it.
                let file = path.with_file_name(file.replace("..", "").trim());
                let content = fs::read(&file).map_err(|e| format!("--{name}_EXTERNAL-- {}: {e}", file.display()))?;
                phpt.sections.insert(name.to_owned(), content);
            }
        }
        if let Some(mut file) = phpt.sections.remove("FILEEOF") {
            file.truncate(end_without_newlines(&file));
            phpt.sections.insert("FILE".to_owned(), file);
        }
        Ok(phpt)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut sections: HashMap<String, Vec<u8>> = HashMap::new();
        let mut current = None;
        // What stands behind ===DONE=== in a script is no part of it.
        let mut done = false;
        for line in bytes.split_inclusive(|&b| b == b'\n') {
            if let Some(name) = heading(line) {
                done = false;
                if sections.insert(name.clone(), Vec::new()).is_some_and(|before| !before.is_empty()) {
                    return Err(format!("two sections --{name}--"));
                }
                current = Some(name);
                continue;
            }
            let name = current.as_deref().ok_or("it does not begin with --TEST--")?;
            if !done {
                sections.get_mut(name).expect("inserted at its heading").extend_from_slice(line);
            }
            done |= name.starts_with("FILE") && line.trim_ascii_end() == b"===DONE===";
        }
        Ok(Self { sections })
    }

    /// What a section holds; `None` if there is none of that name.
    pub fn section(&self, name: &str) -> Option<&[u8]> {
        self.sections.get(name).map(Vec::as_slice)
    }

    /// What a section holds, if that is anything.
    pub fn filled(&self, name: &str) -> Option<&[u8]> {
        self.section(name).filter(|content| !content.trim_ascii().is_empty())
    }

    /// What a section holds, as text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.section(name).map(|content| String::from_utf8_lossy(content).into_owned())
    }
}

/// `NAME` of a line that begins with `--NAME--`.
fn heading(line: &[u8]) -> Option<String> {
    let rest = line.strip_prefix(b"--")?;
    let end = rest.iter().position(|b| !b.is_ascii_uppercase() && *b != b'_')?;
    (end > 0 && rest[end..].starts_with(b"--")).then(|| String::from_utf8_lossy(&rest[..end]).into_owned())
}

/// The length of `text` without the line ends at its end.
fn end_without_newlines(text: &[u8]) -> usize {
    text.iter().rposition(|&b| b != b'\n' && b != b'\r').map_or(0, |last| last + 1)
}
