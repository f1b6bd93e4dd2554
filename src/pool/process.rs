//! The life of a pool process, from the fork to its exit.

use std::cell::RefCell;
use std::ffi::CString;
use std::fs::File;
use std::num::{NonZeroU64, NonZeroUsize};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ftm_config::{ExecutionClock, Pool, ProcessManager};
use ftm_fastcgi::Limits;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::getpid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch as signal_value};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::attend;
use super::backlog::Backlog;
use super::ceilings::{self, Ceilings};
use super::confinement;
use super::control::{Order, Orders, PoolEnd};
use super::crash::{self, Faults};
use super::dispatch::{Dispatcher, Usher};
use super::environment;
use super::figures::OwnFigures;
use super::files::PoolFiles;
use super::leftovers;
use super::main_thread;
use super::opcache::{self, Opcache};
use super::pages::{PageNames, Pages};
use super::privileges::{self, Identity};
use super::sizing::Sizing;
use super::slot::Slot;
use super::status::{self, Asker, PoolInfo};
use super::threads::{Ended, Threads};
use super::watchdog::{Limits as RequestLimits, Watchdog};
use super::worker_output::{About, WorkerOutput};
use crate::check;
use crate::memory;
use crate::observe::access::AccessLog;
use crate::observe::log::Level;
use crate::observe::slowlog::SlowLog;
use crate::observe::{log, reason};
use crate::php::{self, Engine, EngineSettings, PathSettings, PhpPool};
use crate::server::{
    AllowedClients, ConnectionSettings, Connections, ForMain, Gate, Lobby, WireLimits, accept_loop, accept_rest, drain,
    give, take,
};

/// How often the number of threads is looked at, as by PHP-FPM.
const MAINTENANCE: Duration = Duration::from_secs(1);

/// How long threads may take to end that run no request.
const LEAVING_PATIENCE: Duration = Duration::from_secs(10);

/// The same after a crash: they may wait for what the thread that crashed holds.
const CRASHED_PATIENCE: Duration = Duration::from_millis(500);

/// How long a thread that was left to itself may go on before the process is replaced because of it.
const ABANDONED_PATIENCE: Duration = Duration::from_secs(60);

/// What the master hands to a new pool process.
pub struct PoolStart<'a> {
    /// The pool.
    pub pool: &'a Pool,
    /// Its listening socket, non-blocking.
    pub listener: OwnedFd,
    /// That of `pm.status_listen`.
    pub status: Option<OwnedFd>,
    /// Its log files.
    pub files: PoolFiles,
    /// The channel to the master.
    pub control: PoolEnd,
    /// Its figures, which the master sees too.
    pub figures: OwnFigures,
    /// argv\[0\], `-c`, `-n`, `-d`.
    pub engine: EngineSettings,
}

/// `pm.status_listen`.
struct StatusDoor {
    socket: Arc<OwnedFd>,
    gate: Arc<Gate>,
    pages: Pages,
}

