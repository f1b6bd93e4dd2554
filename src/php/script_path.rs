//! From the web server's parameters to the script that is to run: what PHP-FPM does in `init_request_info`
//! (sapi/fpm/fpm/fpm_main.c), with `cgi.fix_pathinfo` on or off.
//!
//! Web servers disagree about PATH_INFO: nginx leaves it to a regular expression, Apache's mod_proxy_fcgi puts it behind
//! the file name, CGI actions name the interpreter as the script. Where the file does not exist, its path is cut back
//! until a regular file is found; what was cut off is PATH_INFO. Changed parameters keep their former value as `ORIG_…`.

use std::ffi::{CString, OsStr, c_char};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::time::Duration;

use ftm_fastcgi::Params;

use super::known_files::KnownFiles;

/// The ini settings that decide.
#[derive(Clone, Debug, Default)]
pub struct PathSettings {
    /// `cgi.fix_pathinfo`.
    pub fix_pathinfo: bool,
    /// `cgi.discard_path`.
    pub discard_path: bool,
    /// `doc_root`.
    pub doc_root: Option<Vec<u8>>,
    /// PHP 8.4 and later hand PATH_INFO out decoded where it was cut from Apache's encoded path.
    pub decode_path_info: bool,
    /// How long a script that was found is not looked for again (`realpath_cache_ttl`).
    pub remembered: Duration,
}

/// What was found.
pub struct ScriptPath {
    /// The file to run.
    pub script: Option<CString>,
    /// SCRIPT_NAME as PHP is to see it.
    pub script_name: Option<CString>,
    /// There is no such file.
    pub missing: bool,
    /// The parameters named a file at all; without one PHP-FPM looks at no further parameter.
    named: bool,
}

impl ScriptPath {
    /// Finds the script and corrects the parameters.
    /// Which files are there may be taken from `known`.
    pub fn resolve(params: &mut Params, settings: &PathSettings, known: &mut KnownFiles) -> ScriptPath {
        if let Some(plain) = ScriptPath::plain(params, settings, known) {
            return plain;
        }
        let mut fix = Fix::new(params, settings);
        let Some(script) = fix.script_filename.clone().or_else(|| fix.path_translated.clone()) else {
            return ScriptPath { script: None, script_name: None, missing: false, named: false };
        };
        let (script, script_name, missing) = fix.run(script, known);
        ScriptPath {
            script: script.filter(|path| is_valid(path)).map(c_string),
            script_name: script_name.map(c_string),
            missing,
            named: true,
        }
    }

    /// What [`Fix::run`] would find where nothing is to be corrected, as from nginx and for files that are there.
    fn plain(params: &Params, settings: &PathSettings, known: &mut KnownFiles) -> Option<ScriptPath> {
        let script = params.get(b"SCRIPT_FILENAME").filter(|path| !path.is_empty() && !path.ends_with(b"/"))?;
        let none = |name: &[u8]| params.get(name).is_none();
        let plain = settings.fix_pathinfo
            && [b"PATH_TRANSLATED".as_slice(), b"REDIRECT_URL", b"PATH_INFO"].into_iter().all(none)
            && (settings.doc_root.is_none() || !none(b"DOCUMENT_ROOT"))
            && proxy_scheme(script).is_none()
            && is_valid(script)
            && !script.contains(&0)
            && known.exists(script);
        plain.then(|| ScriptPath {
            script: Some(c_string(script.to_vec())),
            script_name: params.get(b"SCRIPT_NAME").map(|name| c_string(name.to_vec())),
            missing: false,
            named: true,
        })
    }

    /// The parameter, unless no file was named.
    pub fn found(&self, param: *const c_char) -> *const c_char {
        if self.named { param } else { ptr::null() }
    }
}

