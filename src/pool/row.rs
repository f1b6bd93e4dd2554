//! A row of the scoreboard: what a slot's thread is doing, for the status page and `fpm_get_status()`.

use std::ffi::CStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::time::{ClockId, clock_gettime};

/// The lengths at which PHP-FPM cuts what its scoreboard shows, in bytes.
const SHOWN_METHOD: usize = 15;
const SHOWN_URI: usize = 127;
const SHOWN_QUERY: usize = 511;
const SHOWN_USER: usize = 31;
const SHOWN_SCRIPT: usize = 255;

/// What a thread is doing. The names shown are PHP-FPM's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Waits for a request.
    #[default]
    Idle,
    /// Runs a script.
    Running,
    /// The response has ended; shutdown functions and destructors run, and PHP frees the request's memory.
    Finishing,
}

impl State {
    /// PHP-FPM's name of it.
    pub fn name(self) -> &'static CStr {
        match self {
            State::Idle => c"Idle",
            State::Running => c"Running",
            State::Finishing => c"Finishing",
        }
    }
}

/// Processor time that a thread has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// In user mode.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
}

impl Cpu {
    /// What the calling thread has used since it was started.
    pub fn of_this_thread() -> Cpu {
        let Ok(usage) = getrusage(UsageWho::RUSAGE_THREAD) else { return Cpu::default() };
        let duration = |time: TimeVal| {
            let micros = i128::from(time.tv_sec()) * 1_000_000 + i128::from(time.tv_usec());
            Duration::from_micros(u64::try_from(micros).unwrap_or(0))
        };
        Cpu { user: duration(usage.user_time()), system: duration(usage.system_time()) }
    }

    /// All that another thread of the process has used, by its Linux id; `None`: there is no such thread.
    fn of(thread: i64) -> Option<Duration> {
        // As the kernel numbers the processor clocks of threads (include/linux/posix-timers.h): pthread_getcpuclockid() needs a
        // thread that is sure to live.
        const OF_A_THREAD: i64 = 0b110;
        let clock = ClockId::from_raw(libc::clockid_t::try_from(!thread << 3 | OF_A_THREAD).ok()?);
        clock_gettime(clock).ok().map(Duration::from)
    }

    /// Both.
    pub fn total(self) -> Duration {
        self.user + self.system
    }

    fn since(self, earlier: Cpu) -> Cpu {
        Cpu { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }
}

/// What the row shows of a request; kept until the next one.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// REQUEST_METHOD.
    pub method: Vec<u8>,
    /// SCRIPT_NAME.
    pub uri: Vec<u8>,
    /// QUERY_STRING.
    pub query: Vec<u8>,
    /// Who logged in by Basic authentication (PHP_AUTH_USER), cut to what PHP-FPM shows.
    pub user: Vec<u8>,
    /// The script's file.
    pub script: Vec<u8>,
    /// CONTENT_LENGTH, 0 where unknown.
    pub content_length: i64,
}

impl Shown {
    /// Shows a request; nobody has logged in yet. Each is cut to what PHP-FPM shows.
    pub fn set(&mut self, method: Option<&[u8]>, uri: Option<&[u8]>, query: Option<&[u8]>, script: Option<&[u8]>) {
        let put = |field: &mut Vec<u8>, value: Option<&[u8]>, max: usize| {
            let value = value.unwrap_or_default();
            field.clear();
            field.extend_from_slice(&value[..value.len().min(max)]);
        };
        put(&mut self.method, method, SHOWN_METHOD);
        put(&mut self.uri, uri, SHOWN_URI);
        put(&mut self.query, query, SHOWN_QUERY);
        put(&mut self.user, None, SHOWN_USER);
        put(&mut self.script, script, SHOWN_SCRIPT);
    }
}

/// A copy of the row at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The id of the thread (Linux's tid).
    pub thread_id: i64,
    /// What it is doing.
    pub state: State,
    /// Unix time at which the thread was booted.
    pub start_time: i64,
    /// Requests that this thread has begun.
    pub requests: u64,
    /// How long the current request has taken, or the last one took.
    pub duration: Duration,
    /// The current or last request.
    pub shown: Shown,
    /// Processor time of the last request that has ended, up to the end of its script.
    pub cpu: Cpu,
    /// How long that request was on the thread, up to the end of its script.
    pub ran: Duration,
    /// The most memory that it took, in bytes, as PHP's allocator got it from the system.
    pub memory: u64,
}

impl View {
    /// The thread and its request, in PHP-FPM's words.
    pub fn describe(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let Shown { script, method, uri, query, .. } = &self.shown;
        format!(
            "child {}, script '{}' (request: \"{} {}{}{}\")",
            self.thread_id,
            text(script),
            text(method),
            text(uri),
            if query.is_empty() { "" } else { "?" },
            text(query),
        )
    }