/// Runs the pool; returns the exit code of the process, or why it cannot run.
pub fn run(start: PoolStart<'_>) -> Result<i32, String> {
    memory::keep_apart();
    let PoolStart { pool, listener, status, files, control, figures, engine } = start;
    let engine = Engine::start(&engine_settings(pool, engine))?;
    check::warn_of_unsafe_extensions(&pool.name, &engine);
    let opcache = Opcache::guard(&pool.name, pool.opcache_restart_timeout)
        .map_err(|e| format!("cannot guard opcache against its restarts: {}", reason(&e)))?;
    let output = WorkerOutput::new(pool);
    output.scripts_begin().map_err(|e| format!("cannot detach the standard streams: {}", reason(&e)))?;
    let identity = Identity::of(pool)?;
    // Out of reach in another root, both. One thread more than processors: each waits for a moment now and then.
    let enough = std::thread::available_parallelism().map_or(1, NonZeroUsize::get) + 1;
    let queue_limit = usize::try_from(pool.listen.backlog).ok().filter(|&n| n > 0).unwrap_or_else(somaxconn);
    confinement::enter(pool, &identity)?;
    environment::apply(pool, identity.user.as_ref()).map_err(|e| format!("cannot set the environment: {e}"))?;
    engine.environment_set();

    let listener = Arc::new(listener);
    let most_slots = pool.max_children as usize + usize::from(pool.max_abandoned_threads);
    let slots = (0..most_slots).map(|index| Arc::new(Slot::new(index))).collect();
    let sizing = Sizing::new(pool.process_manager, pool.max_children as usize);
    let elastic = pool.process_manager != ProcessManager::Static;
    let settings = connection_settings(pool, &engine);
    let paths = path_settings(&engine);
    let output = Arc::new(output);
    let (logs, pid) = (output.clone(), getpid().as_raw().into());
    let clients = AllowedClients::of(&pool.listen, move |text| logs.message(pid, Level::Error, text, About::Pool));
    let gate = Arc::new(Gate::new(clients));
    let names = PageNames::new(pool, paths.clone());
    let backlog = Backlog::new(Arc::downgrade(&listener));
    let (lobby, for_main) = Lobby::new(listener, gate.clone(), settings.clone(), names)
        .map_err(|e| format!("cannot watch for connections: {}", reason(&e)))?;
    let php_pool = Arc::new(PhpPool {
        dispatcher: Arc::new(Dispatcher::new(slots, queue_limit, figures, elastic, enough, lobby)),
        max_children: pool.max_children as usize,
        max_requests: pool.max_requests.map_or(0, |n| u64::from(n.get())),
        stack_size: privileges::stack_size(pool),
        paths,
        info: pool_info(pool),
        backlog,
        output,
        opcache,
        slow: slow_log(pool, files.slow),
        terminate_timeout: pool.request_terminate_timeout.map_or(0, |timeout| timeout.as_secs() as u32),
        access: pool.access.as_ref().zip(files.access).map(|(access, file)| AccessLog::new(&pool.name, access, file)),
    });
    let pages = |asker| Pages::new(php_pool.clone(), pool, &engine, asker);
    let status = status.map(|socket| StatusDoor { socket: Arc::new(socket), gate, pages: pages(Asker::StatusListen) });
    let pages = pages(Asker::StatusPage);
    status::publish(php_pool.clone());

    let limits = RequestLimits {
        slow: pool.request_slowlog_timeout,
        terminate: pool.request_terminate_timeout,
        track_finished: pool.request_terminate_timeout_track_finished,
        force: pool.force_kill_deadline,
        max_abandoned: usize::from(pool.max_abandoned_threads),
    };
    let bytes = |limit: Option<NonZeroU64>| limit.map(NonZeroU64::get);
    let ceilings = Ceilings::new(bytes(pool.max_thread_memory), bytes(pool.max_memory), ceilings::private_memory());
    let crash_drain = pool.crash_drain_timeout;
    let serving =
        Serving { pool: php_pool, sizing, limits, crash_drain, ceilings, for_main, pages, status, control, settings };
    match main_thread::run(move || serve(serving))? {
        End::Whole => {}
        // PHP's own end would free what the threads that are left still use.
        // SAFETY: ends the process at once.
        End::ThreadsLeft => unsafe { libc::_exit(0) },
        End::Crashed => crash::end_process(),
    }
    engine.stop();
    Ok(0)
}

/// How the pool starts PHP; `engine` is what the command line says.
pub fn engine_settings(pool: &Pool, engine: EngineSettings) -> EngineSettings {
    EngineSettings {
        values: pool.php_values.clone(),
        limit_extensions: pool.limit_extensions.clone(),
        wall_clock: pool.max_execution_clock == ExecutionClock::Wall,
        directory: confinement::directory(pool),
        ..engine
    }
}

fn slow_log(pool: &Pool, file: Option<File>) -> Option<SlowLog> {
    pool.request_slowlog_timeout?;
    Some(SlowLog::new(&pool.name, pool.request_slowlog_trace_depth, file?))
}

fn somaxconn() -> usize {
    let text = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    text.trim().parse().unwrap_or(libc::SOMAXCONN as usize)
}

fn path_settings(engine: &Engine) -> PathSettings {
    // PHP has no such cache where it is limited to some directories.
    let cached = engine.ini_string(c"open_basedir").is_none_or(|dirs| dirs.is_empty());
    let seconds = u64::try_from(engine.ini_long(c"realpath_cache_ttl", 120)).unwrap_or(0);
    PathSettings {
        fix_pathinfo: engine.ini_long(c"cgi.fix_pathinfo", 1) != 0,
        discard_path: engine.ini_long(c"cgi.discard_path", 0) != 0,
        doc_root: engine.ini_string(c"doc_root"),
        decode_path_info: Engine::php_version_id() >= 80400,
        remembered: Duration::from_secs(if cached { seconds } else { 0 }),
    }
}

fn pool_info(pool: &Pool) -> PoolInfo {
    PoolInfo {
        name: CString::new(pool.name.as_str()).unwrap_or_default(),
        process_manager: match pool.process_manager {
            ProcessManager::Static => c"static",
            ProcessManager::Dynamic { .. } => c"dynamic",
            ProcessManager::Ondemand { .. } => c"ondemand",
        },
        shows_memory_peak: Engine::php_version_id() >= 80400,
    }
}

