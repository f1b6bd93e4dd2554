//! A private Apache with mod_proxy_fcgi, in the foreground, everything in the site's directory.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::http::{Answer, Request};
use crate::net::Address;
use crate::nginx::start_on_free_port;
use crate::process::Process;
use crate::server::Server;
use crate::site::Site;

/// Where Debian keeps Apache's modules.
const MODULES: &str = "/usr/lib/apache2/modules";

/// How Apache is told to pass `*.php`; each form sends other variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handler {
    /// `SetHandler "proxy:unix:/sock|fcgi://localhost/"`, or `proxy:fcgi://host:port` over TCP: what Debian's
    /// php-fpm configuration for Apache does.
    SetHandler,
    /// `ProxyPassMatch` to `fcgi://…/docroot/$1`.
    ProxyPassMatch,
}

/// A running Apache.
#[derive(Debug)]
pub struct Apache {
    address: Address,
    process: Process,
}

impl Apache {
    /// Starts one that passes `*.php` (with path info) of the site's docroot to `server`'s first pool. `extra` is
    /// added to the main server's configuration.
    pub fn start(site: &Site, server: &Server, handler: Handler, extra: &str) -> Self {
        start_on_free_port("apache2", |port| {
            let room = site.room("apache");
            let address = Address::Tcp(port);
            let conf = apache_conf(site, &room, &address, server.address(), handler, extra);
            fs::write(room.join("apache.conf"), conf).expect("apache.conf");
            let mut command = Command::new("/usr/sbin/apache2");
            command.arg("-f").arg(room.join("apache.conf")).arg("-DFOREGROUND");
            let process = Process::start("apache2", command, &room.join("output.log"), &[room.join("error.log")]);
            (Self { address: address.clone(), process }, address)
        })
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its error log.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Sends a request and reads the answer.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        request.send(&self.address)
    }

    /// A plain GET.
    #[track_caller]
    pub fn get(&self, target: &str) -> Answer {
        self.send(&Request::get(target))
    }
}

impl AsMut<Process> for Apache {
    fn as_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn apache_conf(site: &Site, room: &Path, listen: &Address, fastcgi: &Address, handler: Handler, extra: &str) -> String {
    let docroot = site.docroot();
    let (dir, docroot) = (room.display(), docroot.display());
    let user = if nix::unistd::geteuid().is_root() { "User www-data\nGroup www-data" } else { "" };
    let modules = [
        "mpm_event",
        "authz_core",
        "authn_core",
        "authn_file",
        "authz_user",
        "auth_basic",
        "dir",
        "mime",
        "rewrite",
        "headers",
        "setenvif",
        "alias",
        "actions",
        "env",
        "proxy",
        "proxy_fcgi",
    ];
    let modules: String = modules.iter().map(|m| format!("LoadModule {m}_module {MODULES}/mod_{m}.so\n")).collect();
    let pass = match (handler, fastcgi) {
        (Handler::SetHandler, Address::Unix(sock)) => {
            format!("proxy:unix:{}|fcgi://localhost/", sock.display())
        }
        (Handler::SetHandler, Address::Tcp(addr)) => format!("proxy:fcgi://{addr}"),
        (Handler::ProxyPassMatch, Address::Unix(sock)) => {
            format!("unix:{}|fcgi://localhost{docroot}/$1", sock.display())
        }
        (Handler::ProxyPassMatch, Address::Tcp(addr)) => format!("fcgi://{addr}{docroot}/$1"),
    };
    let pass = match handler {
        Handler::SetHandler => {
            format!("<FilesMatch \"\\.php$\">\nSetHandler \"{pass}\"\n</FilesMatch>")
        }
        Handler::ProxyPassMatch => format!("ProxyPassMatch \"^/(.*\\.php(/.*)?)$\" \"{pass}\""),
    };
    format!(
        "ServerRoot {dir}\nServerName test.example\nListen {listen}\nPidFile {dir}/pid\nDefaultRuntimeDir {dir}
ErrorLog {dir}/error.log\n{user}\n{modules}StartServers 1\nThreadsPerChild 25\nMaxRequestWorkers 50
TypesConfig /dev/null\nDocumentRoot {docroot}\nDirectoryIndex index.php index.html
<Directory {docroot}>\nAllowOverride All\nRequire all granted\n</Directory>
{pass}\n{extra}\n"
    )
}
