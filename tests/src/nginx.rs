//! A private nginx: one worker, in the foreground, everything in the site's directory.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::http::{Answer, Request};
use crate::net::{Address, probe_port};
use crate::process::Process;
use crate::server::Server;
use crate::site::{Site, mkdir};
use crate::wait::DEADLINE;

/// Debian's /etc/nginx/fastcgi.conf, in its order.
pub const FASTCGI_PARAMS: &str = "
fastcgi_param  SCRIPT_FILENAME    $document_root$fastcgi_script_name;
fastcgi_param  QUERY_STRING       $query_string;
fastcgi_param  REQUEST_METHOD     $request_method;
fastcgi_param  CONTENT_TYPE       $content_type;
fastcgi_param  CONTENT_LENGTH     $content_length;
fastcgi_param  SCRIPT_NAME        $fastcgi_script_name;
fastcgi_param  REQUEST_URI        $request_uri;
fastcgi_param  DOCUMENT_URI       $document_uri;
fastcgi_param  DOCUMENT_ROOT      $document_root;
fastcgi_param  SERVER_PROTOCOL    $server_protocol;
fastcgi_param  REQUEST_SCHEME     $scheme;
fastcgi_param  HTTPS              $https if_not_empty;
fastcgi_param  GATEWAY_INTERFACE  CGI/1.1;
fastcgi_param  SERVER_SOFTWARE    nginx/$nginx_version;
fastcgi_param  REMOTE_ADDR        $remote_addr;
fastcgi_param  REMOTE_PORT        $remote_port;
fastcgi_param  REMOTE_USER        $remote_user;
fastcgi_param  SERVER_ADDR        $server_addr;
fastcgi_param  SERVER_PORT        $server_port;
fastcgi_param  SERVER_NAME        $server_name;
fastcgi_param  REDIRECT_STATUS    200;
";

/// Debian's snippets/fastcgi-php.conf without its try_files: PATH_INFO split off.
pub const SPLIT_PATH_INFO: &str = "
fastcgi_split_path_info ^(.+?\\.php)(/.*)$;
set $path_info $fastcgi_path_info;
fastcgi_param PATH_INFO $path_info;
";

/// What the private nginx is configured with beside the defaults.
#[derive(Debug, Clone, Default)]
pub struct NginxConfig {
    /// Directives for the `http` block.
    pub http: String,
    /// Directives and locations for the `server` block.
    pub server: String,
    /// Directives for the `location ~ \.php` that passes to the FastCGI server.
    pub php: String,
}

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    address: Address,
    process: Process,
}

impl Nginx {
    /// Starts one that passes `*.php` (with path info) of the site's docroot to `server`'s first pool.
    pub fn start(site: &Site, server: &Server) -> Self {
        Self::start_with(site, server, &NginxConfig::default())
    }

    /// The same with further configuration.
    pub fn start_with(site: &Site, server: &Server, config: &NginxConfig) -> Self {
        Self::to_address(site, server.address(), config)
    }

    /// The same for any FastCGI address.
    pub fn to_address(site: &Site, fastcgi: &Address, config: &NginxConfig) -> Self {
        start_on_free_port("nginx", |port| {
            let room = site.room("nginx");
            for name in ["body", "proxy", "fastcgi", "uwsgi", "scgi"] {
                mkdir(&room.join(name));
            }
            let address = Address::Tcp(port);
            fs::write(room.join("nginx.conf"), nginx_conf(site, &room, &address, fastcgi, config)).expect("nginx.conf");
            let mut command = Command::new("/usr/sbin/nginx");
            command.arg("-p").arg(&room).arg("-c").arg(room.join("nginx.conf")).args(["-e", "stderr"]);
            let process = Process::start("nginx", command, &room.join("output.log"), &[room.join("error.log")]);
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

impl AsMut<Process> for Nginx {
    fn as_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Calls `start` with ports until what it started answers there; one that lost its port to somebody else is replaced.
pub(crate) fn start_on_free_port<T: AsMut<Process>>(
    name: &str,
    start: impl Fn(std::net::SocketAddr) -> (T, Address),
) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        let (mut started, address) = start(probe_port());
        while started.as_mut().ended().is_none() {
            assert!(Instant::now() < end, "{name} does not answer on {address}");
            // Nobody else answers there while ours lives: it would have failed to bind and ended.
            if address.connect().is_ok() && started.as_mut().ended().is_none() {
                return started;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let log = started.as_mut().log();
        assert!(log.contains("Address already in use"), "{name} did not start:\n{log}");
    }
}

fn nginx_conf(site: &Site, room: &Path, listen: &Address, fastcgi: &Address, config: &NginxConfig) -> String {
    let user = if nix::unistd::geteuid().is_root() { "user www-data;" } else { "" };
    let (dir, docroot) = (room.display(), site.docroot());
    let (docroot, fastcgi) = (docroot.display(), fastcgi.nginx());
    let NginxConfig { http, server, php } = config;
    format!(
        "daemon off; {user} worker_processes 1; pid {dir}/pid; error_log {dir}/error.log info;
events {{ worker_connections 4096; }}
http {{
  access_log off; default_type text/plain; types {{ text/html html; text/css css; }}
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  {http}
  server {{
    listen {listen}; server_name test.example; root {docroot}; index index.php index.html;
    {server}
    location ~ [^/]\\.php(/|$) {{
      {SPLIT_PATH_INFO}{FASTCGI_PARAMS}{php}
      fastcgi_pass {fastcgi};
    }}
  }}
}}
"
    )
}
