//! Takes from what a server answered and logged what differs between any two runs: times, durations, process ids,
//! addresses, its own directory, the version's last digit.

use std::borrow::Cow;
use std::path::PathBuf;

use regex_lite::Regex;

use crate::compare::without_addresses;
use crate::net::Address;

/// Lines longer than this hold nothing that differs, and would take long.
const LONGEST: usize = 16 * 1024;

/// So many equal characters and more are written as one with its count.
const RUN: usize = 100;

/// What a line must hold for a pattern to be tried, the pattern, and what takes its place.
const PATTERNS: &[(&str, &str, &str)] = &[
    // The error log.
    ("-20", r"^\[\d\d-\w{3}-\d{4} \d\d:\d\d:\d\d(\.\d+)?\]", "[TIME]"),
    ("child ", r"\bchild \d+\b", "child PID"),
    ("pid", r"\bpid:? \d+\b", "pid PID"),
    ("seconds from start", r"\d+\.\d+ seconds from start", "SECONDS seconds from start"),
    // The access log.
    ("/20", r"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
    ("cpu=", r"\bcpu=\d+\.\d\d\b", "cpu=N.NN"),
    ("took=", r"\btook=\d+\.\d{3}\b", "took=N.NNN"),
    ("us=", r"\bus=\d+\b", "us=N"),
    ("mem=", r"\bmem=\d+\b", "mem=N"),
    ("at=", r"\bat=\d+:\d+\b", "at=N:N"),
    ("pid=", r"\bpid=\d+ parent=\d+\b", "pid=N parent=N"),
    // The status page, in all its forms. The figures depend on when php-fpm's master last counted, and how often the
    // harness looked whether the server answers; tests of the status page compare them.
    (
        ": ",
        r"^(pid|start time|start since|requests|request duration|last request (?:cpu|memory)):( +)[\d./A-Z]+",
        "$1:${2}N",
    ),
    (
        ": ",
        r"^(accepted conn|(?:max )?listen queue(?: len)?|(?:idle|active|total|max active) processes):( +)\d+",
        "$1:${2}N",
    ),
    (
        "\":",
        r#""(pid|start time|start since|requests|request duration|last request (?:cpu|memory))":[\d.]+"#,
        "\"$1\":N",
    ),
    ("</", r"<(pid|start-time|start-since|requests|request-duration|last-request-(?:cpu|memory))>[\d.]+<", "<$1>N<"),
    ("<th>", r"<th>(start time|start since)</th><td>[^<]*<", "<th>$1</th><td>N<"),
    (
        "\":",
        r#""(accepted conn|(?:max )?listen queue(?: len)?|(?:idle|active|total|max active) processes)":\d+"#,
        "\"$1\":N",
    ),
    (
        "</",
        r"<(accepted-conn|(?:max-)?listen-queue(?:-len)?|(?:idle|active|total|max-active)-processes)>\d+<",
        "<$1>N<",
    ),
    (
        "<th>",
        r"<th>(accepted conn|(?:max )?listen queue(?: len)?|(?:idle|active|total|max active) processes)</th><td>\d+<",
        "<th>$1</th><td>N<",
    ),
    (
        "phpfpm_",
        r"^phpfpm_(start_since|accepted_connections|(?:max_)?listen_queue(?:_length)?|(?:idle|active|total|max_active)_processes) \d+",
        "phpfpm_$1 N",
    ),
    (
        "<td>",
        r"<td>\d+</td>(<td>[\w ]+</td>)<td>TIME</td><td>\d+</td><td>\d+</td><td>\d+</td>(.*)<td>[\d.]+</td><td>\d+</td>",
        "<td>N</td>$1<td>N</td><td>N</td><td>N</td><td>N</td>$2<td>N</td><td>N</td>",
    ),
    ("phpftm_", r"^(phpftm_\S+) .*", "$1 N"),
    ("\"php-ftm\"", r#", "php-ftm":\{.*\}\}\}"#, ", \"php-ftm\":N}"),
    // PHP. The size that a block is rounded to changed between patch releases.
    ("tried to allocate", r"tried to allocate \d+ bytes", "tried to allocate N bytes"),
    ("Max-Age=", r"Max-Age=[1-9]\d+", "Max-Age=N"),
    ("PHP/8.", r"PHP/8\.\d+\.\d+\S*", "PHP/VERSION"),
];

/// What is known of one server that its counterpart has otherwise.
#[derive(Debug)]
pub struct Normal {
    patterns: Vec<(&'static str, Regex, &'static str)>,
    rooms: Vec<(PathBuf, &'static str)>,
    addresses: Vec<(Address, &'static str)>,
}

impl Normal {
    /// Knows the patterns that hold for all servers.
    pub fn new() -> Self {
        let compile = |&(sign, pattern, with)| (sign, Regex::new(pattern).expect("a pattern"), with);
        Self { patterns: PATTERNS.iter().map(compile).collect(), rooms: Vec::new(), addresses: Vec::new() }
    }

    /// Calls a directory by a fixed word, as it is and as JSON has it.
    pub fn room(mut self, path: PathBuf, word: &'static str) -> Self {
        self.rooms.push((path, word));
        self
    }

    /// Calls an address by a fixed word.
    pub fn address(mut self, address: &Address, word: &'static str) -> Self {
        self.addresses.push((address.clone(), word));
        self
    }

    /// The text with all of it replaced.
    pub fn text(&self, text: &str) -> String {
        let addresses: Vec<_> = self.addresses.iter().map(|(address, word)| (address, *word)).collect();
        let text = without_addresses(text, &addresses);
        let text = self.rooms.iter().fold(text, |t, (path, word)| {
            let path = path.display().to_string();
            t.replace(&path, word).replace(&path.replace('/', "\\/"), word)
        });
        short(&text).split_inclusive('\n').map(|line| self.line(line)).collect()
    }

    fn line<'a>(&self, line: &'a str) -> Cow<'a, str> {
        let mut line = Cow::Borrowed(line);
        for (sign, regex, with) in &self.patterns {
            if line.len() <= LONGEST && line.contains(sign) && regex.is_match(&line) {
                line = regex.replace_all(&line, *with).into_owned().into();
            }
        }
        line
    }
}

/// The text with long runs of one character written as the character and its count.
fn short(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let run = rest.len() - rest.trim_start_matches(c).len();
        match run / c.len_utf8() {
            count if count >= RUN => out += &format!("{c}{{{count} times}}"),
            _ => out.push_str(&rest[..run]),
        }
        rest = &rest[run..];
    }
    out
}
