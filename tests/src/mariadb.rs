//! A private MariaDB, on a socket in the site's directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Uid;

use crate::process::Process;
use crate::site::{Site, mkdir};
use crate::wait::{DEADLINE, eventually_some};

/// A running MariaDB without tables, not even those of users: everybody is the administrator.
#[derive(Debug)]
pub struct MariaDb {
    socket: PathBuf,
    _process: Process,
}

impl MariaDb {
    /// Starts one and waits until it answers.
    pub fn start(site: &Site) -> Self {
        let room = site.room("mariadb");
        let (socket, data) = (room.join("mariadb.sock"), room.join("data"));
        mkdir(&data);
        let mut command = Command::new("/usr/sbin/mariadbd");
        command.arg("--no-defaults");
        if Uid::effective().is_root() {
            command.arg("--user=root");
        }
        command.arg(format!("--datadir={}", data.display())).arg(format!("--socket={}", socket.display()));
        command.args(["--skip-networking", "--skip-grant-tables", "--innodb-buffer-pool-size=8M"]);
        let log = room.join("mariadb.log");
        let mut process = Process::start("mariadbd", command, &log, &[]);
        let answers = eventually_some(DEADLINE, || {
            assert!(process.ended().is_none(), "mariadbd has ended: {}", tail(&log));
            tail(&log).contains("ready for connections").then_some(())
        });
        assert!(answers.is_some(), "mariadbd does not get ready: {}", tail(&log));
        Self { socket, _process: process }
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

fn tail(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_default()
}
