//! The pool's side of `catch_workers_output`.

use std::fs::OpenOptions;
use std::io;

use ftm_config::{Level, Pool};
use nix::unistd::{dup2_stderr, dup2_stdout};

use crate::observe::log::{self, Said, Stream};

/// What a worker writes to stderr at the end of each request, as under PHP-FPM: what it left without a newline is a line.
pub const END_OF_REQUEST: &[u8] = b"\0fscf\0";

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// PHP's own, about what it runs.
    Script,
    /// A request.
    Request,
    /// The pool.
    Pool,
}

/// What becomes of the output of scripts, and of PHP's own messages.
pub struct WorkerOutput {
    pool: String,
    catch: bool,
    decorate: bool,
}

impl WorkerOutput {
    /// As `pool` has it.
    pub fn new(pool: &Pool) -> WorkerOutput {
        let (catch, decorate) = (pool.catch_workers_output, pool.decorate_workers_output);
        WorkerOutput { pool: pool.name.clone(), catch, decorate }
    }

    /// PHP has started, and what that said went to the log. From now on the output of scripts does only if it is caught.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn scripts_begin(&self) -> io::Result<()> {
        if !self.catch {
            let null = OpenOptions::new().write(true).open("/dev/null")?;
            dup2_stdout(&null)?;
            dup2_stderr(&null)?;
        }
        Ok(())
    }

    /// Logs a message of thread `pid`: as what that said into stderr, as under PHP-FPM. Without `catch_workers_output`, those
    /// about requests are left out.
    pub fn message(&self, pid: i64, level: Level, text: &str, about: About) {
        if !self.catch {
            if about == About::Pool {
                log::write(level, &format!("[pool {}] {text}", self.pool));
            }
            return;
        }
        // PHP-FPM holds log_level against its own messages, and against the line that comes of PHP's (a warning).
        let line = match log::logs(level) {
            true => format!("{level}: {text}"),
            false if about == About::Script => text.to_owned(),
            false => return,
        };
        let who = Said { pool: &self.pool, pid, stream: Stream::Stderr, decorate: self.decorate };
        let line = log::limited(&line);
        line.split('\n').for_each(|line| log::said(&who, line.as_bytes()));
    }

    /// A request is over.
    pub fn request_ended(&self) {
        if self.catch {
            // A master that is gone does not mind.
            let _ = nix::unistd::write(io::stderr(), END_OF_REQUEST);
        }
    }
}
