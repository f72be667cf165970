"""What runs in a customer's network: clients of a database or cache by its name.

`write` inserts rows from several threads until its input ends, connects anew after each failure,
and prints a line for each row that was acknowledged, with the machine's time. `ask` runs one query.
A client gives a connection one second and an answer two: without such limits nobody notices that
the other side is gone.
"""

import json
import socket
import sys
import threading
import time

CONNECT_MAX, ANSWER_MAX = 1.0, 2.0
PAUSE = 0.005


class MariaDb:
    """A client of MariaDB."""

    def __init__(self, host, port, user, password):
        import pymysql

        self.connection = pymysql.connect(
            host=host, port=port, user=user, password=password, database="shop", autocommit=True,
            connect_timeout=CONNECT_MAX, read_timeout=ANSWER_MAX, write_timeout=ANSWER_MAX,
        )

    def ask(self, statement):
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            return [list(map(str, row)) for row in cursor.fetchall()]

    def write(self, writer, row):
        self.ask(f"INSERT INTO written VALUES ({writer}, {row})")


class Postgres:
    """A client of PostgreSQL."""

    def __init__(self, host, port, user, password):
        import pg8000.native

        # One limit holds for all that the connection does.
        self.connection = pg8000.native.Connection(
            user, host=host, port=port, password=password, database="shop", timeout=ANSWER_MAX
        )

    def ask(self, statement):
        return [list(map(str, row)) for row in self.connection.run(statement) or []]

    def write(self, writer, row):
        self.ask(f"INSERT INTO written VALUES ({writer}, {row})")


class Valkey:
    """A client of Valkey, as far as a word and a line go."""

    def __init__(self, host, port, *_):
        self.stream = socket.create_connection((host, port), timeout=CONNECT_MAX)
        self.stream.settimeout(ANSWER_MAX)
        self.lines = self.stream.makefile("rb")

    def ask(self, words):
        self.stream.sendall(words.encode() + b"\r\n")
        answer = self.lines.readline().decode().strip()
        if not answer or answer.startswith("-"):
            raise OSError(answer or "the connection is closed")
        return [[answer]]

    def write(self, writer, row):
        self.ask(f"SET {writer}-{row} 1")


CLIENTS = {"mariadb": MariaDb, "postgres": Postgres, "valkey": Valkey}


def write(connect, writers):
    over, printing = threading.Event(), threading.Lock()

    def one(writer):
        client, row = None, 0
        while not over.wait(PAUSE):
            row += 1
            try:
                client = client or connect()
                client.write(writer, row)
            except Exception as error:  # Every driver has errors of its own.
                client = None
                line = {"at": time.monotonic(), "failed": repr(error)[:200]}
            else:
                line = {"at": time.monotonic(), "row": [writer, row]}
            with printing:
                print(json.dumps(line), flush=True)

    # Numbers that no earlier run has used.
    first = int(time.time())
    threads = [threading.Thread(target=one, args=(first * 16 + i,)) for i in range(writers)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()


def main():
    job, engine, host, port, user, password, *rest = sys.argv[1:]

    def connect():
        return CLIENTS[engine](host, int(port), user, password)

    if job == "write":
        write(connect, int(rest[0]))
    elif job == "ask":
        print(json.dumps(connect().ask(rest[0])))
    else:
        # Whether anybody answers there.
        try:
            socket.create_connection((host, int(port)), timeout=CONNECT_MAX).close()
            print("true")
        except OSError:
            print("false")


if __name__ == "__main__":
    main()
