//! A real application: DokuWiki from the distribution's packages answers step by step as under php-fpm.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use ftm_tests::compare::difference;
use ftm_tests::*;
use regex_lite::Regex;

/// A private DokuWiki and a copy of its data as it was before anybody wrote to it.
struct Wiki {
    site: Site,
    dir: PathBuf,
}

impl Wiki {
    fn set_up() -> Self {
        let site = Site::new();
        let dir = site.dir().join("wiki");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/dokuwiki");
        let output = Command::new(script).arg(&dir).output().expect("scripts/dokuwiki");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "scripts/dokuwiki: {said}");
        let local = dir.join("etc/dokuwiki/local.php");
        let mut settings = std::fs::read_to_string(&local).expect("local.php");
        settings.push_str("$conf['send404'] = 1;\n");
        std::fs::write(&local, settings).expect("local.php");
        let shown = dir.join("usr/share/dokuwiki");
        std::os::unix::fs::symlink(shown, site.docroot().join("dokuwiki")).expect("link");
        if nix::unistd::geteuid().is_root() {
            run("chown", &["-R", "www-data:www-data", &dir.join("var").display().to_string()]);
        }
        run("cp", &["-a", &dir.join("var").display().to_string(), &dir.join("var.first").display().to_string()]);
        Self { site, dir }
    }

    /// Puts the data back to what it was.
    fn restore(&self) {
        std::fs::remove_dir_all(self.dir.join("var")).expect("remove");
        let [first, var] = ["var.first", "var"].map(|name| self.dir.join(name).display().to_string());
        run("cp", &["-a", &first, &var]);
    }
}

fn run(program: &str, args: &[&str]) {
    assert!(Command::new(program).args(args).status().expect(program).success(), "{program} {args:?}");
}

