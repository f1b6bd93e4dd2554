//! Bodies without a length, and bodies far larger than memory should be.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ftm_tests::*;

/// Passes bodies on as they come, without a length where the client gave none.
fn unbuffered_nginx(site: &Site, server: &Server) -> Nginx {
    let php = "fastcgi_request_buffering off; fastcgi_buffering off; fastcgi_read_timeout 120s;";
    let config = NginxConfig { server: "client_max_body_size 0;".into(), php: php.into(), ..NginxConfig::default() };
    Nginx::start_with(site, server, &config)
}

/// Sends a chunked body in pieces of `piece` bytes and reads the answer.
fn chunked(to: &Address, target: &str, content_type: &str, body: &[u8], piece: usize) -> Answer {
    let request = Request::new("POST", target).header("Content-Type", content_type);
    let mut exchange = request.header("Transfer-Encoding", "chunked").open(to);
    for part in body.chunks(piece) {
        exchange.write_chunk(part).expect("a chunk");
    }
    exchange.write_chunk(b"").expect("the last chunk");
    exchange.answer().expect("an answer")
}

#[test]
fn a_chunked_upload_reaches_input_post_and_files() {
    only_php_ftm!("php-fpm loses a body without CONTENT_LENGTH");
    let site = Site::new();
    // nginx sends an empty CONTENT_LENGTH and Apache none, unless the body was short enough to come with its headers.
    let input = "<?php if (isset($_GET['long']) && !empty($_SERVER['CONTENT_LENGTH'])) exit('length'); \
                 $b = file_get_contents('php://input'); echo strlen($b), ' ', md5($b);";
    site.file("input.php", input);
    site.file("post.php", "<?php echo json_encode($_POST);");
    let files = "<?php $f = $_FILES['f']; echo $f['name'], ' ', $f['size'], ' ', $f['error'], ' ', \
                 md5_file($f['tmp_name']), ' ', json_encode($_POST);";
    site.file("files.php", files);
    site.file("md5.php", "<?php $b = file_get_contents('php://input'); echo strlen($b), ' ', md5($b);");
    let config = ServerConfig::default().ini("post_max_size = 20M").ini("upload_max_filesize = 20M");
    let server = Server::start(&site, config);
    let nginx = unbuffered_nginx(&site, &server);
    let apache = Apache::start(&site, &server, Handler::SetHandler, "");
    // Below and above what is buffered before the script runs (256K), in small and large chunks.
    for (size, piece) in [(0, 1), (1, 1), (300, 7), (70_000, 8192), (3_000_000, 65_536), (3_000_000, 1_000_000)] {
        let data: Vec<u8> = Rng::new(size as u64).bytes(size);
        // What is sent with a length is the reference.
        let expected = Request::post("/md5.php", "application/octet-stream", data.clone()).send(nginx.address()).text();
        assert!(expected.starts_with(&format!("{size} ")), "{expected}");
        let md5 = expected.split(' ').nth(1).expect("a hash").to_owned();
        for to in [nginx.address(), apache.address()] {
            let target = if size > 1_000_000 { "/input.php?long" } else { "/input.php" };
            let answer = chunked(to, target, "application/octet-stream", &data, piece);
            assert_eq!((answer.status, answer.text()), (200, expected.clone()), "{size} in {piece}");
            let head = "--b\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\ntext\r\n\
                        --b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.bin\"\r\n\r\n";
            let body = [head.as_bytes(), &data, b"\r\n--b--\r\n"].concat();
            let answer = chunked(to, "/files.php", "multipart/form-data; boundary=b", &body, piece);
            assert_eq!(answer.text(), format!("x.bin {size} 0 {md5} {{\"t\":\"text\"}}"), "{size} in {piece}");
        }
    }
    for to in [nginx.address(), apache.address()] {
        let form = "application/x-www-form-urlencoded";
        let answer = chunked(to, "/post.php", form, b"a=1&b[]=2&c=%C3%A4", 3);
        assert_eq!(answer.text(), "{\"a\":\"1\",\"b\":[\"2\"],\"c\":\"\\u00e4\"}");
    }
}

