"""Static files: `weir serve` and nginx, each on the server's core, asked by wrk on the client's."""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

import measure

FILE = 'file.bin'
# All that nginx needs lies in its folder, and what is not said here is as it comes. Its own limit of 1000 requests a
# connection would have it close them, which weir does not.
NGINX_CONFIG = '''
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  keepalive_requests 1000000000;
  client_body_temp_path temporary;
  proxy_temp_path temporary;
  fastcgi_temp_path temporary;
  uwsgi_temp_path temporary;
  scgi_temp_path temporary;
  server {{ listen 127.0.0.1:{port}; root files; }}
}}
'''


def missing():
    return [name for name in ('nginx', 'wrk') if not program(name)]


def program(name):
    """Debian has nginx where only root's PATH leads."""
    return shutil.which(name, path=os.environ.get('PATH', '') + ':/usr/sbin:/usr/local/sbin')


class Nginx:
    """Serves `folder`/files until the end of the `with`. As root, its worker is nobody in particular: the folder must be open to all."""

    def __init__(self, folder, core):
        # It takes over a socket that listens already, as from an nginx before it: no port to guess, nothing to wait for.
        with socket.create_server(('127.0.0.1', 0), backlog=511) as listener:
            self.port = str(listener.getsockname()[1])
            (folder / 'nginx.conf').write_text(NGINX_CONFIG.format(port=self.port))
            self.process = subprocess.Popen(
                [program('nginx'), '-p', str(folder), '-e', 'stderr', '-c', 'nginx.conf'], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=measure.pinned(core),
                pass_fds=[listener.fileno()], env={**os.environ, 'NGINX': f'{listener.fileno()};'})

    def cpu(self):
        """Nanoseconds of the master and its worker."""
        children = pathlib.Path(f'/proc/{self.process.pid}/task/{self.process.pid}/children').read_text().split()
        return sum(measure.cpu_of(process) for process in [self.process.pid, *children])

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        self.process.terminate()  # killed, it would leave its worker behind
        said = self.process.communicate(timeout=measure.LIMIT)[1].strip()
        if failure and said:
            raise RuntimeError(f'nginx: {said}')


@contextlib.contextmanager
def folder_with_file(size):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        (folder / 'files').mkdir()
        (folder / 'files' / FILE).write_bytes(bytes(i % 251 for i in range(size)))
        yield folder


def server(name, weir, folder, core):
    if name == 'nginx':
        return Nginx(folder, core)
    return measure.Server([weir, 'serve', folder / 'files', '--listen', 'tcp://127.0.0.1:0'], core=core)


def wrk(port, connections, seconds, core):
    """Whole seconds. Every answer must be the file."""
    done = subprocess.run([program('wrk'), '-t1', f'-c{connections}', f'-d{seconds}s', f'http://127.0.0.1:{port}/{FILE}'],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=measure.LIMIT, preexec_fn=measure.pinned(core))
    found = re.search(r'(\d+) requests in', done.stdout)
    rate = re.search(r'Requests/sec:\s*([\d.]+)', done.stdout)
    if done.returncode != 0 or not found or 'Non-2xx' in done.stdout or 'Socket errors' in done.stdout:
        raise RuntimeError(f'wrk: {done.stdout} {done.stderr}')
    return {'requests': int(found.group(1)), 'rate': float(rate.group(1))}


def fetch(port):
    """One answer's body: is it the file, and is the server there?"""
    with socket.create_connection(('127.0.0.1', int(port)), timeout=measure.LIMIT) as connection:
        connection.sendall(f'GET /{FILE} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'.encode())
        with connection.makefile('rb') as answer:
            return answer.read().partition(b'\r\n\r\n')[2]


def measure_files(name, weir, cell, cores=(measure.SERVER_CORE, measure.CLIENT_CORE)):
    with folder_with_file(cell.size) as folder, server(name, weir, folder, cores[0]) as running:
        if fetch(running.port) != (folder / 'files' / FILE).read_bytes():
            raise RuntimeError(f'{name} serves something else')
        before = running.cpu()
        result = wrk(running.port, cell.connections, cell.seconds, cores[1])
        result['cpu'] = (running.cpu() - before) / result['requests']
    return result
