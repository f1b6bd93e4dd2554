//! What scripts hang on: hosts that say nothing, locks that somebody holds, a database.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ftm_tests::{MariaDb, SilentNameServer, Site};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{Backlog, listen};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// Connections that the silent host keeps open: more than there are requests at once.
const KEPT: usize = 200;

/// The most requests of one kind. Each may make a queue and a semaphore of its own.
pub const RUNS_MAX: usize = 1000;

/// All of them.
pub struct Peers {
    names: Vec<(&'static str, String)>,
    locks: PathBuf,
    key: usize,
    /// `None` where it cannot be had.
    pub name_server: Option<SilentNameServer>,
    _database: MariaDb,
    /// What else must stay open.
    _full: (TcpListener, Vec<TcpStream>),
    _fifo: File,
    _holds: [Flock<File>; 2],
}

impl Peers {
    /// Starts them.
    pub fn start(site: &Site) -> Peers {
        let database = MariaDb::start(site);
        let (locks, room) = (site.unique("locks"), site.unique("room"));
        let held = open(&locks.join("held"));
        let session = open(&site.dir().join("sessions/sess_held"));
        let [fifo_path, fifo_held] = ["fifo", "fifo-held"].map(|name| {
            let path = room.join(name);
            mkfifo(&path, Mode::from_bits_truncate(0o666)).expect("a FIFO");
            allow(&path);
            path
        });
        let fifo = OpenOptions::new().read(true).write(true).open(&fifo_held).expect("the FIFO's end");
        let full = full_host();
        // Keys of this process's own, as far as can be.
        let key = 0x5f00_0000 + (std::process::id() as usize % 4000) * RUNS_MAX;
        site.file("empty.php", "");
        let names = vec![
            ("silent", silent_host()),
            ("full", full.0.local_addr().expect("an address").to_string()),
            ("mysql", database.socket().display().to_string()),
            ("locks", locks.display().to_string()),
            ("held", locks.join("held").display().to_string()),
            ("fifo_held", fifo_held.display().to_string()),
            ("fifo", fifo_path.display().to_string()),
            ("room", room.display().to_string()),
            ("docroot", site.docroot().display().to_string()),
            ("key", key.to_string()),
        ];
        let name_server = SilentNameServer::start(site);
        let holds = [held, session].map(|file| {
            Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap_or_else(|(_, e)| panic!("lock: {e}"))
        });
        Peers { names, locks, key, name_server, _database: database, _full: full, _fifo: fifo, _holds: holds }
    }

    /// `code` with the names filled in.
    pub fn fill(&self, code: &str) -> String {
        self.names.iter().fold(code.to_owned(), |code, (name, value)| code.replace(&format!("{{{name}}}"), value))
    }

    /// Locks of files that scripts have taken, and that are still held.
    pub fn locked(&self) -> Vec<String> {
        let own = fs::read_dir(&self.locks).expect("the locks").map(|entry| entry.expect("an entry").path());
        let others = own.filter(|path| !path.ends_with("held"));
        let locked = others.filter(|path| Flock::lock(open(path), FlockArg::LockExclusiveNonblock).is_err());
        locked.map(|path| path.display().to_string()).collect()
    }
}

/// Queues and semaphores outlive their processes, and scripts that a server kills do not remove them.
impl Drop for Peers {
    fn drop(&mut self) {
        let keys = (self.key..self.key + RUNS_MAX)
            .flat_map(|key| ["-Q".into(), key.to_string(), "-S".into(), key.to_string()]);
        let _ = Command::new("ipcrm").args(keys).stderr(Stdio::null()).status();
    }
}

fn open(path: &Path) -> File {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    allow(path);
    file.unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The pools' user may use it.
fn allow(path: &Path) {
    // What scripts have made is theirs, and open to the owner of the directory, if not to everybody.
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o666));
}

/// A host that accepts connections and says nothing, by TCP, and takes datagrams, on the same port.
fn silent_host() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let datagrams = UdpSocket::bind(address);
    std::thread::spawn(move || {
        let _datagrams = datagrams;
        let mut open = VecDeque::new();
        for stream in listener.incoming().flatten() {
            open.push_back(stream);
            if open.len() > KEPT {
                open.pop_front();
            }
        }
    });
    address.to_string()
}

/// A host whose queue is full: the kernel drops the packets of those who want to connect.
fn full_host() -> (TcpListener, Vec<TcpStream>) {
    let host = TcpListener::bind("127.0.0.1:0").expect("a port");
    listen(&host, Backlog::new(0).expect("a backlog")).expect("listen");
    let address = host.local_addr().expect("an address");
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
    let clients = std::iter::from_fn(connect).collect();
    (host, clients)
}
