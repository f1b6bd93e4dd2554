//! Finds the ZTS PHP to build against, refuses one that cannot work, compiles `shim/`, binds `shim/ftm.h`, links libphp.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Stops the build with a message that says what to do.
fn refuse(message: &str) -> ! {
    eprintln!("\nphp-ftm cannot be built with this PHP:\n  {}\n", message.replace('\n', "\n  "));
    std::process::exit(1);
}

const HOW_TO_BUILD: &str = "`scripts/build-php` makes a PHP that works and prints its prefix; \
                            `PHP_CONFIG=prefix/bin/php-config` takes any other ZTS PHP.";

struct Php {
    config: PathBuf,
}

impl Php {
    fn find() -> Php {
        println!("cargo:rerun-if-env-changed=PHP_CONFIG");
        let config = env::var_os("PHP_CONFIG").map_or_else(|| PathBuf::from("php-config"), PathBuf::from);
        Php { config }
    }

    fn ask(&self, option: &str) -> String {
        let output = Command::new(&self.config).arg(option).output().unwrap_or_else(|e| {
            refuse(&format!("cannot run {}: {e}\n{HOW_TO_BUILD}", self.config.display()));
        });
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The settings that `main/php_config.h` records must be those that threads need.
    fn check(&self) {
        let header = Path::new(&self.ask("--include-dir")).join("main/php_config.h");
        let text = fs::read_to_string(&header).unwrap_or_else(|e| {
            refuse(&format!(
                "cannot read {}: {e}\nIts development headers are missing. {HOW_TO_BUILD}",
                header.display()
            ))
        });
        println!("cargo:rerun-if-changed={}", header.display());
        let defined = |name: &str| text.lines().any(|line| line.trim() == format!("#define {name} 1"));
        let php = format!("PHP {} ({})", self.ask("--version"), self.config.display());
        if !defined("ZTS") {
            refuse(&format!("{php} is not thread-safe (NTS): it was built without --enable-zts.\n{HOW_TO_BUILD}"));
        }
        if defined("ZEND_SIGNALS") {
            refuse(&format!(
                "{php} has Zend signals, which are broken under threads: it needs --disable-zend-signals.\n{HOW_TO_BUILD}"
            ));
        }
        if !defined("ZEND_MAX_EXECUTION_TIMERS") {
            refuse(&format!(
                "{php} has no execution timers, so max_execution_time could not work: it needs \
                 --enable-zend-max-execution-timers.\n{HOW_TO_BUILD}"
            ));
        }
    }

    /// AddressSanitizer watches it: what is linked to it must have that in it, too.
    fn sanitized(&self) -> bool {
        self.ask("--configure-options").contains("--enable-address-sanitizer")
    }

    /// The directories where the embed library may lie: distributions differ.
    fn library_dirs(&self) -> Vec<PathBuf> {
        let prefix = PathBuf::from(self.ask("--prefix"));
        let mut dirs: Vec<PathBuf> = self
            .ask("--ldflags")
            .split_whitespace()
            .filter_map(|flag| flag.strip_prefix("-L"))
            .map(PathBuf::from)
            .collect();
        dirs.extend(["lib", "lib64", "lib/php", "lib/x86_64-linux-gnu"].map(|dir| prefix.join(dir)));
        dirs
    }
}

enum Library {
    /// `libphp.a`: faster (no indirection for thread-local storage), so preferred.
    Archive(PathBuf),
    Shared(PathBuf),
}

fn find_library(php: &Php) -> Library {
    let dirs = php.library_dirs();
    if let Some(path) = dirs.iter().map(|dir| dir.join("libphp.a")).find(|path| path.exists()) {
        return Library::Archive(path);
    }
    if let Some(dir) = dirs.iter().find(|dir| dir.join("libphp.so").exists()) {
        return Library::Shared(dir.clone());
    }
    refuse(&format!(
        "{} has no embed library (libphp.a or libphp.so) in any of {}: it needs --enable-embed=static.\n{HOW_TO_BUILD}",
        php.config.display(),
        dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ")
    ));
}

fn compile_shim(php: &Php, library: &Library) {
    let mut build = cc::Build::new();
    for entry in fs::read_dir("shim").expect("the folder shim/ is part of the source") {
        let path = entry.expect("shim/ is readable").path();
        if path.extension().is_some_and(|ext| ext == "c") {
            build.file(&path);
        }
    }
    println!("cargo:rerun-if-changed=shim");
    for flag in php.ask("--includes").split_whitespace() {
        // PHP's headers are not ours to warn about.
        build.flag(format!("-isystem{}", flag.trim_start_matches("-I")));
    }
    build.define("ZEND_ENABLE_STATIC_TSRMLS_CACHE", "1");
    match library {
        Library::Shared(_) => build.define("FTM_SHARED_LIBPHP", None),
        Library::Archive(_) => build.define("FTM_WRAPPED", None),
    };
    // A longjmp must find the C frames it unwinds intact, and PHP's callback types leave parameters unused.
    build.warnings(true).extra_warnings(true).flag("-Wno-unused-parameter");
    if php.sanitized() {
        build.flag("-fsanitize=address").flag("-fno-omit-frame-pointer");
    }
    // All of it: what takes the C library's place is not asked for by our names.
    build.link_lib_modifier("+whole-archive").compile("ftm");
}

/// What the shim defines in the place of the C library's is exported whoever asks for it: extensions that are loaded later
/// would get the library's, and the linker would drop what nobody has asked for.
fn export_interposed() {
    let archive = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("libftm.a");
    println!("cargo:rerun-if-env-changed=NM");
    let nm = env::var("NM").unwrap_or_else(|_| "nm".to_owned());
    let output = Command::new(&nm).args(["-g", "--defined-only", "--format=posix"]).arg(&archive).output();
    let output = output.unwrap_or_else(|e| refuse(&format!("cannot run {nm}: {e}\nIt is in the package binutils.")));
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let functions = listed.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let name = fields.next()?;
        // Functions; php-ftm's own, those of its PHP module, and those that PHP is linked to, are nobody else's.
        (fields.next()? == "T" && !["ftm_", "zif_", "zm_", "__wrap_"].iter().any(|own| name.starts_with(own)))
            .then_some(name)
    });
    for function in functions {
        println!("cargo:rustc-link-arg=-Wl,--export-dynamic-symbol={function}");
    }
}

