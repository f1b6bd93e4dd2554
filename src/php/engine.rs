//! Starting and stopping PHP in this process.

use std::ffi::{CStr, CString, OsStr, OsString, c_char};
use std::marker::PhantomData;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::ptr;

use ftm_config::PhpValue;

use super::ffi;

/// How PHP is started: what the command line and the pool say.
#[derive(Clone, Debug, Default)]
pub struct EngineSettings {
    /// argv\[0\].
    pub executable: OsString,
    /// `-c`: php.ini or the directory it lies in.
    pub ini_path: Option<OsString>,
    /// `-n`: no php.ini.
    pub ini_ignore: bool,
    /// `-d name=value`, as given.
    pub defines: Vec<OsString>,
    /// The pool's `php_value[]` and relatives, in the order in which they apply.
    pub values: Vec<PhpValue>,
    /// `security.limit_extensions`; empty: every file runs.
    pub limit_extensions: Vec<OsString>,
    /// `max_execution_clock = wall`.
    pub wall_clock: bool,
    /// The directory that requests begin in, if this process goes there after the start of PHP.
    pub directory: Option<PathBuf>,
}

/// PHP, started in this process. It stays on the thread that started it.
pub struct Engine(PhantomData<*mut ()>);

impl Engine {
    /// Starts PHP (MINIT of every module). At most once in a process.
    ///
    /// # Errors
    ///
    /// What is wrong, and what to do about it.
    pub fn start(settings: &EngineSettings) -> Result<Engine, String> {
        let config = config(settings)?;
        // SAFETY: `config` and all it points to were leaked, so they live as long as the process.
        let error = unsafe { ffi::ftm_engine_start(config) };
        if error.is_null() {
            return Ok(Engine(PhantomData));
        }
        // SAFETY: the shim returns a NUL-terminated string that lives as long as the process.
        Err(unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned())
    }

    /// The environment of the process is as requests will find it: libraries that look into it once do so now. Must be called
    /// before the first PHP thread is booted.
    pub fn environment_set(&self) {
        // SAFETY: the engine is started, and the process has one thread.
        unsafe { ffi::ftm_environment_set() };
    }

    /// The value of an integer setting; `fallback` where PHP does not know it.
    pub fn ini_long(&self, name: &CStr, fallback: i64) -> i64 {
        // SAFETY: the engine is started and this is its thread; `name` is NUL-terminated.
        unsafe { ffi::ftm_ini_long(name.as_ptr(), fallback) }
    }

    /// The value of a setting; `None` where it is empty or unknown.
    pub fn ini_string(&self, name: &CStr) -> Option<Vec<u8>> {
        // SAFETY: as in ini_long().
        let value = unsafe { ffi::ftm_ini_string(name.as_ptr()) };
        // SAFETY: not null, NUL-terminated, and nothing changes the entry while it is copied.
        (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_bytes().to_vec())
    }

    /// The value of an on/off setting, as PHP reads it: `on`, `yes`, `true` and numbers but 0 are on.
    pub fn ini_bool(&self, name: &CStr) -> bool {
        let value = self.ini_string(name).unwrap_or_default();
        [b"on".as_slice(), b"yes", b"true"].iter().any(|word| value.eq_ignore_ascii_case(word))
            || value.iter().find(|b| **b != b'0').is_some_and(u8::is_ascii_digit)
    }

    /// Whether a module or Zend extension that calls itself so, in lower case, is loaded.
    pub fn has_extension(&self, name: &CStr) -> bool {
        // SAFETY: the engine is started and this is its thread; `name` is NUL-terminated.
        unsafe { ffi::ftm_has_extension(name.as_ptr()) }
    }

    /// The modules and Zend extensions that are loaded, with their versions, which may be empty.
    pub fn extensions(&self) -> Vec<(String, String)> {
        // SAFETY: the engine is started and this is its thread; the text is NUL-terminated and lives as long as the process.
        let text = unsafe { CStr::from_ptr(ffi::ftm_extensions()) }.to_string_lossy();
        let pair = |line: &str| line.split_once('\t').map(|(name, version)| (name.to_string(), version.to_string()));
        text.lines().filter_map(pair).collect()
    }