/// A browser: it keeps cookies and the security token of the last form.
struct Browser {
    nginx: Nginx,
    cookies: BTreeMap<String, String>,
    token: String,
    /// What was answered so far, with what differs from run to run replaced.
    steps: Vec<(String, String)>,
    replace: Vec<(Regex, &'static str)>,
}

impl Browser {
    fn new(nginx: Nginx) -> Self {
        let replace = [
            (r":\d{5}\b", ""), // the front's port
            (r"\b[0-9a-f]{32,64}\b", "HASH"),
            (r"tok=[0-9a-f]{6}\b", "tok=TOKEN"),
            (r"\bDW[0-9a-f]{32}", "DWHASH"),
            (r"(DokuWiki|PHPSESSID)=[^;]+", "$1=SESSION"),
            (r"DWHASH=[^;]+", "DWHASH=LOGIN"),
            (r"\d{4}/\d\d/\d\d \d\d:\d\d", "DATE"),
            // The same in the editor's settings, which are JavaScript strings.
            (r"\d{4}\\/\d\d\\/\d\d \d\d:\d\d", "DATE"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([+-]\d\d:?\d\d|Z)", "DATE"),
            (r"[A-Z][a-z]{2}, \d\d[ -][A-Z][a-z]{2}[ -]\d{4} \d\d:\d\d:\d\d (GMT|[+-]\d{4})", "DATE"),
            (r"\b1[789]\d{8}\b", "TIME"),
            (r"\b8\.\d\.\d+\b", "PHP"),
            (r"\b\d+ seconds ago|just now|\b1 minute ago", "AGO"),
            // The profile of newer versions shows a signed token that holds the time.
            (r"eyJ[\w-]+\.[\w-]+\.[\w+/=-]+", "TOKEN"),
        ];
        let replace = replace.map(|(pattern, with)| (Regex::new(pattern).expect(pattern), with)).to_vec();
        Self { nginx, cookies: BTreeMap::new(), token: String::new(), steps: Vec::new(), replace }
    }

    /// Sends a request and notes the answer; `status` and `text` say what makes it the right one.
    #[track_caller]
    fn step(&mut self, name: &str, mut request: Request, status: u16, text: &str) -> Answer {
        if !self.cookies.is_empty() {
            let cookies: Vec<_> = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
            request = request.header("Cookie", &cookies.join("; "));
        }
        let answer = self.nginx.send(&request);
        let body = answer.text();
        assert!(answer.status == status, "{name}: {}\n{:?}\n{body}", answer.status_line, answer.headers);
        assert!(body.contains(text), "{name}: no {text:?} in\n{body}");
        for cookie in answer.all("set-cookie") {
            let (name, value) = cookie.split(';').next().and_then(|c| c.split_once('=')).expect("a cookie");
            if value == "deleted" {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        if let Some((_, rest)) = body.split_once("name=\"sectok\" value=\"") {
            self.token = rest.split('"').next().unwrap_or_default().to_owned();
        }
        let heads = answer.headers.iter().filter(|(n, _)| !["Date", "Content-Length"].contains(&n.as_str()));
        let heads: Vec<_> = heads.map(|(n, v)| format!("{n}: {v}")).collect();
        // Images are compared byte by byte, in hexadecimal digits too short to look like a hash.
        let body = match answer.header("content-type") {
            Some(kind) if kind.starts_with("image/") => {
                answer.body.chunks(8).map(|c| format!("{c:02x?}\n")).collect::<String>()
            }
            _ => body,
        };
        let text = format!("{}\n{}\n\n{body}", answer.status_line, heads.join("\n"));
        let text =
            self.replace.iter().fold(text, |text, (pattern, with)| pattern.replace_all(&text, *with).into_owned());
        self.steps.push((name.to_owned(), text));
        answer
    }

    #[track_caller]
    fn get(&mut self, name: &str, target: &str, status: u16, text: &str) -> Answer {
        self.step(name, Request::get(&format!("/dokuwiki/{target}")), status, text)
    }

    /// Posts form fields, the security token among them.
    #[track_caller]
    fn post(&mut self, name: &str, target: &str, fields: &[(&str, &str)], status: u16, text: &str) -> Answer {
        let encode = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
        let token = [("sectok", self.token.as_str())];
        let form: Vec<_> = fields.iter().chain(&token).map(|(n, v)| format!("{}={}", encode(n), encode(v))).collect();
        let kind = "application/x-www-form-urlencoded";
        self.step(name, Request::post(&format!("/dokuwiki/{target}"), kind, form.join("&")), status, text)
    }
}

/// The page's hidden fields that saving needs back.
fn hidden(page: &Answer, field: &str) -> String {
    let page = page.text();
    let rest = page.split_once(&format!("name=\"{field}\" value=\"")).map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
}

/// DokuWiki tells revisions apart by the second in which they were saved.
fn next_second() {
    let second = || SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let now = second();
    eventually("the clock goes on", || second() != now);
}

/// Reads, searches, logs in, edits, uploads, deletes, logs out.
fn visit(browser: &mut Browser) {
    let b = browser;
    b.get("front page", "doku.php", 200, "DokuWiki on php-ftm");
    b.get("the directory", "", 302, "");
    b.get("a page", "doku.php?id=wiki:syntax", 200, "Formatting Syntax");
    b.get("a page with path info", "doku.php/wiki/dokuwiki", 200, "DokuWiki");
    b.get("a page that is not there", "doku.php?id=no:such:page", 404, "This topic does not exist yet");
    b.get("sitemap", "doku.php?id=start&do=index", 200, "Sitemap");
    b.get("recent changes", "doku.php?id=start&do=recent", 200, "Recent Changes");
    b.get("edit without a right to", "doku.php?id=start&do=edit", 200, "This page is read only");
    b.get("login form", "doku.php?id=start&do=login", 200, "name=\"u\"");
    let wrong = [("do", "login"), ("id", "start"), ("u", "demo"), ("p", "wrong")];
    b.post("wrong password", "doku.php?id=start", &wrong, 403, "username or password was wrong");
    let right = [("do", "login"), ("id", "start"), ("u", "demo"), ("p", "demo")];
    b.post("login", "doku.php?id=start", &right, 302, "");
    b.get("logged in", "doku.php?id=start", 200, "Logged in as");
    b.get("profile", "doku.php?id=start&do=profile", 200, "demo@example.org");
    b.get("administration", "doku.php?id=start&do=admin", 200, "Configuration");

    let text = "====== Ünïcode & <more> ======\n\nA **bold** statement about xylophones, [[wiki:syntax]] and {{wiki:dokuwiki-128.png?50}}.\n\n\
                <code php>\n<?php echo 'highlighted';\n</code>\n\n| a | b |\n";
    let page = b.get("new page", "doku.php?id=test:page&do=edit", 200, "wiki__text");
    let fields = [
        ("id", "test:page"),
        ("prefix", "."),
        ("suffix", ""),
        ("target", "section"),
        ("wikitext", text),
        ("date", &hidden(&page, "date")),
        ("changecheck", &hidden(&page, "changecheck")),
        ("summary", "first"),
    ];
    b.post(
        "preview",
        "doku.php?id=test:page",
        &[&fields[..], &[("do[preview]", "Preview")]].concat(),
        200,
        "xylophones",
    );
    b.post("save", "doku.php?id=test:page", &[&fields[..], &[("do[save]", "Save")]].concat(), 302, "");
    let page = b.get("saved", "doku.php?id=test:page", 200, "<strong>bold</strong>").text();
    // Resized by GD, of which the two PHPs have different versions: an image, whatever its bytes.
    let (_, link) = page.split_once("/lib/exe/fetch.php?w=50&amp;").expect("a link to a small image");
    let link = link.split('"').next().expect("the link's end").replace("&amp;", "&");
    let small = b.nginx.get(&format!("/dokuwiki/lib/exe/fetch.php?w=50&{link}"));
    assert_eq!((small.status, small.header("content-type")), (200, Some("image/png")), "{}", small.text());
    b.get("indexing", "lib/exe/taskrunner.php?id=test%3Apage", 200, "");
    b.get("search", "doku.php?id=start&do=search&q=xylophones", 200, "test:page");
    b.get("search for a part of a word", "doku.php?id=start&do=search&q=xylo*", 200, "test:page");
    b.get("backlinks", "doku.php?id=wiki:syntax&do=backlink", 200, "test:page");
    b.post("quick search", "lib/exe/ajax.php", &[("call", "qsearch"), ("q", "page")], 200, "test:page");

    next_second();
    let page = b.get("edit", "doku.php?id=test:page&do=edit", 200, "xylophones");
    let again = text.replace("bold", "bolder");
    let fields = [
        ("id", "test:page"),
        ("prefix", "."),
        ("suffix", ""),
        ("target", "section"),
        ("wikitext", again.as_str()),
        ("date", &hidden(&page, "date")),
        ("changecheck", &hidden(&page, "changecheck")),
        ("summary", "second"),
        ("do[save]", "Save"),
    ];
    b.post("save again", "doku.php?id=test:page", &fields, 302, "");
    b.get("saved again", "doku.php?id=test:page", 200, "<strong>bolder</strong>");
    b.get("old revisions", "doku.php?id=test:page&do=revisions", 200, "second");
    b.get("source", "doku.php?id=test:page&do=export_raw", 200, "**bolder**");
    b.get("export", "doku.php?id=test:page&do=export_xhtml", 200, "<strong>bolder</strong>");
    b.get("feed", "feed.php", 200, "<rdf:RDF");
    b.get("style sheet", "lib/exe/css.php?t=dokuwiki", 200, ".dokuwiki");
    b.get("script", "lib/exe/js.php?t=dokuwiki", 200, "jQuery");

    let png = include_bytes!("pixel.png");
    let mut form = Vec::new();
    let token = b.token.clone();
    for (name, value) in [("sectok", token.as_str()), ("ns", "test"), ("mediaid", "pixel.png"), ("id", "pixel.png")] {
        form.extend(format!("--BB\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes());
    }
    let head = "--BB\r\nContent-Disposition: form-data; name=\"upload\"; filename=\"pixel.png\"\r\nContent-Type: image/png\r\n\r\n";
    form.extend([head.as_bytes(), png, b"\r\n--BB--\r\n"].concat());
    let upload = Request::post("/dokuwiki/lib/exe/mediamanager.php?ns=test", "multipart/form-data; boundary=BB", form);
    b.step("upload", upload, 200, "Upload successful");
    let media = b.get("uploaded file", "lib/exe/fetch.php?media=test:pixel.png", 200, "");
    assert_eq!(media.body, png);
    let etag = media.header("etag").expect("an ETag").to_owned();
    let cached = Request::get("/dokuwiki/lib/exe/fetch.php?media=test:pixel.png").header("If-None-Match", &etag);
    b.step("uploaded file, cached", cached, 304, "");
    let part = Request::get("/dokuwiki/lib/exe/fetch.php?media=test:pixel.png").header("Range", "bytes=1-3");
    assert_eq!(b.step("a part of a file", part, 206, "PNG").body, b"PNG");
    b.get("file that is not there", "lib/exe/fetch.php?media=no:such.png", 404, "");
    b.get("media manager", "doku.php?id=start&do=media&ns=test", 200, "pixel.png");

    next_second();
    let page = b.get("edit to delete", "doku.php?id=test:page&do=edit", 200, "xylophones");
    let fields = [
        ("id", "test:page"),
        ("prefix", ""),
        ("suffix", ""),
        ("target", "section"),
        ("wikitext", ""),
        ("date", &hidden(&page, "date")),
        ("changecheck", &hidden(&page, "changecheck")),
        ("do[save]", "Save"),
    ];
    b.post("delete", "doku.php?id=test:page", &fields, 302, "");
    b.get("deleted", "doku.php?id=test:page", 404, "This page does not exist anymore");
    let target = format!("doku.php?id=start&do=logout&sectok={}", b.token);
    b.get("logout", &target, 302, "");
    b.get("logged out", "doku.php?id=start", 200, "Log In");
}

#[test]
fn every_step_answers_as_under_php_fpm() {
    let wiki = Wiki::set_up();
    let [reference, tested] = [Kind::PhpFpm, Kind::under_test()].map(|kind| {
        wiki.restore();
        let config = ServerConfig::default().ini("expose_php = 0").ini("display_errors = 0");
        let server = Server::start_as(kind, &wiki.site, config);
        let mut browser = Browser::new(Nginx::start(&wiki.site, &server));
        visit(&mut browser);
        server.stop();
        browser.steps
    });
    assert!(reference.len() >= 30, "{} steps", reference.len());
    let mut failures = Vec::new();
    for ((name, reference), (_, tested)) in reference.iter().zip(&tested) {
        failures.extend(difference(reference, tested).map(|difference| format!("{name}: {difference}")));
    }
    assert!(failures.is_empty(), "{} steps differ:\n{}", failures.len(), failures.join("\n"));
}
