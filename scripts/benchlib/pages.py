"""What the servers show."""

import os
import shutil
import subprocess
from pathlib import Path

from . import processes, subjects


def prepare(run, dokuwiki):
    """The scripts, where the servers' user can read them, and DokuWiki, whose data it can write."""
    site = run / "site"
    shutil.copytree(Path(__file__).resolve().parent / "site", site)
    if dokuwiki:
        command = [subjects.ROOT / "scripts/dokuwiki", run / "wiki"]
        shown = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1]
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", processes.user(), run / "wiki/var"], check=True)
        (site / "dokuwiki").symlink_to(shown)
    return site
