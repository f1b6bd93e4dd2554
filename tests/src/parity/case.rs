//! What is sent: requests with names, built one after the other.

use crate::fcgi::Call;
use crate::http::Request;
use crate::site::Site;

/// One thing to send to both servers.
#[derive(Debug, Clone)]
pub enum Sent {
    /// A request on a connection of its own.
    Call(Call),
    /// Requests one after the other on one connection. All but the last one should ask for it to be kept.
    Kept(Vec<Call>),
    /// Bytes on a connection of their own, which must make the server close it.
    Bytes(Vec<u8>),
    /// A request to the nginx in front of the server.
    Nginx(Request),
    /// A request to the Apache in front of the server.
    Apache(Request),
}

/// A request with a name, which must be unique in its configuration.
#[derive(Debug, Clone)]
pub struct Case {
    /// What a failure, and a [`super::Difference`], calls it.
    pub name: String,
    /// What is sent.
    pub sent: Sent,
}

/// Collects cases for one site.
#[derive(Debug)]
pub struct Cases<'a> {
    /// Where their scripts are.
    pub site: &'a Site,
    /// What was collected so far.
    pub list: Vec<Case>,
}

impl<'a> Cases<'a> {
    /// None yet.
    pub fn new(site: &'a Site) -> Self {
        Self { site, list: Vec::new() }
    }

    /// Adds anything.
    #[track_caller]
    pub fn add(&mut self, name: &str, sent: Sent) {
        assert!(self.list.iter().all(|case| case.name != name), "two cases are called {name:?}");
        self.list.push(Case { name: name.to_owned(), sent });
    }

    /// Adds a request by FastCGI.
    #[track_caller]
    pub fn call(&mut self, name: &str, call: Call) {
        self.add(name, Sent::Call(call));
    }

    /// Adds a GET by FastCGI of a script that exists, or does not.
    #[track_caller]
    pub fn get(&mut self, name: &str, uri: &str) {
        self.call(name, Call::get(self.site, uri));
    }

    /// Adds a GET by FastCGI of a script made for this case. `code` goes without `<?php`.
    #[track_caller]
    pub fn php(&mut self, name: &str, code: &str) {
        let uri = self.script(name, code);
        self.get(name, &uri);
    }

    /// Writes a script named after the case; returns its path below the docroot.
    pub fn script(&self, name: &str, code: &str) -> String {
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let uri = format!("/cases/{name}.php");
        self.site.file(&uri, format!("<?php {code}"));
        uri
    }
}
