//! Directives of the configuration: which scripts may run, and files that are included.

use std::fs;

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::*;

#[test]
fn only_files_with_the_right_endings_run() {
    let site = Site::new();
    let names = ["a.php", "a.phar", "a.html", "a.php5", "a", "a.PHP", ".php", "a.php.txt", "aphp"];
    for name in names {
        site.file(name, "<?php echo 'ran';");
    }
    let lists: [(Option<&str>, &[&str]); 5] = [
        (None, &["a.php", "a.phar", ".php"]),
        (Some(".php"), &["a.php", ".php"]),
        (Some(".html .php5"), &["a.html", "a.php5"]),
        (Some("php"), &["a.php", ".php", "aphp"]),
        (Some("\"\""), &names),
    ];
    for (list, allowed) in lists {
        let pool = PoolConfig::new("www").children(1);
        let pool = list.iter().fold(pool, |pool, list| pool.set("security.limit_extensions", list));
        let server = Server::start(&site, ServerConfig::pool(pool));
        for name in names {
            let answer = server.get(&format!("/{name}"));
            let (status, text) = (answer.web().status, answer.text());
            if allowed.contains(&name) {
                assert_eq!((status, text.as_str()), (200, "ran"), "{name}, {list:?}");
            } else {
                assert_eq!((status, text.as_str()), (403, "Access denied.\n"), "{name}, {list:?}");
                let path = site.docroot().join(name).display().to_string();
                let said = format!("Access to the script '{path}' has been denied (see security.limit_extensions)");
                assert!(answer.error_text().contains(&said), "{name}: {}", answer.error_text());
            }
        }
    }
}

#[test]
fn files_are_included_by_patterns() {
    let site = Site::new();
    site.file("value.php", "<?php echo ini_get('user_agent'), ' ', ini_get('precision'), ' ', getenv('E');");
    let dir = site.dir().join("pool.d");
    site::mkdir(&dir);
    site::mkdir(&dir.join("folder.conf"));
    // In alphabetical order, each within the section that it finds or opens.
    let file = |name: &str, text: &str| fs::write(dir.join(name), text).expect("write");
    file("10-first.conf", "php_value[user_agent] = first\n");
    file("20-second.conf", "php_value[user_agent] = second\nphp_value[precision] = 5\n");
    file("30-nested.conf", &format!("include = {}/more/?.inc\nenv[E] = outer\n", dir.display()));
    file("ignored.txt", "nonsense\n");
    site::mkdir(&dir.join("more"));
    file("more/a.inc", "env[E] = inner\n");
    let (user, socket) = (if nix::unistd::geteuid().is_root() { "user = www-data\n" } else { "" }, "two.sock");
    let socket = site.dir().join(socket);
    let two = format!(
        "[two]\nlisten = {}\nlisten.mode = 0666\n{user}pm = static\npm.max_children = 1\n\
         php_value[user_agent] = $pool\n",
        socket.display()
    );
    file("40-two.conf", &two);
    let pool = PoolConfig::new("www").children(1).set("include", &format!("{}/*.conf", dir.display()));
    let server = Server::start(&site, ServerConfig::pool(pool).ini("precision = 9"));
    assert_eq!(server.get("/value.php").text(), "first 5 inner");
    let second = || Address::Unix(socket.clone()).connect().is_ok();
    eventually("the included pool listens", second);
    let answer = Conn::open(&Address::Unix(socket.clone())).call(1, &Call::get(&site, "/value.php"));
    assert_eq!(answer.text(), "two 9 ");
}

#[test]
fn an_include_of_nothing_is_a_warning() {
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let pattern = format!("{}/none/*.conf", site.dir().display());
    site::mkdir(&site.dir().join("none"));
    let server = Server::start(&site, ServerConfig::default().global("include", &pattern));
    assert_eq!(server.get("/hello.php").text(), "hello");
    let file = server.room().join("php-fpm.conf");
    let said = format!("Nothing matches the include pattern '{pattern}' from {} at line 4.", file.display());
    assert_eq!(server.log().matches(&said).count(), 1, "{}", server.log());
}