    /// Whether there is a PHP function of this name, in lower case, that is not disabled.
    pub fn has_function(&self, name: &CStr) -> bool {
        // SAFETY: the engine is started and this is its thread; `name` is NUL-terminated.
        unsafe { ffi::ftm_has_function(name.as_ptr()) }
    }

    /// The PHP functions that are refused on PHP threads, as far as there are any, with commas between.
    pub fn refused_functions(&self) -> String {
        // SAFETY: as in extensions().
        unsafe { CStr::from_ptr(ffi::ftm_refused_functions()) }.to_string_lossy().into_owned()
    }

    /// The ini files that were read, in order.
    pub fn ini_files(&self) -> Vec<PathBuf> {
        // SAFETY: the engine is started.
        let files = unsafe { [ffi::ftm_ini_file(), ffi::ftm_ini_scanned()] };
        let files = files.into_iter().filter(|text| !text.is_null());
        // SAFETY: PHP's strings are NUL-terminated and live as long as the engine.
        let texts = files.map(|text| unsafe { CStr::from_ptr(text) }.to_bytes());
        let paths = texts.flat_map(|text| text.split(|b| *b == b',')).map(<[u8]>::trim_ascii);
        paths.filter(|path| !path.is_empty()).map(|path| PathBuf::from(OsStr::from_bytes(path))).collect()
    }

    /// PHP_VERSION, such as 8.2.32. The engine need not be started for it.
    pub fn php_version() -> String {
        // SAFETY: returns a constant.
        unsafe { CStr::from_ptr(ffi::ftm_php_version()) }.to_string_lossy().into_owned()
    }

    /// PHP_VERSION_ID, such as 80232; likewise.
    pub fn php_version_id() -> u32 {
        // SAFETY: returns a constant.
        unsafe { ffi::ftm_php_version_id() }
    }

    /// `-v`.
    pub fn print_version(&self) {
        // SAFETY: the engine is started and this is its thread.
        unsafe { ffi::ftm_print_version() }
    }

    /// `-m`.
    pub fn print_modules(&self) {
        // SAFETY: the engine is started and this is its thread.
        unsafe { ffi::ftm_print_modules() }
    }

    /// `-i`.
    pub fn print_info(&self) {
        // SAFETY: the engine is started and this is its thread.
        unsafe { ffi::ftm_print_info() }
    }

    /// Stops PHP (MSHUTDOWN of every module). Every PHP thread must have ended.
    pub fn stop(self) {
        // SAFETY: the engine is started, this is its thread, and it is consumed.
        unsafe { ffi::ftm_engine_stop() }
    }
}

/// The settings as C wants them, leaked: PHP keeps pointers to them.
fn config(settings: &EngineSettings) -> Result<*const ffi::ftm_engine_config, String> {
    let joined = |name: &str| {
        let values = settings.values.iter().filter(|v| v.name == name && !v.value.is_empty());
        let all: Vec<&[u8]> = values.map(|v| v.value.as_bytes()).collect();
        (!all.is_empty()).then(|| OsString::from_vec(all.join(&b',')))
    };
    let admin = settings.values.iter().filter(|v| v.admin && !is_load(&v.name)).map(|v| v.name.as_os_str());
    let config = ffi::ftm_engine_config {
        executable: leak(&settings.executable)?,
        ini_path: leak_option(settings.ini_path.as_deref())?,
        ini_ignore: settings.ini_ignore,
        ini_entries: leak(&OsString::from_vec(ini_entries(settings)))?,
        admin_names: leak_list(admin)?,
        disable_functions: leak_option(joined("disable_functions").as_deref())?,
        disable_classes: leak_option(joined("disable_classes").as_deref())?,
        limit_extensions: if settings.limit_extensions.is_empty() {
            ptr::null()
        } else {
            leak_list(settings.limit_extensions.iter().map(OsString::as_os_str))?
        },
        wall_clock: settings.wall_clock,
        directory: leak_option(settings.directory.as_ref().map(|dir| dir.as_os_str()))?,
    };
    Ok(Box::leak(Box::new(config)))
}

