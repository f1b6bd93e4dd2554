//! Listen addresses, as php-fpm takes them apart (`fpm_sockets.c`).

use crate::config::ListenAddress;
use crate::paths;

/// Longest name of a socket file (`sun_path` without its final 0).
pub(crate) const MAX_SOCKET_PATH: usize = 107;

/// Whether it is a TCP address: it has a ':', or is all digits.
pub(crate) fn is_tcp(address: &[u8]) -> bool {
    address.contains(&b':') || address.iter().all(u8::is_ascii_digit)
}

/// Takes an address apart; a file must be absolute and not too long by now. The error is
/// php-fpm's, or our own where it would leave the complaint to the resolver.
pub(crate) fn parse(address: &[u8]) -> Result<ListenAddress, String> {
    if !is_tcp(address) {
        return Ok(ListenAddress::Unix(paths::path(address.to_vec())));
    }
    let text = std::str::from_utf8(address).map_err(|_| {
        let shown = String::from_utf8_lossy(address);
        format!("the listen address '{shown}' is not valid UTF-8")
    })?;
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (Some(host), port),
        None => (None, text),
    };
    let port = match port.bytes().all(|b| b.is_ascii_digit()) {
        true => port.parse::<u16>().ok().filter(|&port| port > 0),
        false => None,
    }
    .ok_or_else(|| format!("invalid port value '{port}'"))?;
    let host = host.map(|host| {
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        inner.unwrap_or(host)
    });
    match host {
        Some("") => Err(format!("the listen address '{text}' has no host")),
        host => Ok(ListenAddress::Tcp { host: host.map(str::to_string), port }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: Option<&str>, port: u16) -> Result<ListenAddress, String> {
        let host = host.map(str::to_string);
        Ok(ListenAddress::Tcp { host, port })
    }

    #[test]
    fn addresses_are_taken_apart_at_the_last_colon() {
        assert_eq!(parse(b"127.0.0.1:9000"), tcp(Some("127.0.0.1"), 9000));
        assert_eq!(parse(b"[::1]:9000"), tcp(Some("::1"), 9000));
        assert_eq!(parse(b"::1:9000"), tcp(Some("::1"), 9000));
        assert_eq!(parse(b"localhost:80"), tcp(Some("localhost"), 80));
        assert_eq!(parse(b"9000"), tcp(None, 9000));
        assert_eq!(parse(b"/run/a.sock"), Ok(ListenAddress::Unix("/run/a.sock".into())));
    }

    #[test]
    fn bad_ports_and_hosts_are_refused() {
        for (address, message) in [
            ("127.0.0.1:69002", "invalid port value '69002'"),
            ("127.0.0.1:0", "invalid port value '0'"),
            ("0", "invalid port value '0'"),
            ("127.0.0.1:80x", "invalid port value '80x'"),
            ("127.0.0.1:+80", "invalid port value '+80'"),
            ("127.0.0.1:", "invalid port value ''"),
            ("99999999999999999999", "invalid port value '99999999999999999999'"),
            (":9000", "the listen address ':9000' has no host"),
            ("[]:9000", "the listen address '[]:9000' has no host"),
        ] {
            assert_eq!(parse(address.as_bytes()), Err(message.into()));
        }
    }

    #[test]
    fn an_address_prints_as_it_can_be_written() {
        for text in ["[::1]:9000", "127.0.0.1:9000", "9000", "/run/a.sock"] {
            assert_eq!(parse(text.as_bytes()).map(|a| a.to_string()), Ok(text.into()));
        }
    }
}
