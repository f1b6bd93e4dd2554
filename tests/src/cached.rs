//! Scripts that keep opcache busy: classes in more files than a small cache holds, and a reset.

use std::fs;

use crate::fcgi::{Answer, Call};
use crate::rng::Rng;
use crate::server::PoolConfig;
use crate::site::Site;

/// Files that together take more than 8 MiB of a cache.
pub const FILES: usize = 150;

/// Methods of the class in each file.
const METHODS: usize = 60;

/// Classes that one request uses.
const USED: usize = 5;

/// The class of file `n`, in one of its versions.
fn class(n: usize, version: usize) -> String {
    let methods: String = (0..METHODS)
        .map(|m| format!("    static function m{m}(int $x = {m}): array {{ return ['v{version}', $x + {m}, [1, 2, 'k{m}' => 'of {n}']]; }}\n"))
        .collect();
    format!("<?php\nclass C{n} {{\n    const VERSION = 'v{version}';\n{methods}}}\n")
}

/// Writes them.
pub fn write(site: &Site) {
    (0..FILES).for_each(|n| drop(site.file(&format!("classes/C{n}.php"), class(n, 0))));
    site.file(
        "cached.php",
        format!(
            "<?php
            spl_autoload_register(fn($class) => require __DIR__ . \"/classes/$class.php\");
            $files = isset($_GET['n']) ? explode(',', $_GET['n']) : array_rand(range(0, {FILES} - 1), {USED});
            foreach ($files as $n) for ($m = 0; $m < {METHODS}; $m++) {{
                $got = ('C' . $n . '::m' . $m)(1);
                if ($got !== [('C' . $n)::VERSION, 1 + $m, [1, 2, \"k$m\" => \"of $n\"]]) exit(\"C$n::m$m \" . json_encode($got));
            }}
            echo 'right';"
        ),
    );
    site.file("reset.php", "<?php echo 'reset ', json_encode(opcache_reset());");
}

/// A pool with an opcache of `megabytes`, the least that it takes being 8, in which files of a test need not ripen.
pub fn pool(pool: PoolConfig, megabytes: usize) -> PoolConfig {
    pool.set("php_admin_value[zend_extension]", "opcache")
        .set("php_admin_flag[opcache.enable]", "on")
        .set("php_admin_value[opcache.memory_consumption]", &megabytes.to_string())
        .set("php_admin_value[opcache.interned_strings_buffer]", "2")
        .set("php_admin_value[opcache.file_update_protection]", "0")
}

/// Runs code of some of the files: those that the script draws, or those that `rng` does. The answer is [`right`].
pub fn call(site: &Site, rng: Option<&mut Rng>) -> Call {
    let files = |rng: &mut Rng| (0..USED).map(|_| rng.below(FILES).to_string()).collect::<Vec<_>>().join(",");
    let query = rng.map_or(String::new(), |rng| format!("?n={}", files(rng)));
    Call::get(site, &format!("/cached.php{query}"))
}

/// Whether [`call`] was answered as it should be.
pub fn right(answer: &Answer) -> bool {
    answer.stdout.ends_with(b"\r\n\r\nright")
}

/// opcache_reset(). The answer [`was_reset`].
pub fn reset(site: &Site) -> Call {
    Call::get(site, "/reset.php")
}

/// Whether [`reset`] was answered: "false" is that opcache was about to restart anyway.
pub fn was_reset(answer: &Answer) -> bool {
    [&b"\r\n\r\nreset true"[..], b"\r\n\r\nreset false"].iter().any(|end| answer.stdout.ends_with(end))
}

/// Gives one of the files another version.
pub fn change(site: &Site, rng: &mut Rng) {
    let (n, version) = (rng.below(FILES), rng.below(1 << 20));
    let file = site.docroot().join(format!("classes/C{n}.php"));
    let new = file.with_extension(format!("{version}.new"));
    fs::write(&new, class(n, version)).and_then(|()| fs::rename(&new, &file)).expect("a script");
}
