//! A request while a PHP thread runs it: the C side's view of it, and its response.

use std::ffi::c_char;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use ftm_fastcgi::{Pair, Params};
use nix::unistd::gettid;

use super::ffi;
use super::known_files::KnownFiles;
use super::script_path::ScriptPath;
use super::thread::PhpPool;
use crate::observe::log::Level;
use crate::pool::{About, Row, Shown};
use crate::server::{Gone, Request};

/// Output is gathered up to this many bytes before it is sent.
const RESPONSE_BUFFER: usize = 32 * 1024;

/// Messages for STDERR are gathered up to this many bytes.
const MESSAGE_BUFFER: usize = 8 * 1024;

/// PHP-FPM adds it to the parameters.
const ROLE: &[u8] = b"FCGI_ROLE";

// C reads them as they are.
const _: () =
    assert!(size_of::<Pair>() == size_of::<ffi::ftm_pair>() && align_of::<Pair>() == align_of::<ffi::ftm_pair>());

/// A request under way, at a fixed address: the C side holds pointers into it. What `view` points to lives in the fields
/// with an underscore, which are not touched until the end.
pub struct Running {
    view: ffi::ftm_request,
    request: Arc<Request>,
    pool: Arc<PhpPool>,
    output: Vec<u8>,
    /// Messages for STDERR that have not been sent.
    messages: Vec<u8>,
    _params: Params,
    /// FCGI_ROLE where the web server has given it as a parameter, and a NUL.
    _role: Option<Vec<u8>>,
    _path: ScriptPath,
}

impl Running {
    /// Makes the request ready for the C side. `output` is an empty buffer to use; `known`: what the thread knows of files.
    pub fn new(request: Arc<Request>, pool: Arc<PhpPool>, output: Vec<u8>, known: &mut KnownFiles) -> NonNull<Running> {
        let mut params = request.take_params();
        let path = ScriptPath::resolve(&mut params, &pool.paths, known);
        let role = params.get(ROLE).map(|role| [role, b"\0"].concat());
        if role.is_some() {
            params.remove(ROLE);
        }
        let (role_ptr, role_len) = match (&role, request.role()) {
            (Some(given), _) => (given.as_ptr().cast(), given.len() - 1),
            (None, role) => (role.as_c_str().as_ptr(), role.as_c_str().count_bytes()),
        };
        let view = ffi::ftm_request {
            rust: ptr::null_mut(),
            bytes: params.buffer().as_ptr().cast(),
            pairs: params.pairs().as_ptr().cast(),
            pairs_len: params.len(),
            role: role_ptr,
            role_len,
            method: param(&params, b"REQUEST_METHOD"),
            script: path.script.as_ref().map_or(ptr::null(), |path| path.as_ptr()),
            script_name: path.script_name.as_ref().map_or(ptr::null(), |name| name.as_ptr()),
            query_string: path.found(param(&params, b"QUERY_STRING")),
            content_type: path.found(match param(&params, b"CONTENT_TYPE") {
                missing if missing.is_null() => c"".as_ptr(),
                given => given,
            }),
            content_length: request.content_length().map_or(-1, |n| i64::try_from(n).unwrap_or(i64::MAX)),
            cpu_time: 0,
            script_missing: path.missing,
        };
        let running = Box::new(Running {
            view,
            request,
            pool,
            output,
            messages: Vec::new(),
            _params: params,
            _role: role,
            _path: path,
        });
        let running = NonNull::from(Box::leak(running));
        // SAFETY: nobody else knows the address yet.
        unsafe { (*running.as_ptr()).view.rust = running.as_ptr().cast() };
        running
    }

    /// What the C side gets.
    pub fn view(running: NonNull<Running>) -> *const ffi::ftm_request {
        // SAFETY: only takes the address of a field.
        unsafe { &raw const (*running.as_ptr()).view }
    }

    /// The request.
    pub fn request(&self) -> &Arc<Request> {
        &self.request
    }

