<?php
// Another page, after a while: so long, the worker serves nobody else.
usleep((int) $_GET['ms'] * 1000);
require __DIR__ . "/{$_GET['page']}.php";