    /// `last request cpu` in percent of one processor; 0 while a request runs, as PHP-FPM has it.
    pub fn cpu_percent(&self) -> f64 {
        if self.state != State::Idle || self.ran.is_zero() {
            return 0.0;
        }
        self.cpu.total().as_secs_f64() / self.ran.as_secs_f64() * 100.0
    }

    /// `last request memory` in bytes; 0 while a request runs, as PHP-FPM has it.
    pub fn idle_memory(&self) -> u64 {
        if self.state == State::Idle { self.memory } else { 0 }
    }
}

#[derive(Default)]
struct Data {
    view: View,
    began: Option<Instant>,
    /// When the thread took the request that it still works on, and what it had used by then.
    taken: Option<(Instant, Cpu)>,
    present: bool,
}

/// A slot's row. Written by its thread, read by anybody.
#[derive(Default)]
pub struct Row(Mutex<Data>);

impl Row {
    fn lock(&self) -> MutexGuard<'_, Data> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new thread occupies the slot: its own call.
    pub fn booted(&self) {
        let mut data = self.lock();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        data.view = View {
            thread_id: i64::from(nix::unistd::gettid().as_raw()),
            start_time: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
            ..View::default()
        };
        data.present = true;
    }

    /// The slot has no thread for now.
    pub fn left(&self) {
        let mut data = self.lock();
        data.present = false;
        (data.began, data.taken) = (None, None);
    }

    /// A request begins: the thread's own call. `fill` writes what is to be shown of it into the row's own buffers. Returns
    /// what the thread has used by now.
    pub fn begin(&self, began: Instant, fill: impl FnOnce(&mut Shown)) -> Cpu {
        let used = Cpu::of_this_thread();
        let mut data = self.lock();
        data.view.state = State::Running;
        data.view.requests += 1;
        data.began = Some(began);
        data.taken = Some((Instant::now(), used));
        fill(&mut data.view.shown);
        used
    }

    /// The request's user became known: who logged in by HTTP's Basic authentication.
    pub fn set_user(&self, user: &[u8]) {
        let mut data = self.lock();
        data.view.shown.user.clear();
        data.view.shown.user.extend_from_slice(&user[..user.len().min(SHOWN_USER)]);
    }

    /// The script has ended: the thread's own call. `memory`: its peak in bytes. PHP-FPM takes its figures here, too.
    pub fn script_ended(&self, memory: u64) {
        let used = Cpu::of_this_thread();
        let mut data = self.lock();
        let running = std::mem::replace(&mut data.view.state, State::Finishing) == State::Running;
        data.view.duration = data.began.map(|began| began.elapsed()).unwrap_or_default();
        if let Some((taken, before)) = data.taken.filter(|_| running) {
            data.view.ran = taken.elapsed();
            data.view.cpu = used.since(before);
        }
        data.view.memory = memory;
    }

    /// The request is over.
    pub fn end(&self) {
        let mut data = self.lock();
        // Where a fatal error skipped the end of the script.
        if data.view.state == State::Running {
            data.view.duration = data.began.map(|began| began.elapsed()).unwrap_or_default();
        }
        (data.began, data.taken) = (None, None);
        data.view.state = State::Idle;
    }

    /// What the thread does with its request, and for how long it has had it; `None`: it has none.
    pub fn at_work(&self) -> Option<(State, Duration)> {
        let data = self.lock();
        Some((data.view.state, data.taken?.0.elapsed()))
    }

    /// For how long the thread has had its request, and how much processor time it has used meanwhile, none as far as the system
    /// does not tell; `None`: it has no request, or has had it for less than `least`.
    pub fn effort(&self, least: Duration) -> Option<(Duration, Duration)> {
        let (thread, (taken, before)) = {
            let data = self.lock();
            (data.view.thread_id, data.taken?)
        };
        let took = taken.elapsed();
        // Not under the lock: the system is asked.
        (took >= least).then(|| (took, Cpu::of(thread).unwrap_or_default().saturating_sub(before.total())))
    }

    /// Whether the slot has a thread, and this is its id.
    pub fn is_of(&self, thread: i32) -> bool {
        let data = self.lock();
        data.present && data.view.thread_id == i64::from(thread)
    }

    /// A look at the row, without a copy.
    pub fn look<T>(&self, look: impl FnOnce(&View) -> T) -> T {
        look(&self.lock().view)
    }

    /// The row as it is now; `None` while the slot has no thread.
    pub fn view(&self) -> Option<View> {
        let data = self.lock();
        data.present.then(|| {
            let mut view = data.view.clone();
            if let Some(began) = data.began {
                view.duration = began.elapsed();
            }
            view
        })
    }
}