fn connection_settings(pool: &Pool, engine: &Engine) -> ConnectionSettings {
    let mut limits = Limits::new(u32::MAX, u32::from(pool.connection_max_requests));
    limits.params = pool.request_params_limit;
    limits.requests = usize::from(pool.connection_max_requests);
    let max_input_time = engine.ini_long(c"max_input_time", -1);
    ConnectionSettings {
        limits,
        wire: WireLimits { pending: pool.response_buffer, stalled: pool.response_timeout.unwrap_or(Duration::MAX) },
        body_buffer: pool.request_body_buffer,
        body_deadline: u64::try_from(max_input_time).ok().filter(|&s| s > 0).map(Duration::from_secs),
        body_min_rate: pool.request_body_min_rate.map_or(0, |rate| rate.get()),
    }
}

/// Looks after requests that are to be ended. `most`: `max_abandoned_threads`.
async fn watch_requests(
    watchdog: Rc<RefCell<Watchdog>>,
    dispatcher: Arc<Dispatcher>,
    threads: Rc<Threads>,
    orders: Rc<Orders>,
    most: usize,
) {
    let mut asked: Option<Instant> = None;
    loop {
        let pause = watchdog.borrow().pause().or((threads.abandoned().0 > 0).then_some(MAINTENANCE));
        tokio::select! {
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            () = dispatcher.killed() => {}
        }
        let found = watchdog.borrow_mut().look();
        found.unknown.into_iter().for_each(|thread| orders.ask_call(thread));
        found.stuck.iter().for_each(|(slot, request)| threads.abandon(*slot, request));
        let (abandoned, longest) = threads.abandoned();
        let due = asked.is_none_or(|at| at.elapsed() > ABANDONED_PATIENCE);
        // Again, because the master may have had no process to spare.
        if due && (abandoned >= most || longest > ABANDONED_PATIENCE) && orders.ask_successor() {
            asked = Some(Instant::now());
        }
    }
}

/// Writes to these files from now on.
fn reopen(pool: &PhpPool, error_log: Option<File>, files: PoolFiles) {
    error_log.into_iter().for_each(log::reopen);
    if let (Some(log), Some(file)) = (&pool.access, files.access) {
        log.reopen(file);
    }
    if let (Some(log), Some(file)) = (&pool.slow, files.slow) {
        log.reopen(file);
    }
}

/// Sends idle connections to `channel` from now on.
fn hand_over(channel: OwnedFd, connections: &Connections) -> JoinHandle<()> {
    let (successor, idle) = mpsc::unbounded_channel();
    connections.set_successor(Some(successor));
    tokio::task::spawn_local(give(channel, idle))
}

/// What a process leaves when it has served.
enum End {
    /// Nothing.
    Whole,
    /// Threads that were left to themselves.
    ThreadsLeft,
    /// Threads that have crashed.
    Crashed,
}

/// What a process needs to serve.
struct Serving {
    pool: Arc<PhpPool>,
    sizing: Sizing,
    limits: RequestLimits,
    /// `crash_drain_timeout`.
    crash_drain: Duration,
    ceilings: Ceilings,
    /// From the lobby.
    for_main: mpsc::UnboundedReceiver<ForMain>,
    pages: Pages,
    status: Option<StatusDoor>,
    control: PoolEnd,
    settings: ConnectionSettings,
}

