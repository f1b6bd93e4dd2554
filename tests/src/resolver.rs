//! A name server that says nothing, for one server under test.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::server::Kind;
use crate::site::Site;

/// It takes queries and answers none.
#[derive(Debug)]
pub struct SilentNameServer {
    site: Site,
    conf: PathBuf,
    _socket: UdpSocket,
}

impl SilentNameServer {
    /// Starts it; `None` without the right to listen on its port or to mount something, which root may have.
    pub fn start(site: &Site) -> Option<Self> {
        // The port is fixed, so the address is this process's own.
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = format!("127.53.{high}.{low}");
        let socket = UdpSocket::bind((address.as_str(), 53)).ok()?;
        let may_mount = Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success());
        let conf = site.unique("resolver").join("resolv.conf");
        fs::write(&conf, format!("nameserver {address}\n")).expect("a resolv.conf");
        may_mount.then(|| Self { site: site.clone(), conf, _socket: socket })
    }

    /// A program that starts this server so that it asks no other.
    pub fn program(&self, kind: Kind) -> PathBuf {
        let text = format!(
            "#!/bin/sh\nexec unshare -m sh -c 'mount --bind {} /etc/resolv.conf && exec \"$0\" \"$@\"' {} \"$@\"\n",
            self.conf.display(),
            kind.program().display()
        );
        let script = self.site.unique("program").join(kind.name());
        fs::write(&script, text).expect("a script");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("chmod");
        script
    }
}
