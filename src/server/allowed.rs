//! `listen.allowed_clients`: which addresses may connect.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ftm_config::{Listen, ListenAddress};

/// So many refusals in this time are logged one by one, further ones as a number: nobody who is refused shall fill a disk.
const REFUSALS_LOGGED: u32 = 100;
const REFUSALS_INTERVAL: Duration = Duration::from_secs(10);

/// The addresses that may connect to a TCP listener.
pub struct AllowedClients {
    addresses: Vec<IpAddr>,
    complaints: Mutex<Complaints>,
    /// Logs an error.
    log: Box<dyn Fn(&str) + Send + Sync>,
}

struct Complaints {
    /// What is named and no address; taken when it has been logged.
    wrong: Option<Vec<String>>,
    since: Instant,
    refused: u32,
}

impl AllowedClients {
    /// Those that the configuration names; where nothing that is named is an address, everybody is refused. `None`:
    /// everybody may connect, as to every socket file, which has an owner and a mode.
    pub fn of(listen: &Listen, log: impl Fn(&str) + Send + Sync + 'static) -> Option<AllowedClients> {
        let clients =
            listen.allowed_clients.as_ref().filter(|_| matches!(listen.address, ListenAddress::Tcp { .. }))?;
        Some(AllowedClients::new(&clients.addresses, clients.wrong.clone(), Box::new(log)))
    }

    fn new(addresses: &[IpAddr], wrong: Vec<String>, log: Box<dyn Fn(&str) + Send + Sync>) -> AllowedClients {
        let addresses = addresses.iter().map(IpAddr::to_canonical).collect();
        let complaints = Complaints { wrong: Some(wrong), since: Instant::now(), refused: 0 };
        AllowedClients { addresses, complaints: Mutex::new(complaints), log }
    }

    fn say(&self, text: &str) {
        (self.log)(text);
    }

    /// Logs what is no address, once: with the first connection, so that it stands behind the lines of the start and before
    /// the first refusal, as under PHP-FPM.
    fn report(&self, complaints: &mut Complaints) {
        let Some(wrong) = complaints.wrong.take() else { return };
        for name in wrong {
            self.say(&format!("Wrong IP address '{name}' in listen.allowed_clients"));
        }
        if self.addresses.is_empty() {
            self.say("There are no allowed addresses");
        }
    }

    /// Whether the client of this address may stay; logged if not.
    pub fn admit(&self, peer: Option<IpAddr>) -> bool {
        let mut complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        self.report(&mut complaints);
        // Without an address, it has left already.
        let Some(peer) = peer.map(|peer| peer.to_canonical()) else { return false };
        let allowed = self.allows(peer);
        if !allowed {
            self.complain(&mut complaints, peer);
        }
        allowed
    }

    /// IPv4 addresses count as the same in IPv6's form (`::ffff:127.0.0.1`), which is what a listener at `::` sees.
    fn allows(&self, peer: IpAddr) -> bool {
        self.addresses.contains(&peer.to_canonical())
    }

    fn complain(&self, complaints: &mut Complaints, peer: IpAddr) {
        if complaints.since.elapsed() >= REFUSALS_INTERVAL {
            if let unlogged @ 1.. = complaints.refused.saturating_sub(REFUSALS_LOGGED) {
                self.say(&format!("Connection disallowed: {unlogged} further connections have been dropped."));
            }
            complaints.since = Instant::now();
            complaints.refused = 0;
        }
        complaints.refused = complaints.refused.saturating_add(1);
        if complaints.refused <= REFUSALS_LOGGED {
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