/// SCRIPT_NAME as PHP-FPM would have it, as far as that can be told without looking at files: what the paths of the status
/// and ping pages are compared with. `None` where no file is named, for which PHP-FPM looks at no further parameter.
pub fn request_uri<'a>(params: &'a Params, settings: &PathSettings) -> Option<&'a [u8]> {
    let get = |name: &[u8]| params.get(name).map(c_bytes);
    let (filename, translated) = (get(b"SCRIPT_FILENAME"), get(b"PATH_TRANSLATED"));
    let script = filename.or(translated)?;
    let name = get(b"SCRIPT_NAME");
    if !settings.fix_pathinfo {
        return get(b"PATH_INFO").or(name);
    }
    let action = translated.is_some_and(|translated| translated != script) && proxy_scheme(script).is_none();
    get(b"REDIRECT_URL").filter(|_| action).or(name)
}

/// The length of the scheme with which Apache's mod_proxy_fcgi begins SCRIPT_FILENAME.
fn proxy_scheme(filename: &[u8]) -> Option<usize> {
    let schemes = [b"proxy:fcgi://".as_slice(), b"proxy:balancer://"];
    let begins = |scheme: &&[u8]| filename.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    schemes.into_iter().find(begins).map(<[u8]>::len)
}

type Bytes = Vec<u8>;

/// A value as C sees it: up to its first NUL.
fn c_bytes(value: &[u8]) -> &[u8] {
    &value[..value.iter().position(|&b| b == 0).unwrap_or(value.len())]
}

fn c_string(mut bytes: Bytes) -> CString {
    bytes.truncate(c_bytes(&bytes).len());
    CString::new(bytes).unwrap_or_default()
}

/// PHP-FPM refuses a path with a `..` segment.
fn is_valid(path: &[u8]) -> bool {
    !path.split(|&b| b == b'/').any(|segment| segment == b"..")
}

struct Fix<'a> {
    params: &'a mut Params,
    settings: &'a PathSettings,
    script_filename: Option<Bytes>,
    path_translated: Option<Bytes>,
    path_info: Option<Bytes>,
    script_name: Option<Bytes>,
    /// Apache's mod_proxy_fcgi sent this: SCRIPT_FILENAME was a proxy URL.
    apache: bool,
}