    /// What all threads of the pool have in common.
    pub fn pool(&self) -> &PhpPool {
        &self.pool
    }

    /// The file of the script.
    pub fn script(&self) -> Option<&[u8]> {
        self._path.script.as_deref().map(|path| path.to_bytes())
    }

    /// Logs a message of this request.
    pub fn log(&self, level: Level, message: &str, about: About) {
        self.pool.output.message(gettid().as_raw().into(), level, message, about);
    }

    /// The value of a parameter, after the path fix-ups, FCGI_ROLE among them.
    pub fn param(&self, name: &[u8]) -> Option<&[u8]> {
        if name == ROLE {
            let given = self._role.as_deref().map(|role| &role[..self.view.role_len]);
            return given.or(Some(self.request.role().as_c_str().to_bytes()));
        }
        self._params.get(name)
    }

    /// The same, with a NUL behind it; null where there is no such parameter.
    pub fn param_for_c(&self, name: &[u8]) -> *const c_char {
        if name == ROLE { self.view.role } else { param(&self._params, name) }
    }

    /// The request is over in every respect. Returns the buffer, for the next one.
    ///
    /// # Safety
    ///
    /// `running` came from [`Running::new`] and nobody uses it, or what its view points to, any more.
    pub unsafe fn end(running: NonNull<Running>) -> Vec<u8> {
        // SAFETY: made by Box::leak in new(), and by the contract above not used any more.
        let mut running = unsafe { Box::from_raw(running.as_ptr()) };
        running.finish();
        running.output
    }

    /// Writes what the scoreboard shows of the request.
    pub fn show(&mut self, row: &Row) {
        let used = row.begin(self.request.begun(), |shown: &mut Shown| {
            shown.set(
                self.param(b"REQUEST_METHOD"),
                self._path.script_name.as_deref().map(|name| name.to_bytes()),
                self.param(b"QUERY_STRING"),
                self.script(),
            );
            shown.content_length = self.view.content_length.max(0);
        });
        if self.view.content_length <= 0 && self.request.body().is_empty() {
            self.view.cpu_time = i64::try_from(used.total().as_nanos()).unwrap_or(i64::MAX);
        }
    }

    /// Adds to the response.
    pub fn write(&mut self, data: &[u8]) -> Result<(), Gone> {
        if self.request.finished() {
            return Ok(()); // after fastcgi_finish_request() output goes nowhere
        }
        if self.request.aborted() {
            return Err(Gone);
        }
        if self.output.len() + data.len() <= RESPONSE_BUFFER {
            if self.output.capacity() == 0 {
                self.output.reserve_exact(RESPONSE_BUFFER);
            }
            self.output.extend_from_slice(data);
            return Ok(());
        }
        self.send(data)
    }

    /// Sends what was gathered.
    pub fn flush(&mut self) -> Result<(), Gone> {
        self.send(&[])
    }

    /// Adds to the messages on STDERR. Those of a request that follow each other leave in one record, or web servers
    /// would log each piece as a line.
    pub fn message(&mut self, text: &[u8]) -> Result<(), Gone> {
        if self.request.finished() {
            return Ok(());
        }
        self.messages.extend_from_slice(text);
        if self.messages.len() > MESSAGE_BUFFER { self.flush() } else { Ok(()) }
    }

    /// Sends messages, gathered output and `data`.
    fn send(&mut self, data: &[u8]) -> Result<(), Gone> {
        let result = self
            .request
            .send_stderr(&std::mem::take(&mut self.messages))
            .and_then(|()| self.request.send_stdout(&[&self.output, data]));
        self.output.clear();
        result
    }

    /// Ends the response; false if it had ended.
    pub fn finish(&mut self) -> bool {
        let first = self.request.finish(&self.output, &self.messages, u32::from(self.request.killed()));
        self.output.clear();
        first
    }
}

fn param(params: &Params, name: &[u8]) -> *const c_char {
    // Each value in the buffer is followed by a NUL.
    params.get(name).map_or(ptr::null(), |value| value.as_ptr().cast())
}
