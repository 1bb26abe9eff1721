"""Ports of tests: none that somebody else may have meanwhile."""
from __future__ import annotations

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.ports import blocks, free_port
from tests.support.servers import ROOT

MANY = "from tests.support.ports import free_port; print(*(free_port() for _ in range(300)))"


def test_no_two_processes_are_given_the_same_port_nor_one_that_the_system_gives():
    others = [subprocess.Popen([sys.executable, "-c", MANY], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda _: free_port(), range(100)))
    for other in others:
        given += map(int, other.communicate()[0].split())
        assert other.returncode == 0
    assert len(given) == len(set(given)) == 1000
    with socket.create_server(("127.0.0.1", 0)) as any_port:
        assert any_port.getsockname()[1] not in given


def test_a_port_that_somebody_has_is_not_given():
    first = free_port()
    with socket.create_server(("127.0.0.1", first + 1)) as taken:
        assert free_port() != taken.getsockname()[1]


@pytest.mark.parametrize("system_gives", [(32768, 60999), (49152, 65535), (1024, 65535), (10000, 65000)])
def test_there_are_ports_enough_whatever_the_system_gives(system_gives):
    found = blocks(system_gives)
    ports = [port for block in found for port in block]
    assert len(found) >= 10 and len(ports) == len(set(ports)) and min(ports) >= 1024 and max(ports) <= 65535
    low, high = system_gives
    if high - low < 50_000:
        assert not set(ports) & set(range(low, high + 1))
