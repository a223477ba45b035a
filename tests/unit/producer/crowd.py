"""A process in which many send at once: `python -m tests.unit.producer.crowd threads|greenlets COUNT SENDS`.

Prints how many ids it got, and each error once.
"""

import sys

if sys.argv[1] == "greenlets":
    from gevent import monkey

    monkey.patch_all()

import json
import threading

import mailer


def main() -> None:
    count, sends = map(int, sys.argv[2:])
    ids, errors = [], []
    together = threading.Barrier(count)

    def send() -> None:
        together.wait()
        for _ in range(sends):
            try:
                ids.append(mailer.send(to="a@example.com", sender="b@example.com", subject="c", text="d"))
            except Exception as error:  # noqa: BLE001 - counted
                errors.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=send) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"ids": len(set(ids)), "errors": sorted(set(errors)), "failed": len(errors)}))  # noqa: T201


main()
