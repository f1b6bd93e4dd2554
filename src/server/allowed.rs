//! `listen.allowed_clients`: which addresses may connect.

use std::cell::Cell;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use ftm_config::{Listen, ListenAddress};
use socket2::SockRef;

/// So many refusals in this time are logged one by one, further ones as a number: nobody who is refused shall fill a disk.
const REFUSALS_LOGGED: u32 = 100;
const REFUSALS_INTERVAL: Duration = Duration::from_secs(10);

/// The addresses that may connect to a TCP listener.
pub struct AllowedClients {
    addresses: Vec<IpAddr>,
    /// What is named and no address; taken when it has been logged.
    wrong: Cell<Option<Vec<String>>>,
    since: Cell<Instant>,
    refused: Cell<u32>,
    /// Logs an error.
    log: Box<dyn Fn(&str)>,
}

impl AllowedClients {
    /// Those that the configuration names; where nothing that is named is an address, everybody is refused. `None`:
    /// everybody may connect, as to every socket file, which has an owner and a mode.
    pub fn of(listen: &Listen, log: impl Fn(&str) + 'static) -> Option<AllowedClients> {
        let clients =
            listen.allowed_clients.as_ref().filter(|_| matches!(listen.address, ListenAddress::Tcp { .. }))?;
        Some(AllowedClients::new(&clients.addresses, clients.wrong.clone(), Box::new(log)))
    }

    fn new(addresses: &[IpAddr], wrong: Vec<String>, log: Box<dyn Fn(&str)>) -> AllowedClients {
        let addresses = addresses.iter().map(IpAddr::to_canonical).collect();
        let wrong = Cell::new(Some(wrong));
        AllowedClients { addresses, wrong, since: Cell::new(Instant::now()), refused: Cell::new(0), log }
    }

    fn say(&self, text: &str) {
        (self.log)(text);
    }

    /// Logs what is no address, once: with the first connection, so that it stands behind the lines of the start and before
    /// the first refusal, as under PHP-FPM.
    fn report(&self) {
        let Some(wrong) = self.wrong.take() else { return };
        for name in wrong {
            self.say(&format!("Wrong IP address '{name}' in listen.allowed_clients"));
        }
        if self.addresses.is_empty() {
            self.say("There are no allowed addresses");
        }
    }

    /// Whether whoever is at the other end of this connection may stay; logged if not.
    pub fn admit(&self, connection: impl AsFd) -> bool {
        self.report();
        let peer = SockRef::from(&connection).peer_addr().ok().and_then(|peer| peer.as_socket());
        // Without a peer, it has left already.
        let Some(peer) = peer.map(|peer| peer.ip().to_canonical()) else { return false };
        let allowed = self.allows(peer);
        if !allowed {
            self.complain(peer);
        }
        allowed
    }

    /// IPv4 addresses count as the same in IPv6's form (`::ffff:127.0.0.1`), which is what a listener at `::` sees.
    fn allows(&self, peer: IpAddr) -> bool {
        self.addresses.contains(&peer.to_canonical())
    }

    fn complain(&self, peer: IpAddr) {
        if self.since.get().elapsed() >= REFUSALS_INTERVAL {
            if let unlogged @ 1.. = self.refused.get().saturating_sub(REFUSALS_LOGGED) {
                self.say(&format!("Connection disallowed: {unlogged} further connections have been dropped."));
            }
            self.since.set(Instant::now());
            self.refused.set(0);
        }
        self.refused.set(self.refused.get().saturating_add(1));
        if self.refused.get() <= REFUSALS_LOGGED {
            self.say(&format!("Connection disallowed: IP address '{peer}' has been dropped."));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_whole_and_in_either_form() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let clients = AllowedClients::new(
            &[ip("192.0.2.1"), ip("2001:db8::1"), ip("::ffff:192.0.2.9")],
            Vec::new(),
            Box::new(|_| ()),
        );
        for (peer, allowed) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.2.9", true),
            ("::ffff:192.0.2.9", true),
            ("192.0.2.2", false),
            ("::ffff:192.0.2.2", false),
            ("::192.0.2.1", false),
            ("2001:db8::1", true),
            // PHP-FPM compares no more than the first twelve bytes.
            ("2001:db8::2", false),
            ("2001:db9::1", false),
            ("::1", false),
        ] {
            assert_eq!(clients.allows(ip(peer)), allowed, "{peer}");
        }
        assert!(
            !AllowedClients::new(&[], Vec::new(), Box::new(|_| ())).allows(ip("127.0.0.1")),
            "nobody named, nobody in"
        );
    }
}
