//! The harness of php-ftm's tests: servers are started as a user starts them, and driven from outside.
//!
//! # A test in short
//!
//! ```no_run
//! use ftm_tests::*;
//!
//! let site = Site::new();                                   // private temp dir with a docroot
//! site.file("hello.php", "<?php echo 'Hello ', $_GET['n'];");
//! let server = Server::start(&site, ServerConfig::default()); // php-ftm, or php-fpm (see below)
//! let nginx = Nginx::start(&site, &server);                 // a private nginx in front, on a free port
//! let answer = nginx.get("/hello.php?n=you");
//! assert_eq!((answer.status, answer.text().as_str()), (200, "Hello you"));
//! ```
//!
//! Without a web server: [`Server::get`] asks by FastCGI directly, [`fcgi::Conn`] gives control of each byte.
//!
//! # What is started
//!
//! * [`Server::start`] starts the server under test: `target/release/php-ftm` (or `$PHP_FTM`), or with
//!   `FTM_TESTS_SERVER=php-fpm` the distribution's php-fpm (or `$PHP_FPM`), from the same php-fpm.conf and php.ini.
//!   [`Server::start_as`] starts a given one of the two, for tests that compare them.
//! * Tests about php-ftm alone begin with [`only_php_ftm!`](crate::only_php_ftm).
//! * As root, pools run as `www-data`, as they do in production; a test's directories are readable for all, and
//!   [`Site::writable`] makes those in which scripts may write. As an ordinary user, everything runs as that user.
//! * Everything listens on unix sockets in the temp dir or on a free port of 127.0.0.1; a port lost to somebody else
//!   between probe and bind is replaced by another one.
//! * Whatever was started is killed with its whole process group when its owner is dropped, and when the thread that
//!   started it ends in any other way (parent-death signal): start servers in the thread that uses them.
//! * On a panic the tail of the logs is printed.
//!
//! # Waiting
//!
//! No test sleeps for a result: [`eventually`] polls a condition until [`DEADLINE`]. Heavy tests hold [`heavy`].

pub mod apache;
pub mod cached;
pub mod compare;
pub mod extension;
pub mod fcgi;
pub mod front;
pub mod http;
pub mod load;
pub mod mariadb;
mod meet;
pub mod net;
pub mod nginx;
pub mod parity;
pub mod proc;
pub mod process;
pub mod resolver;
pub mod rng;
pub mod script;
pub mod server;
pub mod session;
pub mod site;
pub mod sound;
pub mod times;
pub mod wait;

pub use apache::{Apache, Handler};
pub use front::Fronts;
pub use http::{Answer, Request};
pub use load::Load;
pub use mariadb::MariaDb;
pub use net::Address;
pub use nginx::{Nginx, NginxConfig};
pub use resolver::SilentNameServer;
pub use rng::Rng;
pub use server::{Kind, Listen, PoolConfig, Server, ServerConfig};
pub use session::PHP_SESSION;
pub use site::Site;
pub use sound::{PHP_SOUND, PHP_SPOIL};
pub use times::Times;
pub use wait::{DEADLINE, PHP_WAIT_FOR, eventually, heavy};
