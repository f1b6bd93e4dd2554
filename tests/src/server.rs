//! Starts php-ftm or php-fpm from one description.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::fcgi::{self, Answer, Call, Conn, Record, kind};
use crate::net::{Address, probe_port};
use crate::proc::{self, Counts};
use crate::process::Process;
use crate::site::Site;
use crate::wait::{DEADLINE, eventually, eventually_some};

/// How often a start is repeated after somebody else took the probed port.
const PORT_TRIES: usize = 5;

/// What a log never holds while all is well, crashes of extensions included.
const ALARMS: [&str; 3] = ["panicked", "ALERT", "internal error"];

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The program under test.
    PhpFtm,
    /// The distribution's php-fpm.
    PhpFpm,
}

impl Kind {
    /// What `FTM_TESTS_SERVER` says; php-ftm unless it is `php-fpm`.
    pub fn under_test() -> Self {
        match std::env::var("FTM_TESTS_SERVER").as_deref() {
            Ok("php-fpm") => Self::PhpFpm,
            Ok("php-ftm") | Err(_) => Self::PhpFtm,
            Ok(other) => panic!("FTM_TESTS_SERVER={other}: neither php-ftm nor php-fpm"),
        }
    }

    /// Its executable: `$PHP_FTM` or the release build; `$PHP_FPM` or the newest /usr/sbin/php-fpm*.
    pub fn program(self) -> PathBuf {
        match self {
            Self::PhpFtm => std::env::var_os("PHP_FTM").map_or_else(release_build, PathBuf::from),
            Self::PhpFpm => std::env::var_os("PHP_FPM").map_or_else(newest_php_fpm, PathBuf::from),
        }
    }

    /// Major and minor version of its PHP, as `-v` tells it.
    pub fn php_version(self) -> (u32, u32) {
        let output = Command::new(self.program()).arg("-v").output().expect("run with -v");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut numbers = text.trim_start_matches("PHP ").split('.').map(|n| n.parse::<u32>().ok());
        let version = numbers.next().flatten().zip(numbers.next().flatten());
        version.unwrap_or_else(|| panic!("no version in {text:?}"))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::PhpFtm => "php-ftm",
            Self::PhpFpm => "php-fpm",
        }
    }
}

fn release_build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let program = root.join("target/release/php-ftm");
    assert!(program.exists(), "{} is missing: run scripts/build, or set PHP_FTM", program.display());
    program
}

fn newest_php_fpm() -> PathBuf {
    let entries = fs::read_dir("/usr/sbin").into_iter().flatten().flatten().map(|e| e.path());
    let mut found: Vec<_> = entries.filter(|p| p.to_string_lossy().starts_with("/usr/sbin/php-fpm")).collect();
    found.sort();
    found.pop().expect("no /usr/sbin/php-fpm*: install the packages of tests/packages.txt, or set PHP_FPM")
}

/// Where a pool listens.
#[derive(Debug, Clone)]
pub enum Listen {
    /// A unix socket in the site's directory.
    Unix,
    /// A free port of 127.0.0.1.
    Tcp,
}

/// One `[pool]` section.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    name: String,
    listen: Listen,
    lines: Vec<(String, String)>,
}

impl PoolConfig {
    /// `pm = static` with 4 children on a unix socket, as `www-data` if the test runs as root.
    pub fn new(name: &str) -> Self {
        let mut pool = Self { name: name.to_owned(), listen: Listen::Unix, lines: Vec::new() };
        if nix::unistd::geteuid().is_root() {
            pool = pool.set("user", "www-data").set("group", "www-data");
        }
        pool.set("listen.mode", "0666").set("pm", "static").children(4).set("catch_workers_output", "yes")
    }

    /// `pm.max_children`.
    pub fn children(self, n: usize) -> Self {
        self.set("pm.max_children", &n.to_string())
    }

    /// Listens on a TCP port instead of a unix socket.
    pub fn tcp(mut self) -> Self {
        self.listen = Listen::Tcp;
        self
    }

    /// Sets any directive (`env[X]` and the like included), written as it is except that `{room}` becomes
    /// [`Server::room`]; replaces one of the same name.
    pub fn set(mut self, directive: &str, value: &str) -> Self {
        self.lines.retain(|(name, _)| name != directive);
        self.lines.push((directive.to_owned(), value.to_owned()));
        self
    }