/// Functions of which PHP calls those of shim/tables.c, shim/floats.c, shim/timer.c, shim/upload.c and shim/file_names.c instead.
const WRAPPED: &[&str] = &[
    "free",
    "zend_hash_copy",
    "zend_dtoa",
    "zend_freedtoa",
    "zend_gcvt",
    "zend_strtod",
    "zend_max_execution_timer_init",
    "zend_max_execution_timer_shutdown",
    "write",
    "close",
    "virtual_access",
    "virtual_stat",
    "virtual_lstat",
    "virtual_open",
    "virtual_fopen",
    "virtual_opendir",
    "virtual_unlink",
    "virtual_rename",
    "virtual_mkdir",
    "virtual_rmdir",
    "virtual_chmod",
    "virtual_chown",
    "virtual_utime",
    "virtual_getcwd",
];

fn link(php: &Php, library: &Library) {
    if php.sanitized() {
        // As `cc -fsanitize=address` would, but rustc keeps it from adding libraries. This one must be the first to be loaded.
        println!("cargo:rustc-link-lib=dylib=asan");
        let found = Command::new("cc").arg("-print-file-name=libasan_preinit.o").output().expect("cc runs");
        println!("cargo:rustc-link-arg={}", String::from_utf8_lossy(&found.stdout).trim());
    }
    match library {
        Library::Archive(path) => {
            // Extensions find the engine's symbols in the executable: all of them must be there and be exported.
            println!("cargo:rustc-link-arg=-Wl,--whole-archive");
            println!("cargo:rustc-link-arg={}", path.display());
            println!("cargo:rustc-link-arg=-Wl,--no-whole-archive");
            println!("cargo:rustc-link-arg=-rdynamic");
            for function in WRAPPED {
                println!("cargo:rustc-link-arg=-Wl,--wrap={function}");
            }
            println!("cargo:rerun-if-changed={}", path.display());
            for flag in php.ask("--libs").split_whitespace() {
                println!("cargo:rustc-link-arg={flag}");
            }
            println!("cargo:rustc-link-arg=-lresolv");
        }
        Library::Shared(dir) => {
            println!("cargo:rustc-link-search=native={}", dir.display());
            println!("cargo:rustc-link-lib=dylib=php");
            println!("cargo:rustc-link-arg=-Wl,-rpath,{}", dir.display());
        }
    }
}

fn bind() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("ftm.rs");
    bindgen::Builder::default()
        .header("shim/ftm.h")
        .allowlist_file(".*/ftm\\.h")
        .blocklist_function("ftm_rs_.*")
        .default_enum_style(bindgen::EnumVariation::Consts)
        .use_core()
        .generate()
        .expect("bindgen reads shim/ftm.h (libclang-dev must be installed)")
        .write_to_file(out)
        .expect("OUT_DIR is writable");
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let php = Php::find();
    php.check();
    let library = find_library(&php);
    bind();
    compile_shim(&php, &library);
    export_interposed();
    link(&php, &library);
    println!("cargo:rustc-env=FTM_PHP_PREFIX={}", php.ask("--prefix"));
}