/// Entries that load something, and are no ini entries once PHP has started.
fn is_load(name: &OsStr) -> bool {
    name == "extension" || name == "zend_extension"
}

/// Entries to which the pool's values are added instead of replacing them.
fn is_additive(name: &OsStr) -> bool {
    name == "disable_functions" || name == "disable_classes"
}

/// The lines that override php.ini: first the command line's, then the pool's.
fn ini_entries(settings: &EngineSettings) -> Vec<u8> {
    let mut lines = Vec::new();
    for define in settings.defines.iter().map(|define| define.as_bytes()) {
        let mut halves = define.splitn(2, |&b| b == b'=');
        let name = halves.next().unwrap_or_default();
        // As PHP-FPM has it: what begins with a letter, a digit or a quote is left to the ini parser.
        let (quote, value) = match halves.next() {
            None => (b"".as_slice(), b"1".as_slice()),
            Some(value) => match value.first() {
                Some(b) if !(b.is_ascii_alphanumeric() || matches!(b, b'"' | b'\'')) => (b"\"".as_slice(), value),
                _ => (b"".as_slice(), value),
            },
        };
        lines.extend_from_slice(&[name, b"=", quote, value, quote, b"\n"].concat());
    }
    for PhpValue { name, value, .. } in settings.values.iter().filter(|v| !is_additive(&v.name)) {
        lines.extend_from_slice(&[name.as_bytes(), b"=", &quoted(value.as_bytes()), b"\n"].concat());
    }
    lines
}

/// A value that the ini parser takes literally. It knows no escape in single quotes, and joins adjacent strings, of which
/// it wants none to be empty.
fn quoted(value: &[u8]) -> Vec<u8> {
    if value.is_empty() {
        return b"''".to_vec();
    }
    let quote = |part: &[u8]| if part.is_empty() { Vec::new() } else { [b"'", part, b"'"].concat() };
    let parts: Vec<Vec<u8>> = value.split(|&b| b == b'\'').map(quote).collect();
    parts.join(b"\"'\"".as_slice())
}

fn leak(text: &OsStr) -> Result<*const c_char, String> {
    let text = CString::new(text.as_bytes()).map_err(|_| format!("a setting holds a NUL byte: {text:?}"))?;
    Ok(text.into_raw())
}

fn leak_option(text: Option<&OsStr>) -> Result<*const c_char, String> {
    text.map_or(Ok(ptr::null()), leak)
}

fn leak_list<'a>(items: impl Iterator<Item = &'a OsStr>) -> Result<*const *const c_char, String> {
    let mut list = items.map(leak).collect::<Result<Vec<_>, _>>()?;
    list.push(ptr::null());
    Ok(list.leak().as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_reach_the_ini_parser_literally() {
        assert_eq!(quoted(b"a;b=\"c\" ${X}"), b"'a;b=\"c\" ${X}'");
        assert_eq!(quoted(b"it's"), b"'it'\"'\"'s'");
        assert_eq!(quoted(b"'x"), b"\"'\"'x'");
        assert_eq!(quoted(b"x''y"), b"'x'\"'\"\"'\"'y'");
        assert_eq!(quoted(b""), b"''");
    }

    #[test]
    fn defines_are_quoted_as_by_php_fpm() {
        let defines = ["a=1", "b=/tmp", "c", "d='x'"].map(OsString::from).to_vec();
        let settings = EngineSettings { defines, ..EngineSettings::default() };
        assert_eq!(ini_entries(&settings), b"a=1\nb=\"/tmp\"\nc=1\nd='x'\n");
    }
}