    /// Adds a directive that may stand more than once.
    pub fn add(mut self, directive: &str, value: &str) -> Self {
        self.lines.push((directive.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a directive out.
    pub fn unset(mut self, directive: &str) -> Self {
        self.lines.retain(|(name, _)| name != directive);
        self
    }
}

/// All that a server is started with.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    global: Vec<(String, String)>,
    pools: Vec<PoolConfig>,
    ini: Vec<String>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    program: Option<PathBuf>,
    stderr: bool,
}

impl Default for ServerConfig {
    /// One pool `www`, see [`PoolConfig::new`].
    fn default() -> Self {
        Self::pool(PoolConfig::new("www"))
    }
}

impl ServerConfig {
    /// A server with this pool.
    pub fn pool(pool: PoolConfig) -> Self {
        Self {
            global: Vec::new(),
            pools: vec![pool],
            ini: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            program: None,
            stderr: true,
        }
    }

    /// Adds a further pool.
    pub fn and_pool(mut self, pool: PoolConfig) -> Self {
        self.pools.push(pool);
        self
    }

    /// Sets a directive of `[global]`.
    pub fn global(mut self, directive: &str, value: &str) -> Self {
        self.global.push((directive.to_owned(), value.to_owned()));
        self
    }

    /// Adds a line to php.ini.
    pub fn ini(mut self, line: &str) -> Self {
        self.ini.push(line.to_owned());
        self
    }

    /// Adds a command line argument.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Sets a variable of the master's environment, which otherwise holds PATH only.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts this program, a copy of the usual one.
    pub fn program(mut self, path: &Path) -> Self {
        self.program = Some(path.to_owned());
        self
    }

    /// Logs to the file `error.log` in the server's room instead of stderr.
    pub fn log_to_file(mut self) -> Self {
        self.stderr = false;
        self
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Process,
    kind: Kind,
    site: Site,
    room: PathBuf,
    addresses: Vec<(String, Address)>,
}

impl Server {
    /// Starts the server under test and waits until every pool answers.
    pub fn start(site: &Site, config: ServerConfig) -> Self {
        Self::start_as(Kind::under_test(), site, config)
    }

    /// Starts the given server and waits until every pool answers.
    pub fn start_as(kind: Kind, site: &Site, config: ServerConfig) -> Self {
        for _ in 0..PORT_TRIES {
            if let Some(server) = Self::try_start(kind, site, &config) {
                return server;
            }
        }
        panic!("{}: every probed port was taken by somebody else", kind.name());
    }

    /// Starts the given server without waiting for anything: for tests of starts that fail.
    pub fn spawn(kind: Kind, site: &Site, config: &ServerConfig) -> Self {
        let room = site.room(kind.name());
        let addresses = config.pools.iter().map(|pool| (pool.name.clone(), address(pool, &room))).collect::<Vec<_>>();
        write_files(site, &room, config, &addresses);
        let mut command = Command::new(config.program.clone().unwrap_or_else(|| kind.program()));
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.envs(config.env.iter().map(|(name, value)| (name, value))).current_dir(&room);
        command.args(["-F"]).args(config.stderr.then_some("-O"));
        command.arg("-c").arg(room.join("php.ini")).arg("-y").arg(room.join("php-fpm.conf"));
        if nix::unistd::geteuid().is_root() {
            command.arg("-R");
        }
        command.args(&config.args);
        let logs = [room.join("error.log")];
        let process = Process::start(kind.name(), command, &room.join("output.log"), &logs);
        Self { process, kind, site: site.clone(), room, addresses }
    }

    fn try_start(kind: Kind, site: &Site, config: &ServerConfig) -> Option<Self> {
        let mut server = Self::spawn(kind, site, config);
        let end = Instant::now() + DEADLINE;
        let mut waiting = server.addresses.clone();
        while !waiting.is_empty() {
            waiting.retain(|(_, address)| !answers(address));
            if let Some(status) = server.process.ended() {
                let log = server.log();
                if log.contains("Address already in use") {
                    return None;
                }
                panic!("{} did not start ({status}):\n{log}", kind.name());
            }
            assert!(Instant::now() < end, "{} does not answer on {waiting:?}", kind.name());
            if !waiting.is_empty() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Some(server)
    }

    /// Which server this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The site that it was started for.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Where the first pool listens.
    pub fn address(&self) -> &Address {
        &self.addresses[0].1
    }

    /// Where the pool of this name listens.
    pub fn address_of(&self, pool: &str) -> &Address {
        &self.addresses.iter().find(|(name, _)| name == pool).expect("a pool of that name").1
    }

    /// The directory with its php-fpm.conf, php.ini and logs.
    pub fn room(&self) -> &Path {
        &self.room
    }

    /// The master's process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The processes that serve (php-ftm: one per pool; php-fpm: one per worker).
    pub fn workers(&self) -> Vec<u32> {
        proc::children(self.pid())
    }

    /// Proportional memory of all its processes, bytes.
    pub fn memory(&self) -> u64 {
        proc::tree_pss(self.pid())
    }

    /// How many processes, threads and descriptors it has.
    pub fn counts(&self) -> Counts {
        Counts::of_tree(self.pid())
    }

    /// Waits until it has as many processes and threads as `before` and no more descriptors.
    #[track_caller]
    pub fn wait_nothing_lost(&self, before: &Counts) {
        let same = eventually_some(DEADLINE, || self.counts().within(before).then_some(()));
        let fds = || self.workers().into_iter().map(|pid| (pid, proc::fds(pid))).collect::<Vec<_>>();
        assert!(same.is_some(), "was {before:?}, is {:?}: {:#?}", self.counts(), fds());
    }

    /// Everything logged so far, by master and scripts (`error_log()` included).
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Lines of the log that speak of faults in the server itself.
    pub fn alarms(&self) -> Vec<String> {
        let bad = |line: &&str| ALARMS.iter().any(|alarm| line.contains(alarm));
        self.log().lines().filter(bad).map(str::to_owned).collect()
    }

    /// Waits until the log holds `text`.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        let held = eventually_some(DEADLINE, || self.log().contains(text).then_some(()));
        assert!(held.is_some(), "the log does not get {text:?}");
    }

    /// Signals the master.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// The master's exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// Waits until the master has ended.
    #[track_caller]
    pub fn wait_end(&mut self) -> ExitStatus {
        self.process.wait(DEADLINE)
    }

    /// A new FastCGI connection to the first pool.
    #[track_caller]
    pub fn connect(&self) -> Conn {
        Conn::open(self.address())
    }

    /// A GET by FastCGI on a connection of its own.
    #[track_caller]
    pub fn get(&self, uri: &str) -> Answer {
        self.call(&Call::get(&self.site, uri))
    }

    /// Any request by FastCGI on a connection of its own.
    #[track_caller]
    pub fn call(&self, call: &Call) -> Answer {
        self.connect().call(1, call)
    }

    /// Ends it gracefully (QUIT) and checks that it exits with 0 and leaves no process behind.
    #[track_caller]
    pub fn stop(mut self) {
        let tree = proc::tree(self.pid());
        self.signal(Signal::SIGQUIT);
        let status = self.wait_end();
        assert!(status.success(), "{} ended with {status} after QUIT", self.kind.name());
        eventually("all its processes have ended", || !tree.iter().any(|&pid| proc::alive(pid)));
    }
}

/// Whether a FastCGI server answers FCGI_GET_VALUES there: accepting alone could be the kernel's doing.
fn answers(address: &Address) -> bool {
    let Ok(stream) = address.connect() else {
        return false;
    };
    let mut conn = Conn { stream };
    let mut pairs = Vec::new();
    fcgi::push_pair(&mut pairs, b"FCGI_MPXS_CONNS", b"");
    let query = Record::new(kind::GET_VALUES, 0, pairs).encode();
    std::io::Write::write_all(&mut conn.stream, &query).is_ok() && conn.read_record().is_ok_and(|r| r.is_some())
}

fn address(pool: &PoolConfig, room: &Path) -> Address {
    match pool.listen {
        Listen::Unix => Address::Unix(room.join(format!("{}.sock", pool.name))),
        Listen::Tcp => Address::Tcp(probe_port()),
    }
}

fn write_files(site: &Site, room: &Path, config: &ServerConfig, addresses: &[(String, Address)]) {
    let dir = site.dir().display();
    let mut ini = format!(
        "session.save_path = {dir}/sessions\nupload_tmp_dir = {dir}/tmp\nsys_temp_dir = {dir}/tmp\n\
         date.timezone = UTC\nlog_errors = 1\nhtml_errors = 0\nopcache.revalidate_freq = 0\n"
    );
    config.ini.iter().for_each(|line| writeln!(ini, "{line}").expect("to a string"));
    fs::write(room.join("php.ini"), ini).expect("write php.ini");

    let mut conf = format!("[global]\nerror_log = {}/error.log\npid = {0}/pid\n", room.display());
    config.global.iter().for_each(|(name, value)| writeln!(conf, "{name} = {value}").expect("to a string"));
    for (pool, (name, address)) in config.pools.iter().zip(addresses) {
        write!(conf, "[{name}]\nlisten = {address}\n").expect("to a string");
        for (name, value) in &pool.lines {
            let value = value.replace("{room}", &room.display().to_string());
            writeln!(conf, "{name} = {value}").expect("to a string");
        }
    }
    fs::write(room.join("php-fpm.conf"), conf).expect("write php-fpm.conf");
}
