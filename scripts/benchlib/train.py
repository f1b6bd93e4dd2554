"""Serves what a PHP that counts is trained with: DokuWiki, the pages of scripts/bench, and benchmarks of PHP's own."""

import argparse
import os
import shutil
import sys
import tempfile
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import load, pages, subjects
from .stack import Stack

# PHP threads, and clients.
THREADS = 4
# How often each page is asked for: DokuWiki is to have most of the time, as applications have.
WIKI = 40
WIKI_PAGES = (
    "doku.php?id=start", "doku.php?id=wiki:syntax", "doku.php?id=wiki:dokuwiki", "doku.php?id=start&do=index",
    "doku.php?id=start&do=recent", "doku.php?do=search&q=wiki", "doku.php?id=start&do=login", "doku.php?id=wiki:syntax&do=edit",
    "doku.php?id=wiki:syntax&do=export_raw", "doku.php?id=start&do=revisions", "feed.php", "lib/exe/css.php?t=dokuwiki",
)
PAGES = {"hello.php": 2000, "mid.php": 300, "cpu.php": 15, "big.php": 100}
FORM, FORMS = urllib.parse.urlencode({"field": "x" * 65536}).encode(), 100


def fetch(url, body=None):
    with urllib.request.urlopen(url, body, timeout=load.PATIENCE) as answer:
        if not answer.read():
            sys.exit(f"{url}: an empty page is nothing to train with")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--php-ftm", required=True)
    parser.add_argument("--scripts", type=Path, required=True, help="the folder of PHP's source that has bench.php")
    options = parser.parse_args()
    # Master and workers, who have another user, add to the same counts.
    os.umask(0)
    run = Path(tempfile.mkdtemp(prefix="php-ftm-train."))
    run.chmod(0o755)
    try:
        subject = subjects.prepare(run, {subjects.FTM: options.php_ftm})[subjects.FTM]
        site = pages.prepare(run, dokuwiki=True)
        shutil.copy(options.scripts / "bench.php", site)
        asked = [f"/dokuwiki/{page}" for page in WIKI_PAGES] * WIKI
        asked += [f"/{page}" for page, times in PAGES.items() for _ in range(times)]
        with Stack(subject, site, {"pm": "static", "pm.max_children": THREADS}) as stack, ThreadPoolExecutor(THREADS) as clients:
            # Each alone at first: DokuWiki may read files of its cache that it is just writing.
            for path in dict.fromkeys(asked):
                fetch(stack.url(path))
            list(clients.map(fetch, map(stack.url, asked)))
            list(clients.map(fetch, [stack.url("/post.php")] * FORMS, [FORM] * FORMS))
            fetch(stack.url("/bench.php"))
            stack.end()
            print(f"{len(asked) + FORMS + 1} pages", flush=True)
    finally:
        shutil.rmtree(run)


if __name__ == "__main__":
    main()
