"""A program that publishes or reads until it is killed, and says on stdout what it knows to be done.

``python -m tests.support.laws.broker_program URI publish|batches|read QUEUE``
"""
from __future__ import annotations

import sys

from kombu import Connection, Consumer, Queue

from shared.bus import port
from shared.bus.message import Message


def publish(broker: port.Broker, queue: str) -> None:
    number = 0
    while True:
        broker.publish(Message("", queue, b"%d" % number, id=str(number)), mandatory=True)
        print(number, flush=True)
        number += 1


def batches(broker: port.Broker, queue: str) -> None:
    number = 0
    while True:
        messages = [Message("", queue, b"%d" % n, id=str(n)) for n in range(number, number + 50)]
        for done in broker.publish_many(messages):
            print(done, flush=False)
        sys.stdout.flush()
        number += 50


def read(uri: str, queue: str) -> None:
    """Ack every message whose number ends in less than five, hold the others."""
    def on_message(message: object) -> None:
        if int(message.body) % 10 < 5:
            message.ack()
            print("acked", int(message.body), flush=True)
        else:
            print("held", int(message.body), flush=True)

    with Connection(uri) as connection:
        with Consumer(connection, [Queue(queue, no_declare=True)], on_message=on_message, auto_declare=False):
            while True:
                connection.drain_events()


def main(uri: str, mode: str, queue: str) -> None:
    port.prepare(uri)
    print("ready", flush=True)
    if mode == "read":
        read(uri, queue)
    else:
        {"publish": publish, "batches": batches}[mode](port.connect(uri), queue)


if __name__ == "__main__":
    main(*sys.argv[1:])
