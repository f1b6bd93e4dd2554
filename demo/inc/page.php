<?php
// What the demo's pages share: the frame around a page, and tables.

declare(strict_types=1);

/** Text as HTML. Bytes that are no UTF-8 are replaced: a request may hold anything. */
function h(string|int|float $text): string
{
    return htmlspecialchars((string) $text, ENT_QUOTES | ENT_SUBSTITUTE | ENT_HTML5, 'UTF-8');
}

function page_begin(string $title): void
{
    header('Content-Type: text/html; charset=utf-8');
    header('Cache-Control: no-store');
    header("Content-Security-Policy: default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
    $pages = ['index.php' => 'Request', 'sqlite.php' => 'SQLite', 'upload.php' => 'Upload'];
    $here = basename($_SERVER['SCRIPT_NAME']);
    ?>
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title><?= h($title) ?> · php-ftm</title>
<link rel="stylesheet" href="style.css">
</head>
<body>
<header>
<p class="name">php-ftm</p>
<nav aria-label="Pages"><ul>
<?php foreach ($pages as $file => $name) { ?>
<li><a href="<?= h($file) ?>"<?= $file === $here ? ' aria-current="page"' : '' ?>><?= h($name) ?></a></li>
<?php } ?>
<?php if (is_dir(__DIR__ . '/../dokuwiki')) { ?>
<li><a href="dokuwiki/">DokuWiki</a></li>
<?php } ?>
</ul></nav>
</header>
<main>
<h1><?= h($title) ?></h1>
<?php
}

function page_end(): void
{
    echo "</main>\n</body>\n</html>\n";
}

/**
 * A table with a caption.
 *
 * @param list<string>                   $heads the columns' names
 * @param list<list<string|int|float>>   $rows  the cells; a row's first cell is its heading
 */
function table(string $caption, array $heads, array $rows): void
{
    echo '<div class="scroll"><table><caption>', h($caption), "</caption>\n<thead><tr>";
    foreach ($heads as $head) {
        echo '<th scope="col">', h($head), '</th>';
    }
    echo "</tr></thead>\n<tbody>\n";
    foreach ($rows as $row) {
        echo '<tr><th scope="row">', h(array_shift($row)), '</th>';
        foreach ($row as $cell) {
            echo '<td>', h($cell), '</td>';
        }
        echo "</tr>\n";
    }
    echo "</tbody></table></div>\n";
}

/** Was the form sent from a page of this site? Browsers name the sender in Origin. */
function from_this_site(): bool
{
    $origin = $_SERVER['HTTP_ORIGIN'] ?? '';
    return $origin === '' || parse_url($origin, PHP_URL_HOST) === parse_url('//' . ($_SERVER['HTTP_HOST'] ?? ''), PHP_URL_HOST);
}
