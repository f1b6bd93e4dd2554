<?php
// Some milliseconds of the engine's own work: arithmetic, arrays, strings and calls.
function points(int $size): int
{
    $inside = 0;
    for ($y = 0; $y < $size; $y++) {
        for ($x = 0; $x < $size; $x++) {
            $cr = 3 * $x / $size - 2;
            $ci = 2 * $y / $size - 1;
            $zr = $zi = 0.0;
            for ($n = 0; $n < 40 && $zr * $zr + $zi * $zi < 4; $n++) {
                [$zr, $zi] = [$zr * $zr - $zi * $zi + $cr, 2 * $zr * $zi + $ci];
            }
            $inside += (int) ($n === 40);
        }
    }
    return $inside;
}
$words = [];
for ($i = 0; $i < 3000; $i++) {
    $word = substr(md5((string) $i), 0, 2);
    $words[$word] = ($words[$word] ?? 0) + strlen(strtoupper($word));
}
ksort($words);
echo points(60), ' ', array_sum($words), ' ', count($words), "\n";
