<?php
header('Content-Type: application/octet-stream');
$piece = str_repeat('0123456789abcdef', 1024);
for ($i = 0; $i < 64; $i++) {
    echo $piece;
}