/// Serves until the end.
async fn serve(serving: Serving) -> Result<End, String> {
    let Serving { pool, sizing, limits, crash_drain, ceilings, mut for_main, pages, status, control, settings } =
        serving;
    let dispatcher = pool.dispatcher.clone();
    let (stop, stopped) = signal_value::channel(false);
    let (ended, mut ends) = mpsc::unbounded_channel::<Ended>();
    let mut quit = signal(SignalKind::quit()).map_err(|e| format!("cannot watch for SIGQUIT: {e}"))?;
    // The master had it blocked, so that one that came before now was kept.
    SigSet::from(Signal::SIGQUIT).thread_unblock().map_err(|e| format!("cannot unblock SIGQUIT: {e}"))?;
    let orders = Rc::new(control.watched().map_err(|e| format!("cannot watch the master: {e}"))?);

    let faults = Faults::contain(crash_drain, &orders).map_err(|e| format!("cannot watch for crashes: {e}"))?;
    let threads = Rc::new(Threads::new(pool.clone(), sizing, ended));
    Usher::start(&dispatcher).map_err(|e| format!("cannot start the usher: {}", reason(&e)))?;
    threads.start()?;
    let mut tick = tokio::time::interval_at(Instant::now() + MAINTENANCE, MAINTENANCE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let lobby = dispatcher.lobby();
    let open = lobby.open().clone();
    let connect = |pages| Connections::new(settings.clone(), dispatcher.clone(), pages, stopped.clone(), open.clone());
    let connections = connect(pages);
    let status = status.map(|StatusDoor { socket, gate, pages }| {
        let connections = connect(pages);
        let accept = accept_loop(socket.clone(), gate.clone(), connections.clone());
        (socket, gate, connections, tokio::task::spawn_local(accept))
    });
    drop(tokio::task::spawn_local(attend::stand_in(pool.clone(), connections.clone())));
    drop(tokio::task::spawn_local(attend::make_good(dispatcher.clone())));
    drop(tokio::task::spawn_local(attend::look_after(dispatcher.clone())));
    orders.say_ready();
    lobby.open_up().map_err(|e| format!("cannot watch the listening socket: {e}"))?;

    let watchdog = Rc::new(RefCell::new(Watchdog::new(pool.clone(), limits)));
    drop(tokio::task::spawn_local(opcache::restart(pool.clone(), threads.clone(), orders.clone())));
    if ceilings.any() {
        drop(tokio::task::spawn_local(ceilings::watch(ceilings, pool.clone(), threads.clone(), orders.clone())));
    }
    drop(tokio::task::spawn_local(leftovers::watch(threads.clone())));
    let most = limits.max_abandoned;
    let watching = watch_requests(watchdog.clone(), dispatcher.clone(), threads.clone(), orders.clone(), most);
    drop(tokio::task::spawn_local(watching));
    let crash = Rc::new(Notify::new());
    drop(tokio::task::spawn_local(crash::watch(faults, pool.clone(), threads.clone(), crash.clone())));
    let (mut finishing, mut master_gone, mut giving) = (false, false, None);
    // Requests that are still arriving need the slots: they leave when the last connection has closed.
    while !finishing || open.count() > 0 {
        let was_finishing = finishing;
        tokio::select! {
            _ = quit.recv() => finishing = true,
            () = open.wait_below(1), if finishing => {}
            Some(end) = ends.recv() => threads.on_end(end),
            () = dispatcher.work_waits() => threads.grow(),
            _ = tick.tick() => threads.tick(),
            Some(work) = for_main.recv() => match work {
                ForMain::Connection(handed) => connections.serve(handed),
                ForMain::Response(wire) => drop(tokio::task::spawn_local(drain(wire))),
            },
            // Connections wait for the next process.
            () = crash.notified() => status.iter().for_each(|(.., accepting)| accepting.abort()),
            order = orders.next(), if !master_gone => match order {
                Order::Reopen { error_log, files } => reopen(&pool, error_log, files),
                Order::TakeOver(channel) => {
                    drop(tokio::task::spawn_local(take(channel, dispatcher.clone())));
                }
                Order::HandOver(channel) => {
                    giving = Some(hand_over(channel, &connections));
                    finishing = true;
                }
                Order::Call { thread, file } => watchdog.borrow_mut().learn_call(thread, file),
                Order::Finish => {
                    log::warning!("the master is gone: finishing");
                    (finishing, master_gone) = (true, true);
                }
            },
        }
        if finishing && !was_finishing {
            // Without a successor, who has connected by now would be refused.
            let rest = giving.is_none();
            lobby.close(rest);
            if let Some((socket, gate, connections, accepting)) = &status {
                accepting.abort();
                if rest {
                    accept_rest(socket, gate, connections);
                }
            }
            orders.say_closed();
            let _ = stop.send(true); // fails only without any connection
        }
    }
    connections.set_successor(None);
    if let Some(giving) = giving {
        // It ends when all is given, or with the successor.
        let _ = giving.await;
    }
    threads.stop();
    let mut working = Instant::now();
    while threads.count() > 0 {
        tokio::select! {
            Some(end) = ends.recv() => threads.on_end(end),
            // The last one may be left to itself.
            _ = tick.tick() => {}
        }
        if dispatcher.slots().iter().any(|slot| slot.running().is_some()) {
            working = Instant::now();
        } else if php::any_fault() && working.elapsed() > CRASHED_PATIENCE {
            return Ok(End::Crashed);
        } else if working.elapsed() > LEAVING_PATIENCE {
            log::warning!("[pool {}] a thread does not end: leaving without it", pool.info.name.to_string_lossy());
            return Ok(End::ThreadsLeft);
        }
    }
    threads.join().await;
    Ok(match threads.abandoned() {
        _ if php::any_fault() => End::Crashed,
        (0, _) => End::Whole,
        _ => End::ThreadsLeft,
    })
}
