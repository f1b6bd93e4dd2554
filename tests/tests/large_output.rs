//! Outputs of many MiB in one piece.

use ftm_tests::fcgi::{Call, Conn, kind};
use ftm_tests::*;

const MIB: usize = 1 << 20;

#[test]
fn one_echo_of_forty_mib_arrives_whole() {
    let _alone = heavy();
    let site = Site::new();
    // Of a prime length, so that a block lost, doubled or moved is seen.
    let pattern: Vec<u8> = (0..251).collect();
    let script = "<?php $pattern = implode('', array_map('chr', range(0, 250)));
echo substr(str_repeat($pattern, intdiv($_GET['n'], 251) + 1), 0, (int) $_GET['n']);";
    site.file("echo.php", script);
    let server = Server::start(&site, ServerConfig::default());
    // Around a batch, beyond what one writev() takes (1024 slices: some 21 MiB of records), and far beyond.
    for size in [8 * 65_535, 8 * 65_535 + 1, 20 * MIB, 22 * MIB, 40 * MIB] {
        let answer = server.get(&format!("/echo.php?n={size}"));
        assert_eq!((answer.error_text().as_str(), answer.protocol_status), ("", fcgi::REQUEST_COMPLETE), "{size}");
        let body = answer.web().body;
        assert_eq!(body.len(), size);
        assert!(body.chunks(pattern.len()).all(|block| *block == pattern[..block.len()]), "{size} bytes differ");
    }
}

#[test]
fn echoes_to_slow_readers_are_not_copied_into_memory() {
    only_php_ftm!("php-fpm buffers nothing");
    let _alone = heavy();
    let site = Site::new();
    site.file("echo.php", "<?php echo str_repeat('x', (int) $_GET['n']);");
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").set("response_buffer", "1M")));
    server.meet(4);
    let [pool] = server.workers()[..] else { panic!("one process") };
    let before = proc::rss(pool);
    let mut readers: Vec<Conn> = (0..4).map(|_| server.connect()).collect();
    for conn in &mut readers {
        conn.send(Call::get(&site, &format!("/echo.php?n={}", 20 * MIB)).encode(1));
    }
    // They read in turns, and so slowly that the server's buffers are full most of the time.
    let mut peak = 0;
    let (mut received, mut open) = ([0; 4], [true; 4]);
    while open.contains(&true) {
        for (n, conn) in readers.iter_mut().enumerate().filter(|(n, _)| open[*n]).collect::<Vec<_>>() {
            let record = conn.record();
            match record.kind {
                kind::STDOUT => received[n] += record.content.len(),
                _ => open[n] = record.kind != kind::END_REQUEST,
            }
        }
        peak = peak.max(proc::rss(pool));
    }
    assert!(received.iter().all(|&n| n > 20 * MIB), "{received:?}");
    // 20 MiB each are the script's own string; 40 would be a copy of it. Beside it: response_buffer, one batch of 512 KiB,
    // and the same again while the buffer grows.
    let grown = (peak - before) / MIB as u64;
    assert!(grown < 4 * 26, "grown by {grown} MiB");
}
