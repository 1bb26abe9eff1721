"""A process that serves asks the machine itself for the addresses of names, and goes on with everything else meanwhile."""
from __future__ import annotations

import json
import subprocess
import sys

from tests.support.servers import ROOT, project_environment

# The system's resolver, in place before the process is greened: one name takes long, one is not there.
PROGRAM = """
import json, socket, sys, time
really_sleep, asked = time.sleep, []

def system(host, port, *more, **options):
    asked.append(host)
    if host == "nowhere.example":
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    if host == "slow.example":
        really_sleep(1)
    if host == "silent.example":
        really_sleep(15)
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", int(port)))]

socket.getaddrinfo = system
from shared.hosting import greening
greening.RESOLVING_S = 5
greening.green()

import eventlet
listener = eventlet.listen(("127.0.0.1", 0))
port = listener.getsockname()[1]
beats = 0

def beat():
    global beats
    while True:
        eventlet.sleep(0.02)
        beats += 1

def connect(host):
    global beats
    beats = 0
    try:
        socket.create_connection((host, port), 60).close()
        end = "connected"
    except OSError as error:
        end = f"{type(error).__name__} {error.errno == socket.EAI_AGAIN}"
    return [end, beats]

eventlet.spawn(beat)
print(json.dumps({host: connect(host) for host in ("slow.example", "nowhere.example", "silent.example", "127.0.0.1")}
                 | {"loaded": sorted({name.partition(".")[0] for name in sys.modules} & {"dns"})}))
"""


def test_others_go_on_while_a_name_is_resolved_and_its_wait_has_an_end() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM], env=project_environment(), cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["slow.example"][0] == "connected" and said["slow.example"][1] > 5, said
    assert said["nowhere.example"][0] == "gaierror False"
    assert said["silent.example"][0] == "gaierror True" and said["silent.example"][1] > 5, said
    assert said["127.0.0.1"][0] == "connected"
    # A second resolver, of another's making, is a sixth of what a process loads.
    assert said["loaded"] == []
