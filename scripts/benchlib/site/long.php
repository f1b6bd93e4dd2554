<?php
// About half a second of arithmetic.
for ($i = 0, $sum = 0; $i < 20000000; $i++) {
    $sum = ($sum + $i * $i) & 0xffffff;
}
echo $sum, "\n";