impl<'a> Fix<'a> {
    fn new(params: &'a mut Params, settings: &'a PathSettings) -> Fix<'a> {
        let get = |name: &[u8]| params.get(name).map(|value| c_bytes(value).to_vec());
        let (script_filename, path_translated) = (get(b"SCRIPT_FILENAME"), get(b"PATH_TRANSLATED"));
        let (path_info, script_name) = (get(b"PATH_INFO"), get(b"SCRIPT_NAME"));
        Fix { params, settings, script_filename, path_translated, path_info, script_name, apache: false }
    }

    fn get(&self, name: &[u8]) -> Option<Bytes> {
        self.params.get(name).map(|value| c_bytes(value).to_vec())
    }

    fn put(&mut self, name: &[u8], value: Option<&[u8]>) {
        match value {
            Some(value) => self.params.set(name, value),
            None => drop(self.params.remove(name)),
        }
    }

    /// Keeps a changed parameter's former value, if it had one.
    fn keep(&mut self, name: &[u8], former: Option<&[u8]>) {
        if former.is_some() {
            self.put(name, former);
        }
    }

    /// Returns the script, SCRIPT_NAME, and whether the file is missing.
    fn run(&mut self, mut script: Bytes, known: &mut KnownFiles) -> (Option<Bytes>, Option<Bytes>, bool) {
        self.correct_iis();
        if self.strip_proxy_url() {
            script = self.script_filename.clone().unwrap_or_default();
        }
        if !self.settings.fix_pathinfo {
            let name = self.path_info.clone().or_else(|| self.script_name.clone());
            let translated = self.path_translated.clone().filter(|_| !self.settings.discard_path);
            return (Some(translated.unwrap_or(script)), name, false);
        }
        let mut document_root = self.get(b"DOCUMENT_ROOT");
        if document_root.is_none() && self.settings.doc_root.is_some() {
            document_root = self.settings.doc_root.clone();
            self.put(b"DOCUMENT_ROOT", document_root.clone().as_deref());
        }
        let redirect_url = self.get(b"REDIRECT_URL");
        let mut name = self.script_name.clone();
        let mut name_replaced = false;
        if let (false, Some(translated), Some(url)) = (self.apache, &self.path_translated, &redirect_url)
            && *translated != script
        {
            // A CGI action: SCRIPT_FILENAME and SCRIPT_NAME are the interpreter's.
            script = translated.clone();
            name = Some(url.clone());
            name_replaced = true;
        }
        if !script.is_empty() && (script.ends_with(b"/") || !known.exists(&script)) {
            self.cut_back(script, name, document_root)
        } else {
            let name = self.take_as_it_is(&script, name, name_replaced, redirect_url.is_some());
            (Some(script), name, false)
        }
    }

    /// IIS puts the script's name before PATH_INFO.
    fn correct_iis(&mut self) {
        let iis = self.get(b"SERVER_SOFTWARE").is_some_and(|software| software.starts_with(b"Microsoft-IIS"));
        let (Some(name), Some(info)) = (&self.script_name, &self.path_info) else { return };
        if iis && info.starts_with(name) {
            let (former, rest) = (info.clone(), info[name.len()..].to_vec());
            self.put(b"ORIG_PATH_INFO", Some(&former));
            self.path_info = Some(rest).filter(|rest| !rest.is_empty());
            self.put(b"PATH_INFO", self.path_info.clone().as_deref());
        }
    }

    /// `proxy:fcgi://host:port/path?query` and `proxy:balancer://…` become `/path`. True if SCRIPT_FILENAME changed.
    fn strip_proxy_url(&mut self) -> bool {
        let Some(given) = &self.script_filename else { return false };
        let Some(scheme_len) = proxy_scheme(given) else { return false };
        let mut path = given.as_slice();
        if let Some(slash) = given[scheme_len..].iter().position(|&b| b == b'/') {
            path = &given[scheme_len + slash..];
            self.apache = true;
        }
        let path = path.split(|&b| b == b'?').next().unwrap_or_default().to_vec();
        self.put(b"SCRIPT_FILENAME", Some(&path));
        self.script_filename = Some(path);
        true
    }

    /// The file exists (or is named by nothing): only what was replaced is corrected. Returns SCRIPT_NAME.
    fn take_as_it_is(
        &mut self,
        script: &[u8],
        name: Option<Bytes>,
        name_replaced: bool,
        redirected: bool,
    ) -> Option<Bytes> {
        let filename = self.script_filename.clone();
        if filename.as_deref() != Some(script) {
            self.keep(b"ORIG_SCRIPT_FILENAME", filename.as_deref());
            self.put(b"SCRIPT_FILENAME", Some(script));
        }
        if !self.apache && redirected {
            for (parameter, orig, former) in [
                (b"PATH_INFO".as_slice(), b"ORIG_PATH_INFO".as_slice(), self.path_info.clone()),
                (b"PATH_TRANSLATED", b"ORIG_PATH_TRANSLATED", self.path_translated.clone()),
            ] {
                if former.is_some() {
                    self.put(orig, former.as_deref());
                    self.put(parameter, None);
                }
            }
        }
        if name_replaced {
            let former = self.script_name.clone();
            self.keep(b"ORIG_SCRIPT_NAME", former.as_deref());
            self.put(b"SCRIPT_NAME", name.as_deref());
        }
        name
    }

    /// The file does not exist: cuts segments off until a regular file is left.
    fn cut_back(
        &mut self,
        script: Bytes,
        mut name: Option<Bytes>,
        document_root: Option<Bytes>,
    ) -> (Option<Bytes>, Option<Bytes>, bool) {
        // The system refuses longer paths: looking at each of them would only cost time.
        let paths = shorter_paths(&script).skip_while(|path| path.len() >= libc::PATH_MAX as usize);
        let found = { paths }.find(|path| is_regular_file(path)).map(<[u8]>::to_vec);
        let filename = self.script_filename.clone();
        let mut request_uri = None;
        if let Some(file) = &found {
            request_uri = self.split_path_info(&script, file.len(), &mut name);
            if filename.as_ref() != Some(file) {
                self.keep(b"ORIG_SCRIPT_FILENAME", filename.as_deref());
                self.put(b"SCRIPT_FILENAME", Some(file));
            }
            self.translate_path(file, name.as_deref(), document_root);
        } else {
            self.keep(b"ORIG_SCRIPT_FILENAME", filename.as_deref());
            self.put(b"SCRIPT_FILENAME", None);
        }
        let request_uri = request_uri.or_else(|| {
            if self.script_name != name {
                let former = self.script_name.clone();
                self.keep(b"ORIG_SCRIPT_NAME", former.as_deref());
                self.put(b"SCRIPT_NAME", name.as_deref());
            }
            name
        });
        let missing = found.is_none();
        (found, request_uri, missing)
    }

    /// Makes what was cut off `script` PATH_INFO, and takes it off SCRIPT_NAME. Returns SCRIPT_NAME if it was decided.
    fn split_path_info(&mut self, script: &[u8], file_len: usize, name: &mut Option<Bytes>) -> Option<Bytes> {
        let cut = &script[file_len..];
        let given = self.path_info.clone();
        let info = if self.apache {
            // mod_proxy_fcgi sends no PATH_INFO of its own as a rule.
            Some(cut.to_vec()).filter(|cut| given.as_ref() != Some(cut))
        } else {
            given.as_ref().filter(|info| info.len() > cut.len()).map(|info| info[info.len() - cut.len()..].to_vec())
        }?;
        let mut request_uri = None;
        let mut decoded_info = None;
        if let Some(given) = &given {
            self.put(b"ORIG_PATH_INFO", Some(given));
            let before = if self.apache { given.clone() } else { given[..given.len() - info.len()].to_vec() };
            if self.script_name.as_ref() != Some(&before) {
                let former = self.script_name.clone();
                self.keep(b"ORIG_SCRIPT_NAME", former.as_deref());
                self.put(b"SCRIPT_NAME", Some(&before));
            }
            request_uri = Some(before);
        } else if let (true, Some(whole)) = (self.apache, name.as_ref()) {
            let decoded = percent_decode(&info);
            let tail = [&info, &decoded].into_iter().find(|tail| whole.len() > tail.len() && whole.ends_with(tail));
            if let Some(tail) = tail {
                let before = whole[..whole.len() - tail.len()].to_vec();
                let former = self.script_name.clone();
                self.keep(b"ORIG_SCRIPT_NAME", former.as_deref());
                self.put(b"SCRIPT_NAME", Some(&before));
                *name = Some(before.clone());
                request_uri = Some(before);
            }
            decoded_info = Some(decoded).filter(|_| self.settings.decode_path_info);
        }
        let info = decoded_info.unwrap_or(info);
        self.put(b"PATH_INFO", Some(&info));
        self.path_info = Some(info);
        request_uri
    }

    /// PATH_TRANSLATED is the document root plus PATH_INFO.
    fn translate_path(&mut self, file: &[u8], name: Option<&[u8]>, document_root: Option<Bytes>) {
        let root = match (document_root, name) {
            (Some(root), _) => root.strip_suffix(b"/").map_or(root.clone(), <[u8]>::to_vec),
            // Without a document root: the file's path less the script's name.
            (None, Some(name)) if contains(file, name) => file[..file.len() - name.len()].to_vec(),
            _ => return,
        };
        let translated = [root, self.path_info.clone().unwrap_or_default()].concat();
        let former = self.path_translated.clone();
        self.keep(b"ORIG_PATH_TRANSLATED", former.as_deref());
        self.put(b"PATH_TRANSLATED", Some(&translated));
    }
}

fn os(path: &[u8]) -> &OsStr {
    OsStr::from_bytes(path)
}

fn is_regular_file(path: &[u8]) -> bool {
    fs::metadata(os(path)).is_ok_and(|meta| meta.is_file())
}

/// The path without its last segment, without its last two, and so on; backslashes separate where no slash is left.
fn shorter_paths(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let cut = |path: &[u8]| {
        let at = |separator: u8| path.iter().rposition(|&b| b == separator);
        at(b'/').or_else(|| at(b'\\'))
    };
    std::iter::successors(cut(path).map(|at| &path[..at]), move |path| cut(path).map(|at| &path[..at]))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

fn percent_decode(text: &[u8]) -> Bytes {
    let hex = |b: Option<&u8>| b.and_then(|&b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let mut decoded = Bytes::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match (text[at], hex(text.get(at + 1)), hex(text.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high << 4 | low);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}
