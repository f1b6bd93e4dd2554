//! php-ftm and php-fpm side by side, and what their answers may differ in.

use crate::fcgi;
use crate::http;
use crate::net::Address;
use crate::server::{Kind, Server, ServerConfig};
use crate::site::Site;
use crate::wait::skipped;

/// A script that prints every variable that the web server's request can set, one per line, in PHP's order.
pub const VARS_SCRIPT: &str = r#"<?php
function show(string $title, array $values): void {
    foreach ($values as $name => $value) {
        if (in_array($name, ['REQUEST_TIME', 'REQUEST_TIME_FLOAT'], true)) $value = gettype($value);
        elseif (!is_string($value)) $value = gettype($value) . ' ' . json_encode($value);
        echo $title, '[', addcslashes($name, "\0..\37\177..\377"), '] = ',
            addcslashes($value, "\0..\37\177..\377"), "\n";
    }
}
$single = [];
foreach (array_keys($_SERVER + getenv() + ['HTTP_PROXY' => 1, 'HTTP_' => 1, 'UNSET' => 1]) as $name) {
    $single[$name] = getenv($name);
}
show('SERVER', $_SERVER);
show('ENV', $_ENV);
// php-fpm shortens a value in place and leaves the rest of the old one behind a zero byte.
show('getenv', array_map(fn($v) => is_string($v) ? explode("\0", $v)[0] : $v, getenv()));
show('getenv one', $single);
show('getenv local', ['PATH' => getenv('PATH', true), 'SCRIPT_NAME' => getenv('SCRIPT_NAME', true)]);
show('headers', apache_request_headers());
show('all headers', getallheaders());
show('GET', $_GET);
show('POST', $_POST);
show('COOKIE', $_COOKIE);
show('FILES', array_map(fn($f) => [$f['name'], $f['error'], $f['size']], $_FILES));
show('REQUEST', $_REQUEST);
show('filter', ['method' => filter_input(INPUT_SERVER, 'REQUEST_METHOD'), 'q' => filter_input(INPUT_GET, 'q')]);
show('other', ['sapi' => PHP_SAPI, 'cwd' => getcwd(), 'input' => file_get_contents('php://input'),
    'included' => get_included_files(), 'file' => __FILE__, 'self' => $PHP_SELF ?? null]);
"#;

/// The reference and the server under test, with equal configurations.
#[derive(Debug)]
pub struct Pair {
    /// The distribution's php-fpm.
    pub reference: Server,
    /// php-ftm (or php-fpm once more, if that is what the tests are run with).
    pub tested: Server,
}

impl Pair {
    /// Starts both on the same docroot.
    pub fn start(site: &Site, config: &ServerConfig) -> Self {
        let reference = Server::start_as(Kind::PhpFpm, site, config.clone());
        Self { reference, tested: Server::start(site, config.clone()) }
    }

    /// Whether both are of the same PHP version, so that a difference is no change of PHP's own. Says so if not.
    pub fn same_version(&self) -> bool {
        let [reference, tested] = self.both().map(|server| server.kind().php_version());
        if reference != tested {
            skipped(&format!("what PHP {}.{} and {}.{} do differently", reference.0, reference.1, tested.0, tested.1));
        }
        reference == tested
    }

    /// Both, the reference first.
    pub fn both(&self) -> [&Server; 2] {
        [&self.reference, &self.tested]
    }
}

/// All of a FastCGI answer as text: STDOUT with the headers in their order, STDERR, END_REQUEST.
pub fn fcgi_text(answer: &fcgi::Answer) -> String {
    let out = String::from_utf8_lossy(&answer.stdout);
    format!("{out}\nSTDERR {}\nEND {} {}", answer.error_text(), answer.app_status, answer.protocol_status)
}

/// All of an HTTP answer as text: status line, headers in their order, body; without what differs from one connection
/// to the next.
pub fn http_text(answer: &http::Answer) -> String {
    let heads: Vec<&(String, String)> = answer.headers.iter().filter(|(n, _)| n != "Date").collect();
    let line = |line: &str| match line.split_once("[REMOTE_PORT] = ") {
        Some((title, _)) => format!("{title}[REMOTE_PORT] = PORT\n"),
        None => format!("{line}\n"),
    };
    format!("{}\n{heads:?}\n{}", answer.status_line, answer.text()).lines().map(line).collect()
}

/// Replaces what tells two running servers apart (ports and socket names) by fixed words.
pub fn without_addresses(text: &str, addresses: &[(&Address, &str)]) -> String {
    addresses.iter().fold(text.to_owned(), |text, (address, word)| match address {
        Address::Unix(path) => text.replace(&path.display().to_string(), word),
        Address::Tcp(tcp) => {
            let text = text.replace(&tcp.to_string(), word);
            // The port alone: a variable's value, or in a text such as SERVER_SIGNATURE.
            text.replace(&format!("= {}\n", tcp.port()), &format!("= {word}\n"))
                .replace(&format!("Port {}", tcp.port()), &format!("Port {word}"))
        }
    })
}

/// The first difference of two texts, with its line number and a few lines before it; `None` if they are equal.
pub fn difference(reference: &str, tested: &str) -> Option<String> {
    let (a, b): (Vec<&str>, Vec<&str>) = (reference.lines().collect(), tested.lines().collect());
    let at = (0..a.len().max(b.len())).find(|&i| a.get(i) != b.get(i))?;
    let before = a[at.saturating_sub(3)..at].join("\n");
    Some(format!("line {}:\n{before}\nreference: {:?}\ntested:    {:?}", at + 1, a.get(at), b.get(at)))
}
