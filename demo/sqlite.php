<?php
// Notes in an SQLite database: writes one, reads the latest.

declare(strict_types=1);
require __DIR__ . '/inc/page.php';

const LONGEST = 200; // characters of a note
const KEPT = 20; // notes

$file = (getenv('DEMO_DATA') ?: sys_get_temp_dir()) . '/php-ftm-demo.sqlite';
$db = new PDO("sqlite:$file", options: [PDO::ATTR_TIMEOUT => 5]);
$db->exec('CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, text TEXT NOT NULL)');

$error = '';
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $text = $_POST['text'] ?? null;
    $text = is_string($text) ? trim($text) : '';
    if (!from_this_site()) {
        http_response_code(403);
        $error = 'The form was sent from another site.';
    } elseif ($text === '' || !mb_check_encoding($text, 'UTF-8') || mb_strlen($text, 'UTF-8') > LONGEST) {
        http_response_code(422);
        $error = sprintf('A note is text of 1 to %d characters.', LONGEST);
    } else {
        $db->beginTransaction();
        $db->prepare('INSERT INTO note (at, text) VALUES (?, ?)')->execute([time(), $text]);
        $db->exec('DELETE FROM note WHERE id NOT IN (SELECT id FROM note ORDER BY id DESC LIMIT ' . KEPT . ')');
        $db->commit();
        // So that loading the page again does not send the form again.
        header('Location: sqlite.php', true, 303);
        exit;
    }
}

page_begin('Notes in SQLite');
if ($error !== '') {
    echo '<p class="error" role="alert">', h($error), "</p>\n";
}
?>
<form method="post" action="sqlite.php">
<label for="text">Note</label>
<input id="text" name="text" required maxlength="<?= LONGEST ?>" autocomplete="off">
<button>Save</button>
</form>
<?php
$rows = [];
foreach ($db->query('SELECT id, at, text FROM note ORDER BY id DESC') as $note) {
    $rows[] = [$note['id'], gmdate('Y-m-d H:i:s', $note['at']) . ' UTC', $note['text']];
}
if ($rows) {
    table('The latest notes', ['No.', 'Written', 'Note'], $rows);
} else {
    echo "<p>No notes yet.</p>\n";
}
echo '<p>SQLite ', h($db->getAttribute(PDO::ATTR_SERVER_VERSION)), ', the database is ', h($file), ".</p>\n";
page_end();
