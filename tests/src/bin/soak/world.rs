//! What the clients share: the server, its pools and scripts.

use std::io::Write;
use std::path::PathBuf;

use ftm_tests::fcgi::{Answer, Call, Conn, REQUEST_COMPLETE};
use ftm_tests::{Address, PoolConfig, Server, ServerConfig, Site, cached, extension};

use crate::pause::Pause;
use crate::{clients, crash, isolation, session, stuck};

/// `request_terminate_timeout`, in seconds. Enough for what is not stuck, on a busy machine.
pub const TERMINATE: u64 = 5;

/// What is not as it should be.
#[derive(Debug)]
pub struct Failure(pub String);

/// Shorthand of what a kind of request returns.
pub type Outcome = Result<(), Failure>;

/// A failure with what came instead.
pub fn wrong(what: &str, answer: &Answer) -> Failure {
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(600)]).into_owned();
    Failure(format!("{what}: {} {:?} {:?}", answer.app_status, text(&answer.stdout), text(&answer.stderr)))
}

/// What a client needs to know.
pub struct World {
    pub site: Site,
    pub pause: Pause,
    /// The pool in which nothing crashes, and the one in which something does.
    pub sound: Address,
    pub rough: Address,
    /// A directory that scripts may write to.
    pub dir: PathBuf,
}

/// The pools.
pub fn server(site: &Site, threads: usize) -> ServerConfig {
    ServerConfig::pool(pool("sound", site, threads)).and_pool(
        pool("rough", site, threads)
            .set("php_admin_value[extension]", &extension::build("ftmcrash").display().to_string()),
    )
}

fn pool(name: &str, site: &Site, threads: usize) -> PoolConfig {
    let pool = PoolConfig::new(name)
        .children(threads)
        .set("pm.max_requests", "100")
        .set("pm.status_path", "/status")
        .set("access.log", "{room}/access.log")
        .set("slowlog", "{room}/slow.log")
        .set("request_slowlog_timeout", "1s")
        .set("request_terminate_timeout", &format!("{TERMINATE}s"))
        .set("request_terminate_timeout_track_finished", "yes")
        .set("force_kill_deadline", "2s")
        .set("max_abandoned_threads", "8")
        .set("env[SOAK]", "of the pool")
        .set("php_admin_value[upload_max_filesize]", "8M")
        .set("php_admin_value[session.save_path]", &site.writable("sessions").display().to_string())
        .set("php_admin_value[sendmail_path]", &isolation::sendmail(site));
    cached::pool(pool, 8)
}

impl World {
    /// Writes the scripts.
    pub fn new(site: &Site, server: &Server) -> Self {
        stuck::write(site);
        isolation::write(site);
        session::write(site);
        cached::write(site);
        clients::write(site);
        crash::write(site);
        Self {
            site: site.clone(),
            pause: Pause::default(),
            sound: server.address_of("sound").clone(),
            rough: server.address_of("rough").clone(),
            dir: site.writable("dir"),
        }
    }
}

/// A new connection.
pub fn connect(address: &Address) -> Result<Conn, Failure> {
    // A refusal is never right: the master keeps the sockets.
    address.connect().map(|stream| Conn { stream }).map_err(|e| Failure(format!("connect: {e}")))
}

/// Sends a request and reads its answer, which must be whole.
pub fn ask(address: &Address, call: &Call) -> Result<Answer, Failure> {
    ask_on(&mut connect(address)?, 1, call)
}

/// As [`ask`], on a connection that is open.
pub fn ask_on(conn: &mut Conn, id: u16, call: &Call) -> Result<Answer, Failure> {
    conn.stream.write_all(&call.encode(id)).map_err(broken)?;
    let answer = conn.read_answer(id).map_err(broken)?;
    if answer.protocol_status != REQUEST_COMPLETE {
        return Err(wrong("protocol status", &answer));
    }
    Ok(answer)
}

/// What reading or writing has failed with: the connection ends before the answer, or none comes.
pub fn broken(error: std::io::Error) -> Failure {
    Failure(format!("no whole answer: {error}"))
}
