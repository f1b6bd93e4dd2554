"""A server of PHP with an nginx of its own before it."""

import os
import shutil
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path

from . import processes

# More than any load has connections.
CONNECTIONS = 16384
# Where files of sessions are made, if it has as many bytes left. On a disk, servers would pay for those before them: ext4 looks
# through all files that were deleted within five minutes whenever it makes one.
MEMORY, ENOUGH = Path("/dev/shm"), 1 << 30


class Stack:
    """Starts on entering, ends on leaving. `pool` has the settings of the pool, `server` those of [global]; `before` is a
    command that watches the server."""

    def __init__(self, subject, site, pool, keep=False, keepalive=32, server="", buffering=True, replaceable=False,
                 before=()):
        self.subject, self.site, self.pool, self.server = subject, site, pool, server
        self.keep, self.keepalive, self.buffering, self.replaceable = keep, keepalive, buffering, replaceable
        self.before = before
        self.processes = []

    def __enter__(self):
        self.run = Path(tempfile.mkdtemp(prefix="php-ftm-bench."))
        self.run.chmod(0o755)
        # Of its own: a server that has served more before would have more files of sessions to look through.
        in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ENOUGH
        self.sessions = Path(tempfile.mkdtemp(prefix="php-ftm-bench.", dir=MEMORY if in_memory else self.run))
        try:
            self.start_php()
            self.start_nginx()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        processes.stop_all(self.processes)
        shutil.rmtree(self.sessions)
        shutil.rmtree(self.run)

    @property
    def socket(self):
        return self.run / "php.sock"

    @property
    def master(self):
        """The server's first process."""
        return self.processes[0]

    @property
    def nginx(self):
        return self.processes[1]

    @property
    def error_log(self):
        return self.run / "error.log"

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def start_php(self):
        settings = {
            "listen": self.socket, "listen.backlog": 4096, "php_admin_value[session.save_path]": self.sessions, **self.pool
        }
        if os.geteuid() == 0:
            settings |= {"user": processes.user(), "listen.owner": processes.user()}
            shutil.chown(self.sessions, processes.user())
        conf = self.run / "fpm.conf"
        conf.write_text(
            f"[global]\nerror_log = {self.error_log}\nlog_level = notice\n{self.server}[bench]\n"
            + "".join(f"{name} = {value}\n" for name, value in settings.items())
        )
        program = self.subject.binary
        if self.replaceable:
            # A copy, which an upgrade can replace.
            self.program = self.run / "server"
            shutil.copy(program, self.program)
            program = self.program
        process, log = processes.start(
            self.run, "php", [*self.before, program, "-F", "-c", self.subject.ini, "-y", conf], self.subject.env()
        )
        self.processes.append(process)
        # The socket is there before the server is ready; what it opens then would count for the first load. A server that
        # logs to stderr where that is no file does so in its own log too.
        processes.wait_until(lambda: self.times_ready() > 0 or "ready to handle connections" in log.read_text(), process, log)

    def times_ready(self):
        """How often the server has said that it serves: once, and once for each reload."""
        try:
            return self.error_log.read_text(errors="replace").count("ready to handle connections")
        except FileNotFoundError:
            return 0

    def end(self):
        """Ends the server of PHP, and waits until it has said all that it has to say."""
        self.master.send_signal(signal.SIGQUIT)
        self.master.wait(processes.PATIENCE)

    @contextmanager
    def watched(self, command, ready):
        """Runs a command that watches the server, from when it is `ready()` to the end of the block, where it is interrupted."""
        process, log = processes.start(self.run, "watching", command)
        self.processes.append(process)
        processes.wait_until(ready, process, log)
        yield
        process.send_signal(signal.SIGINT)
        process.wait(processes.PATIENCE)

    def reload(self):
        self.master.send_signal(signal.SIGUSR2)

    def start_nginx(self):
        self.port = processes.free_port()
        temp = "".join(
            f"    {kind}_temp_path {self.run}/nginx-{kind};\n" for kind in ("client_body", "fastcgi", "proxy", "uwsgi", "scgi")
        )
        unbuffered = "" if self.buffering else "            fastcgi_buffering off;\n            fastcgi_request_buffering off;\n"
        conf = self.run / "nginx.conf"
        conf.write_text(
            f"{f'user {processes.user()};' if os.geteuid() == 0 else ''}\ndaemon off;\nworker_processes 1;\n"
            f"worker_rlimit_nofile {CONNECTIONS};\npid {self.run}/nginx.pid;\nerror_log {self.run}/nginx.error.log;\n"
            f"events {{ worker_connections {CONNECTIONS // 2}; }}\nhttp {{\n    access_log off;\n{temp}"
            "    keepalive_requests 1000000000;\n    client_max_body_size 64m;\n    fastcgi_max_temp_file_size 0;\n"
            f"    upstream php {{ server unix:{self.socket}; {f'keepalive {self.keepalive};' if self.keep else ''} }}\n"
            f"    server {{\n        listen 127.0.0.1:{self.port} backlog=4096;\n        root {self.site};\n"
            "        location ~ \\.php$ {\n            include /etc/nginx/fastcgi_params;\n"
            "            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;\n"
            f"{unbuffered}            fastcgi_pass php;\n            fastcgi_keep_conn {'on' if self.keep else 'off'};\n"
            "        }\n    }\n}\n"
        )
        command = ["nginx", "-e", self.run / "nginx.error.log", "-p", self.run, "-c", conf]
        process, log = processes.start(self.run, "nginx", command)
        self.processes.append(process)
        processes.wait_until((self.run / "nginx.pid").exists, process, log)
