<?php
// An upload form that shows what arrived. Nothing is kept: PHP deletes the files when the request ends.

declare(strict_types=1);
require __DIR__ . '/inc/page.php';

const ERRORS = [
    UPLOAD_ERR_OK => 'arrived',
    UPLOAD_ERR_INI_SIZE => 'larger than upload_max_filesize',
    UPLOAD_ERR_FORM_SIZE => 'larger than the form allows',
    UPLOAD_ERR_PARTIAL => 'arrived only in part',
    UPLOAD_ERR_NO_FILE => 'no file chosen',
    UPLOAD_ERR_NO_TMP_DIR => 'no directory for temporary files',
    UPLOAD_ERR_CANT_WRITE => 'could not be written',
    UPLOAD_ERR_EXTENSION => 'stopped by an extension',
];

/** @return list<list<string|int>> a row for each file of the field "files" */
function arrived(): array
{
    $field = $_FILES['files'] ?? null;
    if (!is_array($field['name'] ?? null)) {
        return []; // a client that sends something else than our form
    }
    $rows = [];
    foreach ($field['name'] as $i => $name) {
        if (!is_string($name)) {
            continue;
        }
        $ok = $field['error'][$i] === UPLOAD_ERR_OK;
        $rows[] = [$name, ERRORS[$field['error'][$i]] ?? 'error', $field['type'][$i], $field['size'][$i],
            $ok ? hash_file('sha256', $field['tmp_name'][$i]) : ''];
    }
    return $rows;
}

page_begin('Upload');
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $rows = arrived();
    if ($rows) {
        table('What arrived', ['File', 'Result', 'Type, as the client says', 'Bytes', 'SHA-256'], $rows);
    } else {
        echo '<p class="error" role="alert">No file arrived. A request larger than post_max_size (',
            h(ini_get('post_max_size')), ") arrives empty.</p>\n";
    }
}
?>
<form method="post" action="upload.php" enctype="multipart/form-data">
<label for="files">Files</label>
<input id="files" name="files[]" type="file" multiple required>
<button>Upload</button>
</form>
<p>Up to <?= h(ini_get('upload_max_filesize')) ?> each and <?= h(ini_get('post_max_size')) ?> together. Nothing is kept.</p>
<?php
page_end();
