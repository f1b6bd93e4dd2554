//! php-ftm beside php-fpm: the same requests to both, in many configurations, and everything that a user can see
//! compared. What differs on purpose is listed in `differences.rs`, and nowhere else.

mod apache;
mod bodies;
mod differences;
mod errors;
mod fronts;
mod functions;
mod headers;
mod ini;
mod logs;
mod methods;
mod of_logs;
mod of_php;
mod of_the_pool;
mod pages;
mod paths;
mod protocol;
mod user_ini;

use differences::DIFFERENCES;
use ftm_tests::compare::VARS_SCRIPT;
use ftm_tests::parity::{Cases, Comparison};
use ftm_tests::*;

/// A docroot with the scripts that many cases ask for.
fn site() -> Site {
    let site = Site::new();
    for name in ["vars.php", "sub/vars.php", "a b.php", "page.txt", "upper.PHP", "five.php5", "inc.phar"] {
        site.file(name, VARS_SCRIPT);
    }
    site.file("hello.php", "<?php echo 'Hello ', $_GET['n'] ?? 'you', \"\\n\";");
    site.file("empty.php", "");
    site.file("text.php", "no code\n");
    site
}

/// One pool with one thread or process, so that requests come one after the other.
fn pool() -> PoolConfig {
    PoolConfig::new("www").children(1)
}

/// A server with that pool; all variables are shown.
fn config() -> ServerConfig {
    on(pool())
}

fn on(pool: PoolConfig) -> ServerConfig {
    ServerConfig::pool(pool).ini("variables_order = EGPCS")
}

/// Compares one configuration over cases of several themes.
#[track_caller]
fn compare(comparison: &Comparison, themes: &[fn(&mut Cases<'_>)]) {
    let site = site();
    compare_on(comparison, &site, themes);
}

/// The same on a site that has been prepared.
#[track_caller]
fn compare_on(comparison: &Comparison, site: &Site, themes: &[fn(&mut Cases<'_>)]) {
    let mut cases = Cases::new(site);
    themes.iter().for_each(|theme| theme(&mut cases));
    comparison.run(site, &cases.list, DIFFERENCES);
}

#[test]
fn differences_are_of_configurations_that_exist() {
    for difference in DIFFERENCES {
        let new = format!("Comparison::new(\"{}\"", difference.configuration);
        let sources = [
            include_str!("main.rs"),
            include_str!("of_logs.rs"),
            include_str!("of_php.rs"),
            include_str!("of_the_pool.rs"),
        ];
        assert!(sources.iter().any(|source| source.contains(&new)), "{new}");
    }
}

#[test]
fn defaults() {
    let themes = [
        methods::cases,
        bodies::cases,
        bodies::unannounced,
        paths::cases,
        apache::cases,
        apache::action_with_path_info,
        headers::cases,
        functions::cases,
        functions::of_threads,
    ];
    compare(&Comparison::new("defaults", config()), &themes);
}
