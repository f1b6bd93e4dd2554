"""The servers that are compared, and how each is started: with the same settings and the same extensions."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from . import processes

ROOT = Path(__file__).resolve().parent.parent.parent
FTM, FPM, NTS = "php-ftm", "php-fpm", "php-fpm-nts"


@dataclass
class Subject:
    """One of the servers."""

    name: str
    binary: str
    # Its ini file, and the directory of those that load the extensions that all have.
    ini: Path
    scan: Path

    def env(self):
        return {"PHP_INI_SCAN_DIR": str(self.scan)}

    def output(self, *options, env=None):
        command = [self.binary, "-c", self.ini, *options]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=env or {**os.environ, **self.env()}).stdout

    def modules(self):
        return {line for line in self.output("-m").splitlines() if line and not line.startswith("[")}

    def version(self):
        return self.output("-v").split("\n")[0]


def prepare(run, binaries):
    """All subjects, by name: a php-ftm first. `binaries` has the path of each."""
    subjects = {}
    for name, binary in binaries.items():
        home = run / name
        (home / "conf.d").mkdir(parents=True)
        temp = home / "tmp"
        temp.mkdir()
        if os.geteuid() == 0:
            shutil.chown(temp, processes.user())
        ini = home / "php.ini"
        ini.write_text(
            (ROOT / "conf/php.ini").read_text()
            + f"\n[PHP]\nsys_temp_dir = {temp}\nupload_tmp_dir = {temp}\n"
        )
        subjects[name] = Subject(name, binary, ini, home / "conf.d")
    wanted = {module.lower() for module in next(iter(subjects.values())).modules()}
    for subject in subjects.values():
        for loader in own_loaders(subject):
            if re.sub(r"^\d+-|\.ini$", "", loader.name) in wanted:
                shutil.copy(loader, subject.scan)
    return subjects


def own_loaders(subject):
    """The files by which a distribution's PHP loads its extensions; opcache is loaded by our own ini file."""
    env = {name: value for name, value in os.environ.items() if name != "PHP_INI_SCAN_DIR"}
    found = re.search(r"^Scan this dir for additional .ini files => (.*)", subject.output("-i", env=env), re.M)
    if not found:
        sys.exit(f"{subject.binary} -i does not say where its extensions are loaded")
    return (f for f in sorted(Path(found[1].strip()).glob("*.ini")) if "opcache" not in f.name)


def describe(subjects):
    """Version of each, and in which extensions they differ all the same."""
    found = {name: subject.modules() for name, subject in subjects.items()}
    every = set.intersection(*found.values())
    return "".join(
        f"{name}: {subjects[name].version()}; extensions that not all have: {', '.join(sorted(mine - every)) or 'none'}\n"
        for name, mine in found.items()
    )
