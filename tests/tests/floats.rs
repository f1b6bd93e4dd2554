//! Floating point numbers as text: what php-ftm puts in the place of PHP's own conversions says the same, also where all threads
//! write and read numbers at once.

use ftm_tests::fcgi::Call;
use ftm_tests::*;

/// Writes and reads numbers of all sizes, those in between included, each in many ways.
const SCRIPT: &str = r#"<?php
    mt_srand((int) $_GET['seed']);
    $bits = fn () => pack('V', mt_rand(0, 0xffff) << 16 | mt_rand(0, 0xffff)) . pack('V', mt_rand(0, 0x7fff) << 16 | mt_rand(0, 0xffff));
    $kinds = [
        fn () => unpack('e', $bits())[1],
        fn () => mt_rand(0, 1000000) / 100,
        fn () => mt_rand() / (1 << mt_rand(0, 30)),
        fn () => 2.0 ** mt_rand(-1074, 1023),
        fn () => (mt_rand() << 22 | mt_rand(0, (1 << 22) - 1)) * 2.0 ** -mt_rand(0, 80),
        fn () => (mt_rand(0, 200000) * 10 + 5) * 10.0 ** mt_rand(-5, 8),
        fn () => (float) mt_rand(),
    ];
    for ($n = 0; $n < 700; $n++) {
        $value = $kinds[$n % count($kinds)]() * (mt_rand(0, 1) ? 1 : -1);
        ini_set('precision', (string) [-1, 14, 17, mt_rand(1, 40)][mt_rand(0, 3)]);
        $digits = mt_rand(0, 25);
        $texts = [(string) $value, var_export($value, true), sprintf("%.{$digits}e", $value), sprintf("%.{$digits}F", $value)];
        if (is_finite($value)) {
            $texts[] = json_encode($value);
        }
        foreach ($texts as $text) {
            echo $text, ' ', bin2hex(pack('E', (float) $text)), "\n";
        }
    }
    foreach (['0', '-0.0', '.5', '5.', '-.5e', '1e', '1e+', '2e-3x', "\n 7", '+1.5', '-', '.', 'e5', '1e400', '-1e-400', '00012.50',
        str_repeat('1', 400), '0.' . str_repeat('0', 330) . '1', '1.' . str_repeat('0', 800) . '1', '9007199254740993',
        '2.2250738585072011e-308', '1.7976931348623159e308', '1e99999999999'] as $text) {
        echo var_export((float) $text, true), ' ', var_export(is_numeric($text), true), "\n";
    }
    foreach ([0.5, 1.5, 2.5, 1e15, 1e22, 123456789012345678.0, 835405.0, 5e-324, 2.0 ** -44, -0.0, NAN, INF, -INF] as $value) {
        foreach ([-1, 1, 2, 5, 14, 17, 500] as $precision) {
            ini_set('precision', (string) $precision);
            echo $value, "\n";
        }
    }"#;

#[test]
fn they_are_php_fpms() {
    let site = Site::new();
    site.file("floats.php", SCRIPT);
    let answers = |kind| {
        let server = Server::start_as(kind, &site, ServerConfig::pool(PoolConfig::new("www").children(1)));
        [1, 2, 3, 4, 5].map(|seed| server.get(&format!("/floats.php?seed={seed}")).text())
    };
    for (theirs, ours) in answers(Kind::PhpFpm).iter().zip(answers(Kind::under_test())) {
        assert!(theirs.lines().count() > 3000, "{theirs}");
        for (line, (theirs, ours)) in theirs.lines().zip(ours.lines()).enumerate() {
            assert_eq!(theirs, ours, "line {line}");
        }
        assert_eq!(theirs.len(), ours.len());
    }
}

#[test]
fn all_threads_at_once_have_them_right() {
    let site = Site::new();
    site.file("floats.php", SCRIPT);
    site.file(
        "check.php",
        "<?php ob_start(); include 'floats.php'; $is = md5(ob_get_clean()); echo $is === $_GET['is'] ? 'right' : $is;",
    );
    let server =
        Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(8).set("pm.max_requests", "20")));
    let loads = [1, 2, 3, 4].map(|seed| {
        let is = server.get(&format!("/check.php?seed={seed}&is=")).text();
        let call = Call::get(&site, &format!("/check.php?seed={seed}&is={is}"));
        Load::start(2, server.address(), &call, |answer| answer.text() == "right")
    });
    loads.iter().for_each(|load| load.wait_for(50));
    for load in loads {
        let outcome = load.end();
        assert!(outcome.failures.is_empty() && outcome.broken == 0, "{outcome:?}");
    }
    server.stop();
}
