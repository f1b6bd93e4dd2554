//! A script whose session is left in all the ways in which a request may end.

/// The start of a PHP script with a session. `$_GET` says: `handler`, whether it is in PHP's own hands (none, or empty), in those
/// of a class, or of one that PHP ends by itself (`registered`); `how` it ends, by the function of that name; and `in` which of
/// the class's functions it does so. What stands behind it calls `$_GET['how']` where that is `script`.
pub const PHP_SESSION: &str = "<?php
class Handler extends SessionHandler {
    function read(string $id): string { if ($_GET['in'] === 'read') ($_GET['how'])(); return parent::read($id); }
    function write(string $id, string $data): bool { if ($_GET['in'] === 'write') ($_GET['how'])(); return parent::write($id, $data); }
    function close(): bool { if ($_GET['in'] === 'close') ($_GET['how'])(); return parent::close(); }
}
function fatal() { undefined_function(); }
function thrown() { throw new Exception('thrown'); }
function memory() { ini_set('memory_limit', '4M'); str_repeat('x', 1 << 24); }
function triggered() { trigger_error('triggered', E_USER_ERROR); }
function slow() { while (true) usleep(10000); }
function leave() { exit; }
if ($_GET['handler'] ?? false) session_set_save_handler(new Handler, $_GET['handler'] === 'registered');
session_start();
";
