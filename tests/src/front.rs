//! nginx and Apache before one server, so that a test says once what must hold behind both.

use crate::apache::{Apache, Handler};
use crate::http::{Answer, Request};
use crate::net::Address;
use crate::nginx::{Nginx, NginxConfig};
use crate::server::{Server, ServerConfig};
use crate::site::Site;

/// A server with both web servers in front of it.
#[derive(Debug)]
pub struct Fronts {
    // Fields are dropped in this order: the fronts go before the server they ask.
    nginx: Nginx,
    apache: Apache,
    /// The server behind them.
    pub server: Server,
}

impl Fronts {
    /// Starts the server under test with both fronts.
    pub fn start(site: &Site, config: ServerConfig) -> Self {
        Self::start_with(site, config, &NginxConfig::default(), |_| String::new())
    }

    /// The same with further configuration; Apache's may depend on the server's address.
    pub fn start_with(
        site: &Site,
        config: ServerConfig,
        nginx: &NginxConfig,
        apache: impl Fn(&Address) -> String,
    ) -> Self {
        let server = Server::start(site, config);
        let nginx = Nginx::start_with(site, &server, nginx);
        let apache = Apache::start(site, &server, Handler::SetHandler, &apache(server.address()));
        Self { nginx, apache, server }
    }

    /// Name and address of each front.
    pub fn each(&self) -> [(&'static str, &Address); 2] {
        [("nginx", self.nginx.address()), ("apache", self.apache.address())]
    }

    /// Sends a request through each front.
    #[track_caller]
    pub fn send(&self, request: &Request) -> [(&'static str, Answer); 2] {
        self.each().map(|(name, address)| (name, request.send(address)))
    }
}
