"""What scripts/bench runs: php-ftm and php-fpm by turns under the same load, and what came of it."""
