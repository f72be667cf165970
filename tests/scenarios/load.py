"""Steady requests from several clients that keep their connections; every failure is kept."""

import http.client
import threading
import time

from conftest import until


class Load:
    """Asks `addresses` in turn, `per_second` times in all, until the block ends."""

    def __init__(self, addresses: list[str], per_second: float = 50, clients: int = 8,
                 paths: tuple[str, ...] = ("/",)):
        self.addresses, self.paths = addresses, paths
        self.pause = clients / per_second
        self.answered, self.failures, self.served = 0, [], {}
        self.lock, self.over = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(i,)) for i in range(clients)]

    def ask(self, number: int) -> None:
        address = self.addresses[number % len(self.addresses)]
        connection = http.client.HTTPConnection(address, timeout=5)
        turn, due = number, time.monotonic() + self.pause * number / len(self.threads)
        # At a rate, not after a pause: a slow answer does not make the load lighter.
        while not self.over.wait(max(0.0, due - time.monotonic())):
            due += self.pause
            path = self.paths[turn % len(self.paths)]
            turn += 1
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                body = answer.read()
                good = answer.status == 200 and body
                failure = None if good else f"status {answer.status}: {body[:300]!r}"
                who = body.decode(errors="replace").strip() if len(body) < 100 else None
            except (OSError, http.client.HTTPException) as error:
                failure, who = repr(error), None
                connection.close()
            with self.lock:
                self.answered += 1
                if failure:
                    self.failures.append((time.monotonic(), address, path, failure))
                elif who:
                    self.served[who] = time.monotonic()
        connection.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def more(self, count: int, seconds: float = 60) -> None:
        """Waits until so many more were answered."""
        enough = self.answered + count
        until(f"{count} more requests", lambda: self.answered >= enough, seconds)
