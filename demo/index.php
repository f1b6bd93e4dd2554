<?php
// Shows the request as PHP sees it, the pool process that answers it, and the process's threads.

declare(strict_types=1);
require __DIR__ . '/inc/page.php';

/**
 * The threads of this process, as the kernel lists them.
 *
 * @return list<array{id: int, name: string, state: string, cpu: float}> cpu in seconds
 */
function threads(): array
{
    $ticks = 100; // Linux reports CPU time to user space in hundredths of a second.
    $threads = [];
    foreach (glob('/proc/self/task/*', GLOB_ONLYDIR) ?: [] as $dir) {
        $stat = @file_get_contents("$dir/stat");
        if ($stat === false) {
            continue; // it ended while we looked
        }
        // "ID (NAME) STATE …": the name may hold blanks and brackets, so cut at the last one.
        $end = strrpos($stat, ')');
        $begin = strpos($stat, '(') + 1;
        $fields = explode(' ', substr($stat, $end + 2));
        $threads[] = [
            'id' => (int) $stat,
            'name' => substr($stat, $begin, $end - $begin),
            'state' => ['R' => 'running', 'S' => 'waiting', 'D' => 'waiting for a disk'][$fields[0]] ?? $fields[0],
            'cpu' => ((int) $fields[11] + (int) $fields[12]) / $ticks,
        ];
    }
    return $threads;
}

/** The kernel's number of the thread that runs this script. */
function this_thread(): int
{
    return (int) basename((string) @readlink('/proc/thread-self')) ?: getmypid();
}

page_begin('This request');

$request = [];
foreach (['REQUEST_METHOD', 'REQUEST_URI', 'SERVER_PROTOCOL', 'QUERY_STRING', 'SCRIPT_NAME', 'SCRIPT_FILENAME', 'PATH_INFO',
    'DOCUMENT_ROOT', 'CONTENT_TYPE', 'CONTENT_LENGTH', 'REMOTE_ADDR', 'REMOTE_PORT', 'SERVER_SOFTWARE', 'GATEWAY_INTERFACE'] as $name) {
    if (isset($_SERVER[$name])) {
        $request[] = [$name, $_SERVER[$name]];
    }
}
table('Parameters from the web server', ['Name', 'Value'], $request);

$headers = [];
foreach (getallheaders() as $name => $value) {
    $headers[] = [$name, $value];
}
table('Headers from the client', ['Name', 'Value'], $headers);

echo "<h2>The pool</h2>\n";
$pool = [
    ['PHP', PHP_VERSION . (PHP_ZTS ? ', thread-safe (ZTS)' : ', not thread-safe (NTS)')],
    ['Server interface', php_sapi_name()],
    ['Process title', trim(str_replace("\0", ' ', (string) @file_get_contents('/proc/self/cmdline')))],
    ['getmypid()', getmypid()],
    ['User', posix_getpwuid(posix_geteuid())['name'] ?? posix_geteuid()],
    ['opcache', function_exists('opcache_get_status') && opcache_get_status(false) ? 'on' : 'off'],
];
$status = function_exists('fpm_get_status') ? fpm_get_status() : false;
$more = function_exists('ftm_get_status') ? ftm_get_status() : false;
foreach (($status ?: []) + ($more ?: []) as $name => $value) {
    if (is_scalar($value)) {
        $pool[] = [$name, str_ends_with($name, 'time') ? gmdate('Y-m-d H:i:s', (int) $value) . ' UTC' : $value];
    }
}
table('What answers', ['Name', 'Value'], $pool);

echo "<h2>Its threads</h2>\n";
$workers = array_column($status ? $status['procs'] : [], null, 'pid');
$rows = [];
$this_thread = this_thread();
foreach (threads() as $thread) {
    $worker = $workers[$thread['id']] ?? null;
    $rows[] = [
        $thread['id'],
        $thread['name'],
        $thread['id'] === $this_thread ? 'runs this script' : ($worker['state'] ?? $thread['state']),
        $worker['requests'] ?? '',
        sprintf('%.2f s', $thread['cpu']),
    ];
}
table('Threads of this process', ['Thread', 'Name', 'State', 'Requests', 'CPU time'], $rows);

page_end();