/// Size of a block; each is filled with its own number, so that a block lost, doubled or moved is seen.
const BLOCK: usize = 64 * 1024;
/// One GiB in blocks.
const BLOCKS: u64 = 16 * 1024;
/// How much the server's memory may grow, bytes.
const GROWTH: u64 = 64 << 20;

fn block(n: u64) -> Vec<u8> {
    n.to_le_bytes().repeat(BLOCK / 8)
}

/// Runs `work` and returns by how many bytes the server's resident memory grew at most meanwhile.
fn growth_during(server: &Server, work: impl FnOnce()) -> u64 {
    let before = proc::tree_rss(server.pid());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut peak = before;
            while !done.load(Ordering::Relaxed) {
                peak = peak.max(proc::tree_rss(server.pid()));
                std::thread::sleep(Duration::from_millis(10));
            }
            peak - before
        });
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::Relaxed);
        let grown = watch.join().expect("the watching thread");
        worked.map_or_else(|panic| std::panic::resume_unwind(panic), |()| grown)
    })
}

#[test]
fn a_response_of_one_gib_is_exact_and_needs_little_memory() {
    let _alone = heavy();
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let script = "<?php set_time_limit(0); for ($i = 0; $i < $_GET['n']; $i++) echo str_repeat(pack('P', $i), 8192);";
    site.file("big.php", script);
    let server = Server::start(&site, ServerConfig::default());
    let nginx = unbuffered_nginx(&site, &server);
    assert_eq!(nginx.get("/hello.php").text(), "hello");
    let grown = growth_during(&server, || {
        let mut exchange = Request::get(&format!("/big.php?n={BLOCKS}")).open(nginx.address());
        let head = exchange.answer_head().expect("a head");
        let (mut number, mut expected, mut at) = (0, block(0), 0);
        let check = |mut piece: &[u8]| {
            while !piece.is_empty() {
                let n = piece.len().min(BLOCK - at);
                assert!(piece[..n] == expected[at..at + n], "block {number} differs");
                (piece, at) = (&piece[n..], at + n);
                if at == BLOCK {
                    number += 1;
                    (expected, at) = (block(number), 0);
                }
            }
        };
        exchange.read_body(&head, check).expect("the body");
        assert_eq!((number, at), (BLOCKS, 0));
    });
    assert!(grown < GROWTH, "the server grew by {} MiB", grown >> 20);
}

#[test]
fn an_upload_of_one_gib_is_exact_and_needs_little_memory() {
    let _alone = heavy();
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let script = r#"<?php
set_time_limit(0);
$in = fopen('php://input', 'r');
for ($n = 0; ($block = stream_get_contents($in, 65536)) !== ''; $n++) {
    if ($block !== str_repeat(pack('P', $n), 8192)) exit("block $n differs");
}
echo $n;"#;
    site.file("take.php", script);
    let config = ServerConfig::default().ini("post_max_size = 0").ini("max_input_time = -1");
    let server = Server::start(&site, config);
    let nginx = unbuffered_nginx(&site, &server);
    assert_eq!(nginx.get("/hello.php").text(), "hello");
    let grown = growth_during(&server, || {
        let length = (BLOCKS * BLOCK as u64).to_string();
        let request = Request::new("POST", "/take.php").header("Content-Type", "application/octet-stream");
        let mut exchange = request.header("Content-Length", &length).open(nginx.address());
        for n in 0..BLOCKS {
            exchange.write(&block(n)).expect("a block");
        }
        let answer = exchange.answer().expect("an answer");
        assert_eq!((answer.status, answer.text()), (200, BLOCKS.to_string()));
    });
    assert!(grown < GROWTH, "the server grew by {} MiB", grown >> 20);
}
