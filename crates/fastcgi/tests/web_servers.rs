//! Bytes recorded from web servers (Debian 12): what an independent encoder means, byte for byte.
//!
//! Both were asked `GET /index.php?a=1&b=%20` with a cookie and an empty header, then `POST /up.php/path` with a body of
//! `field=` and 400 alphabets; nginx over one kept-alive connection, Apache (mod_proxy_fcgi) over two.

mod support;

use ftm_fastcgi::{Limits, Role};
use support::seen::{Seen, Session};

const NGINX: &[u8] = include_bytes!("data/nginx-1.22-keepalive.bin");
const APACHE_GET: &[u8] = include_bytes!("data/apache-2.4-get.bin");
const APACHE_POST: &[u8] = include_bytes!("data/apache-2.4-post.bin");

/// The events of a connection on which each request is answered as soon as it is complete.
fn serve(bytes: &[u8]) -> Vec<Seen> {
    let mut session = Session::new(Limits::new(1, 1));
    session.feed(bytes, |decoder, seen| {
        if let Seen::StdinEnd(id) = seen {
            decoder.finish(*id);
        }
    });
    assert!(session.decoder.is_idle());
    session.seen
}

/// Checks the events of one request and returns its parameters.
fn parameters(events: &[Seen], keep_conn: bool, body: &[u8]) -> Vec<(String, String)> {
    assert_eq!(events.first(), Some(&Seen::Begin(1, Role::Responder, keep_conn)));
    let Some(Seen::Params(1, params)) = events.get(1) else { panic!("{events:?}") };
    let rest = match body {
        b"" => vec![Seen::StdinEnd(1)],
        _ => vec![Seen::Stdin(1, body.to_vec()), Seen::StdinEnd(1)],
    };
    assert!(events[2..] == rest);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("the recorded parameters are text");
    params.iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn expect(params: &[(String, String)], expected: &[(&str, &str)]) {
    for (name, value) in expected {
        let found = params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(found, Some(*value), "{name}");
    }
}

fn post_body() -> Vec<u8> {
    [b"field=".to_vec(), (b'A'..=b'Z').collect::<Vec<_>>().repeat(400)].concat()
}

#[test]
fn nginx_over_a_kept_alive_connection() {
    let events = serve(NGINX);
    let (get, post) = events.split_at(3);
    let get = parameters(get, true, b"");
    assert_eq!(get[0], ("QUERY_STRING".into(), "a=1&b=%20".into()));
    assert_eq!(get.last(), Some(&("HTTP_X_EMPTY".into(), String::new())));
    expect(
        &get,
        &[
            ("CONTENT_LENGTH", ""),
            ("HTTP_COOKIE", "a=b; c=d"),
            ("REQUEST_METHOD", "GET"),
            ("SCRIPT_FILENAME", "/srv/www/index.php"),
        ],
    );
    let post = parameters(post, true, &post_body());
    expect(
        &post,
        &[
            ("CONTENT_LENGTH", "10406"),
            ("CONTENT_TYPE", "application/x-www-form-urlencoded"),
            ("REQUEST_METHOD", "POST"),
            ("SCRIPT_NAME", "/up.php/path"),
        ],
    );
}

#[test]
fn apache_over_two_connections() {
    let get = parameters(&serve(APACHE_GET), false, b"");
    expect(&get, &[("HTTP_COOKIE", "a=b; c=d"), ("HTTP_X_EMPTY", ""), ("QUERY_STRING", "a=1&b=%20")]);
    assert!(get.iter().any(|(name, value)| name == "SCRIPT_FILENAME"
        && value.starts_with("proxy:fcgi://127.0.0.1:")
        && value.ends_with("/srv/www/index.php")));
    let post = parameters(&serve(APACHE_POST), false, &post_body());
    expect(&post, &[("CONTENT_LENGTH", "10406"), ("REQUEST_METHOD", "POST"), ("REQUEST_URI", "/up.php/path")]);
}
