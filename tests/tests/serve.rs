//! `scripts/serve`, as somebody runs it who tries php-ftm: it serves the demo and DokuWiki, and leaves nothing behind.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ftm_tests::process::Process;
use ftm_tests::wait::eventually_some;
use ftm_tests::*;
use nix::sys::signal::Signal;

/// DokuWiki's packages may have to be fetched first.
const START: Duration = Duration::from_secs(180);

/// `scripts/serve` with `args`, and the directory that it keeps its own in.
fn serve(site: &Site, args: &[&str]) -> (Process, PathBuf) {
    let temp = site.unique("temp");
    let mut command = Command::new("env");
    // A shell that starts the tests in the background has SIGINT ignored, which no script can undo for itself.
    command.arg("--default-signal=INT").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/serve"));
    command.args(args).env("TMPDIR", &temp).env("PHP_FTM", Kind::PhpFtm.program());
    (Process::start("scripts/serve", command, &site.dir().join("serve.log"), &[]), temp)
}

/// Where it serves, as its last line says.
fn address(serve: &mut Process) -> Address {
    let found = eventually_some(START, || {
        assert_eq!(serve.ended(), None, "it ended: {}", serve.log());
        let log = serve.log();
        let url = log.lines().last()?.strip_prefix("http://")?.strip_suffix('/')?;
        url.parse::<SocketAddr>().ok()
    });
    Address::Tcp(found.expect("the address of the site"))
}

fn page(address: &Address, path: &str) -> String {
    let answer = Request::get(path).send(address);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

#[test]
fn it_serves_the_demo_and_dokuwiki_and_leaves_nothing_behind() {
    only_php_ftm!("scripts/serve serves by it");
    let site = Site::new();
    let (mut serve, temp) = serve(&site, &[]);
    let address = address(&mut serve);

    let index = page(&address, "/?q=%3Cb%3E");
    assert!(index.contains("<td>/?q=%3Cb%3E</td>"), "it shows the request: {index}");
    assert!(index.contains("thread-safe (ZTS)") && index.contains("<td>runs this script</td>"), "and threads: {index}");
    assert!(page(&address, "/style.css").contains("color-scheme"));

    let form = "application/x-www-form-urlencoded";
    let saved = Request::post("/sqlite.php", form, "text=%3Ci%3Eh%C3%A4llo").send(&address);
    assert_eq!((saved.status, saved.header("location")), (303, Some("sqlite.php")));
    assert!(page(&address, "/sqlite.php").contains("<td>&lt;i&gt;hällo</td>"));
    let foreign = Request::post("/sqlite.php", form, "text=x").header("Origin", "http://evil.example").send(&address);
    assert_eq!(foreign.status, 403);
    assert_eq!(Request::post("/sqlite.php", form, "text[]=x").send(&address).status, 422);

    let body = "--b\r\nContent-Disposition: form-data; name=\"files[]\"; filename=\"<a>.txt\"\r\n\r\nabc\r\n--b--\r\n";
    let upload = Request::post("/upload.php", "multipart/form-data; boundary=b", body).send(&address).text();
    let sha256_of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert!(upload.contains("&lt;a&gt;.txt") && upload.contains(sha256_of_abc), "{upload}");

    assert!(page(&address, "/dokuwiki/doku.php").contains("DokuWiki on php-ftm"));
    for hidden in ["/dokuwiki/inc/init.php", "/dokuwiki/bin/dwpage.php", "/.htaccess"] {
        assert_eq!(Request::get(hidden).send(&address).status, 404, "{hidden}");
    }

    let all = proc::tree(serve.pid());
    assert!(all.len() >= 5, "serve, nginx, php-ftm and their children: {all:?}");
    serve.signal(Signal::SIGINT);
    assert_eq!(serve.wait(DEADLINE).code(), Some(130));
    eventually("its children are gone", || !all.iter().any(|&pid| proc::alive(pid)));
    assert_eq!(fs::read_dir(&temp).expect("temp").count(), 0, "its directory is gone");
}

#[test]
fn it_serves_an_application_of_ones_own() {
    only_php_ftm!("scripts/serve serves by it");
    let site = Site::new();
    site.file("index.php", "<?php echo $_SERVER['REQUEST_URI'], ' ', $_SERVER['PATH_INFO'] ?? '-';");
    let (mut serve, temp) = serve(&site, &["--app", site.docroot().to_str().expect("UTF-8")]);
    let address = address(&mut serve);
    assert_eq!(page(&address, "/pretty/address?x"), "/pretty/address?x ");
    assert_eq!(page(&address, "/index.php/behind"), "/index.php/behind /behind");
    serve.signal(Signal::SIGTERM);
    assert_eq!(serve.wait(DEADLINE).code(), Some(143));
    assert_eq!(fs::read_dir(&temp).expect("temp").count(), 0, "its directory is gone");
}

#[test]
fn a_port_that_is_taken_is_refused_if_it_was_asked_for() {
    only_php_ftm!("scripts/serve serves by it");
    let site = Site::new();
    site.file("index.php", "<?php echo 'hello';");
    let taken = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = taken.local_addr().expect("address").port().to_string();
    let (mut serve, temp) = serve(&site, &["--port", &port, "--app", site.docroot().to_str().expect("UTF-8")]);
    assert_eq!(serve.wait(START).code(), Some(1));
    assert!(serve.log().contains(&format!("port {port} is taken")), "{}", serve.log());
    assert_eq!(fs::read_dir(&temp).expect("temp").count(), 0, "its directory is gone");
}
