//! Clients of all sorts: in haste, slow, generous, and gone.

use std::io::{Read, Write};
use std::time::Duration;

use ftm_tests::fcgi::{Call, Record, kind, records};
use ftm_tests::{Address, Rng, Site};

use crate::world::{Outcome, World, ask, ask_on, broken, connect, wrong};

/// The most bytes of an upload.
const UPLOAD: usize = 3_000_000;

/// Bytes of the answer that is read slowly, more than the server keeps for a slow reader.
const LARGE: usize = 4_000_000;

pub fn write(site: &Site) {
    site.file("hello.php", "<?php echo 'hello ', $_GET['n'];");
    site.file(
        "upload.php",
        "<?php echo count($_FILES), ' ', $_FILES['f']['error'] ?? -1, ' ', filesize($_FILES['f']['tmp_name']), ' ',
            hash_file('crc32b', $_FILES['f']['tmp_name']), ' ', $_POST['n'];",
    );
    site.file(
        "large.php",
        format!("<?php for ($i = 0; $i < {LARGE}; $i += 1000) echo str_pad((string) $i, 1000, '.');"),
    );
    site.file(
        "much.php",
        "<?php $b = file_get_contents('php://input');
        for ($i = 0; $i < 40; $i++) { echo str_repeat('x', 50000); flush(); if ($i % 10 == 0) usleep(2000); }",
    );
}

/// Some requests on one connection.
pub fn hello(world: &World, address: &Address, rng: &mut Rng) -> Outcome {
    let mut conn = connect(address)?;
    for _ in 0..=rng.below(5) {
        let (n, id) = (rng.next_u64(), 1 + rng.below(9) as u16);
        let answer = ask_on(&mut conn, id, &Call::get(&world.site, &format!("/hello.php?n={n}")).keep())?;
        if !answer.stdout.ends_with(format!("\r\n\r\nhello {n}").as_bytes()) {
            return Err(wrong("hello", &answer));
        }
    }
    Ok(())
}

/// A file that comes in pieces.
pub fn upload(world: &World, address: &Address, rng: &mut Rng) -> Outcome {
    let (n, len) = (rng.next_u64(), 1 + rng.below(UPLOAD));
    let data: Vec<u8> = rng.bytes(1000).into_iter().cycle().take(len).collect();
    let mut body = format!(
        "--soak\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n{n}\r\n--soak\r\n\
         Content-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(&data);
    body.extend_from_slice(b"\r\n--soak--\r\n");
    let call = Call::post(&world.site, "/upload.php", "multipart/form-data; boundary=soak", body);
    let mut conn = connect(address)?;
    conn.stream.write_all(&call.encode_head(1)).map_err(broken)?;
    for piece in call.body.chunks(100_000 + rng.below(1_000_000)) {
        conn.stream.write_all(&records(kind::STDIN, 1, piece, 1 + rng.below(60_000))).map_err(broken)?;
        std::thread::sleep(Duration::from_millis(rng.below(10) as u64));
    }
    conn.stream.write_all(&Record::new(kind::STDIN, 1, []).encode()).map_err(broken)?;
    let answer = conn.read_answer(1).map_err(broken)?;
    let right = format!("1 0 {len} {:08x} {n}", crc32(&data));
    if answer.stdout.ends_with(right.as_bytes()) { Ok(()) } else { Err(wrong(&right, &answer)) }
}

/// CRC-32 as PHP's `crc32b`.
fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// A large answer, read piece by piece.
pub fn slow_reader(world: &World, address: &Address, rng: &mut Rng) -> Outcome {
    let mut conn = connect(address)?;
    conn.stream.write_all(&Call::get(&world.site, "/large.php").encode(1)).map_err(broken)?;
    std::thread::sleep(Duration::from_millis(rng.below(1000) as u64));
    let answer = conn.read_answer(1).map_err(broken)?;
    let body = answer.web().body;
    let right =
        body.len() == LARGE && (0..LARGE).step_by(1000).all(|i| body[i..].starts_with(format!("{i}.").as_bytes()));
    if right { Ok(()) } else { Err(wrong(&format!("{} bytes", body.len()), &answer)) }
}

/// A client that leaves somewhere within its request or the answer.
pub fn vanish(world: &World, address: &Address, rng: &mut Rng) -> Outcome {
    let size = [0, 100, 100_000, 1_000_000][rng.below(4)];
    let call = Call::post(&world.site, "/much.php", "application/octet-stream", vec![b'b'; size]);
    let call = if rng.below(2) == 0 { call.keep() } else { call };
    let bytes = call.encode(1);
    let mut conn = connect(address)?;
    if rng.below(2) == 0 {
        let _ = conn.stream.write_all(&bytes[..rng.below(bytes.len())]);
    } else {
        conn.stream.write_all(&bytes).map_err(broken)?;
        let mut some = vec![0; rng.below(1_900_000)];
        conn.stream.read_exact(&mut some).map_err(broken)?;
    }
    match rng.below(3) {
        0 => conn.stream.reset(),
        1 => drop(conn.stream.end_sending()),
        _ => drop(conn),
    }
    // Whoever it met is not held up.
    ask(address, &Call::get(&world.site, "/hello.php?n=1")).map(drop)
}
