"""The LAMP blueprint's site as its visitors see it: names by the region's DNS, pages by HTTP."""

import contextlib
import http.client
import json
import re
import socket
import struct
import threading
import time
import urllib.parse

RESOLVER = ("198.18.0.3", 53)


def resolve(name: str, seconds: float = 1) -> list[str]:
    """The addresses that the region's DNS gives; none while nobody answers."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    query = struct.pack(">HHHHHH", 1, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(seconds)
            asking.connect(RESOLVER)
            asking.send(query)
            answer = asking.recv(4096)
    except OSError:
        return []
    count, place, found = struct.unpack(">H", answer[6:8])[0], len(query), []
    for _ in range(count):
        # An answer's name is a pointer to the question's, or to an alias before it.
        while answer[place] and answer[place] < 0xC0:
            place += answer[place] + 1
        place += 2 if answer[place] else 1
        kind, _, _, length = struct.unpack(">HHIH", answer[place : place + 10])
        place += 10
        if kind == 1:
            found.append(socket.inet_ntoa(answer[place : place + 4]))
        place += length
    return found


class Answer:
    """What came back for one request."""

    def __init__(self, got: http.client.HTTPResponse):
        self.status = got.status
        self.headers = got.headers
        self.text = got.read().decode(errors="replace")

    @property
    def zones(self) -> tuple[str, str]:
        """Where the web and the app server are that made this page."""
        return self.headers.get("X-Web-Zone", ""), self.headers.get("X-App-Zone", "")


class Lamp:
    """A deployed LAMP stack."""

    def __init__(self, region, stack: str = "lamp"):
        self.region, self.stack = region, stack
        region.command("demo", "lamp", "--stack", stack)
        described = region.client("cloudformation").describe_stacks(StackName=stack)
        outputs = described["Stacks"][0]["Outputs"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in outputs}
        self.name = self.outputs["WebLoadBalancerName"]
        secrets = region.client("secretsmanager")
        secret = secrets.get_secret_value(SecretId=self.outputs["LoginSecret"])["SecretString"]
        self.login = json.loads(secret)

    def ask(self, path: str = "/", form: dict | None = None, cookie: str = "") -> Answer:
        """One request, to the first address of the name that takes a connection."""
        addresses = resolve(self.name)
        fault: OSError = ConnectionError(f"{self.name} has no address")
        for address in addresses:
            talk = http.client.HTTPConnection(address, 80, timeout=1)
            try:
                talk.connect()
            except OSError as error:
                fault = error
                continue
            with contextlib.closing(talk):
                talk.sock.settimeout(10)
                headers = {"Host": self.name, "Cookie": cookie}
                if form is None:
                    talk.request("GET", path, headers=headers)
                else:
                    headers["Content-Type"] = "application/x-www-form-urlencoded"
                    talk.request("POST", path, urllib.parse.urlencode(form), headers)
                return Answer(talk.getresponse())
        raise fault

    def answers(self, path: str = "/") -> bool:
        try:
            return self.ask(path).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def facts(self) -> dict | None:
        """What `/api/status` tells of the whole chain, if all of it is there."""
        try:
            answer = self.ask("/api/status")
        except (OSError, http.client.HTTPException):
            return None
        return json.loads(answer.text) if answer.status == 200 else None

    def rows(self, where: str) -> list[str]:
        """The newest rows of the `writer` or the `reader`."""
        try:
            told = json.loads(self.ask("/api/status").text)[where]
        except (OSError, ValueError, http.client.HTTPException):
            return []
        return [entry["body"] for entry in told.get("entries", [])]

    def write(self, text: str) -> bool:
        """Logs in and writes a row; says whether the site took it."""
        try:
            page = self.ask()
            cookie = page.headers.get("Set-Cookie", "").split(";")[0]
            entered = self.post(page, cookie, action="login", name=self.login["username"],
                                password=self.login["password"])
            cookie = entered.headers.get("Set-Cookie", cookie).split(";")[0]
            return self.post(self.ask(cookie=cookie), cookie, action="write", body=text).status == 303
        except (OSError, http.client.HTTPException):
            return False

    def post(self, page: Answer, cookie: str, **form: str) -> Answer:
        token = re.search(r'name="token" value="([0-9a-f]+)"', page.text)
        if token is None:
            raise ConnectionError("the page has no form: its session is not available")
        return self.ask("/", {"token": token[1], **form}, cookie)

    def watch(self) -> "Watch":
        return Watch(self)


class Watch:
    """Visitors that ask for the page again and again, until the block ends."""

    VISITORS = 4
    PERIOD = 0.1

    def __init__(self, site: Lamp):
        self.site = site
        self.seen: list[tuple[float, float, Answer | None]] = []
        self.done = threading.Event()
        self.visitors = [threading.Thread(target=self.visit) for _ in range(self.VISITORS)]

    def __enter__(self) -> "Watch":
        for visitor in self.visitors:
            visitor.start()
        return self

    def __exit__(self, *_) -> None:
        self.done.set()
        for visitor in self.visitors:
            visitor.join()

    def visit(self) -> None:
        while not self.done.wait(self.PERIOD):
            asked, answer = time.monotonic(), None
            try:
                got = self.site.ask()
                answer = got if got.status == 200 else None
            except (OSError, http.client.HTTPException):
                pass
            self.seen.append((asked, time.monotonic(), answer))

    def outage(self) -> float:
        """The longest time in which nobody got a page."""
        times = sorted(end for _, end, answer in list(self.seen) if answer)
        return max((later - sooner for sooner, later in zip(times, times[1:])), default=0)

    def told(self, since: float = 0, until: float = float("inf")) -> str:
        """How requests fared that were begun in between."""
        mine = [one for one in list(self.seen) if since <= one[0] < until]
        took = sorted(end - begun for begun, end, answer in mine if answer)
        if not took:
            return f"{len(mine)} requests, none answered"
        at = lambda part: f"{took[min(int(len(took) * part), len(took) - 1)] * 1000:.0f} ms"
        return (f"{len(mine)} requests, {len(mine) - len(took)} failed, "
                f"median {at(0.5)}, 95 % {at(0.95)}, longest {at(1)}")

    def median(self, since: float, until: float) -> float:
        took = sorted(end - begun for begun, end, answer in list(self.seen)
                      if answer and since <= begun < until)
        return took[len(took) // 2]
