<?php
// What a page of a list does: 200 rows, sorted, escaped into a table, and once more as JSON.
$rows = [];
for ($i = 0; $i < 200; $i++) {
    $rows[] = [
        'id' => $i,
        'name' => 'Name <' . ($i * 7919 % 200) . '> & "company"',
        'email' => "user{$i}@example.org",
        'amount' => ($i * 104729 % 10007) / 100,
    ];
}
usort($rows, fn ($a, $b) => $a['amount'] <=> $b['amount'] ?: strcmp($a['name'], $b['name']));
$table = '';
foreach ($rows as $row) {
    $table .= '<tr>';
    foreach ($row as $value) {
        $table .= '<td>' . htmlspecialchars((string) $value) . '</td>';
    }
    $table .= "</tr>\n";
}
echo "<table>\n$table</table>\n<script>const rows = ", json_encode($rows), ";</script>\n";
