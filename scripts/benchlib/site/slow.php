<?php
// For clients that take what is sent slowly, or send slowly what is read.
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    echo strlen(file_get_contents('php://input')), "\n";
} else {
    header('Content-Type: application/octet-stream');
    echo str_repeat('0123456789abcdef', 65536 * 4);
}
