//! opcache with too little memory: it restarts when it is full, and when it is told to.

use std::fs;

use ftm_tests::fcgi::Call;
use ftm_tests::{Address, Rng, Site};

use crate::world::{Outcome, World, ask, wrong};

/// Files that together take more than the cache has.
const FILES: usize = 150;

/// Methods of the class in each file.
const METHODS: usize = 60;

/// The class of file `n`, in one of its versions.
fn class(n: usize, version: usize) -> String {
    let methods: String = (0..METHODS)
        .map(|m| format!("    static function m{m}(int $x = {m}): array {{ return ['v{version}', $x + {m}, [1, 2, 'k{m}' => 'of {n}']]; }}\n"))
        .collect();
    format!("<?php\nclass C{n} {{\n    const VERSION = 'v{version}';\n{methods}}}\n")
}

pub fn write(site: &Site) {
    (0..FILES).for_each(|n| drop(site.file(&format!("classes/C{n}.php"), class(n, 0))));
    site.file(
        "cached.php",
        format!(
            "<?php
            spl_autoload_register(fn($class) => require __DIR__ . \"/classes/$class.php\");
            foreach (explode(',', $_GET['n']) as $n) for ($m = 0; $m < {METHODS}; $m++) {{
                $got = ('C' . $n . '::m' . $m)(1);
                if ($got !== [('C' . $n)::VERSION, 1 + $m, [1, 2, \"k$m\" => \"of $n\"]]) exit(\"C$n::m$m \" . json_encode($got));
            }}
            echo 'right';"
        ),
    );
    site.file("reset.php", "<?php opcache_reset(); echo 'reset';");
}

fn files(rng: &mut Rng) -> String {
    (0..5).map(|_| rng.below(FILES).to_string()).collect::<Vec<_>>().join(",")
}

/// Runs code of some of the files.
pub fn cached(world: &World, address: &Address, rng: &mut Rng) -> Outcome {
    let answer = ask(address, &Call::get(&world.site, &format!("/cached.php?n={}", files(rng))))?;
    if answer.stdout.ends_with(b"\r\n\r\nright") { Ok(()) } else { Err(wrong("cached", &answer)) }
}

/// opcache_reset().
pub fn reset(world: &World, address: &Address, _: &mut Rng) -> Outcome {
    let answer = ask(address, &Call::get(&world.site, "/reset.php"))?;
    if answer.stdout.ends_with(b"\r\n\r\nreset") { Ok(()) } else { Err(wrong("reset", &answer)) }
}

/// Changes one of the files.
pub fn change(world: &World, address: &Address, rng: &mut Rng) -> Outcome {
    let (n, version) = (rng.below(FILES), rng.below(1 << 20));
    let file = world.site.docroot().join(format!("classes/C{n}.php"));
    let new = file.with_extension(format!("{version}.new"));
    fs::write(&new, class(n, version)).and_then(|()| fs::rename(&new, &file)).expect("a script");
    cached(world, address, rng)
}
