"""Programs that weir is to get on with, started for a test: nginx and stunnel as servers or clients of TLS, and curl.

Neither of the first two can say which port it took. So they are handed a socket that listens already, as by systemd or by an nginx before
them: there is no port to guess, and nothing to wait for.
"""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

from program import LIMIT


def find(name):
    """Debian has servers where only root's PATH leads."""
    return shutil.which(name, path=os.environ.get('PATH', '') + ':/usr/sbin:/usr/local/sbin')


def takes_sockets(stunnel):
    said = subprocess.run([stunnel, '-version'], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT)
    return 'SYSTEMD' in said.stdout + said.stderr


NGINX, STUNNEL = find('nginx'), find('stunnel')
if STUNNEL and not takes_sockets(STUNNEL):
    STUNNEL = None

# All that it writes lies in its folder.
NGINX_CONFIGURATION = '''
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr {level};
events {{}}
http {{
  access_log off;
  client_body_temp_path temporary;
  proxy_temp_path temporary;
  fastcgi_temp_path temporary;
  uwsgi_temp_path temporary;
  scgi_temp_path temporary;
  server {{
    listen 127.0.0.1:{port} {listen};
    {settings}
  }}
}}
'''
STUNNEL_CONFIGURATION = '''
foreground = yes
syslog = no
pid =
debug = info
[service]
accept = 127.0.0.1:{port}
{settings}
'''


@contextlib.contextmanager
def folder_for_all(prefix):
    """When root runs the tests, nginx answers as nobody in particular, who may enter a folder for temporary files only if it is open."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        yield folder


@contextlib.contextmanager
def running(configuration, command, settings):
    """A program with the configuration. Gives it with its `address`, as (host, port), and `said`, the file of all that it says."""
    with folder_for_all('weir-peer-') as folder:
        with socket.create_server(('127.0.0.1', 0)) as listening, (folder / 'said').open('wb') as said:
            def hand_over():
                os.dup2(listening.fileno(), 3)
                os.set_inheritable(3, True)
                os.environ.update(NGINX='3;', LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))

            address = listening.getsockname()
            (folder / 'configuration').write_text(configuration.format(port=address[1], **settings))
            process = subprocess.Popen([*command, folder / 'configuration'], cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                       preexec_fn=hand_over, close_fds=False)
        process.address, process.said = address, folder / 'said'
        try:
            yield process
        except BaseException:
            print((folder / 'said').read_text(errors='replace'))
            raise
        finally:
            process.terminate()  # killed, nginx would leave its worker behind
            try:
                process.wait(LIMIT)
            finally:
                process.kill()


def nginx(settings, tls=True, level='info'):
    """One server with these settings, by TLS or without."""
    command = [NGINX, '-p', '.', '-e', 'stderr', '-c']
    return running(NGINX_CONFIGURATION, command, {'settings': settings, 'listen': 'ssl' if tls else '', 'level': level})


def stunnel(settings):
    """One service with these settings, a line each."""
    return running(STUNNEL_CONFIGURATION, [STUNNEL], {'settings': settings})


def by_tls(peer):
    return 'tls://%s:%d' % peer.address


def connect(peer):
    """A socket without TLS."""
    return socket.create_connection(peer.address, timeout=LIMIT)


def curl(*arguments):
    """(exit status, what came, stderr)"""
    done = subprocess.run(['curl', '-sS', '--noproxy', '*', '--max-time', str(LIMIT), *map(str, arguments)],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=2 * LIMIT)
    return done.returncode, done.stdout, done.stderr.decode()
