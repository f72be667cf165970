#!/usr/bin/python3 -IS
"""Runs a machine's user data once for each instance id.

Understands scripts (#!), #cloud-config with the keys in CONFIG_KEYS, MIME multipart of these, and
gzip of any. What it does not understand it refuses, loudly, on the console. As `cloud-init` it
answers `cloud-init status [--wait]`.

Only a few modules are imported at the top: a machine whose user data is a script, or has none,
should not wait for the others.
"""

import os
import subprocess
import sys
import time

METADATA = "169.254.169.254"
STATE = "/var/lib/cloud"
LOG = "/var/log/cloud-init-output.log"
RESULT = "/run/skyhold/result"

# The keys of #cloud-config that are honoured, in the order that they are worked on.
CONFIG_KEYS = [
    "bootcmd",
    "write_files",
    "hostname",
    "fqdn",
    "preserve_hostname",
    "timezone",
    "users",
    "ssh_authorized_keys",
    "package_update",
    "package_upgrade",
    "packages",
    "runcmd",
    "final_message",
]
USER_KEYS = [
    "name", "gecos", "groups", "shell", "sudo", "ssh_authorized_keys", "lock_passwd",
    "no_create_home", "homedir", "uid", "system",
]
FILE_KEYS = ["path", "content", "encoding", "owner", "permissions", "append", "defer"]


class Refused(Exception):
    """User data that cannot be honoured."""


class Output:
    """Writes to the log, and to the console that get-console-output shows."""

    def __init__(self):
        self.targets = [os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)]
        try:
            self.targets.append(os.open("/dev/console", os.O_WRONLY | os.O_NOCTTY))
        except OSError:
            pass

    def write(self, data):
        for target in self.targets:
            try:
                os.write(target, data)
            except OSError:
                pass

    def say(self, text):
        self.write(("skyhold-first-boot: %s\n" % text).encode())


def metadata(path, method="GET", headers=None):
    """The body of a metadata document, or None when there is none."""
    import socket

    lines = ["%s /latest/%s HTTP/1.0" % (method, path), "Host: " + METADATA]
    lines += ["%s: %s" % pair for pair in (headers or {}).items()]
    if method == "PUT":
        lines.append("Content-Length: 0")
    connection = socket.create_connection((METADATA, 80), timeout=10)
    with connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = b""
        while True:
            chunk = connection.recv(65536)
            if not chunk:
                break
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if status == 404:
        return None
    if status != 200:
        raise Refused("the metadata service answered %d for %s" % (status, path))
    if b"transfer-encoding: chunked" in head.lower():
        body = unchunk(body)
    return body


def unchunk(body):
    plain = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        count = int(size.split(b";")[0], 16)
        if count == 0:
            break
        plain += body[:count]
        body = body[count + 2:]
    return plain


def run(output, command, **options):
    """Runs a command with its output on log and console; returns its exit code."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    while True:
        data = os.read(process.stdout.fileno(), 65536)
        if not data:
            break
        output.write(data)
    return process.wait()


class Machine:
    """Works off user data for one instance."""

    def __init__(self, output, instance):
        self.output = output
        self.home = "%s/instances/%s" % (STATE, instance)
        self.scripts = self.home + "/scripts"
        self.failures = []
        os.makedirs(self.scripts, exist_ok=True)
        os.makedirs(self.home + "/sem", exist_ok=True)
        link = STATE + "/instance"
        if os.path.islink(link):
            os.unlink(link)
        os.symlink(self.home, link)

    def fail(self, text):
        self.failures.append(text)
        self.output.say("ERROR: " + text)

    def work(self, data):
        """All of it; scripts come after configuration, as cloud-init does it."""
        with open(os.open(self.home + "/user-data.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        scripts = []
        for kind, content in parts(data):
            try:
                if kind == "script":
                    scripts.append(content)
                elif kind == "config":
                    self.configure(content)
                else:
                    raise Refused(kind)
            except Refused as refusal:
                self.fail(str(refusal))
        for number, content in enumerate(scripts, 1):
            self.script(number, content)

    def script(self, number, content):
        path = "%s/part-%03d" % (self.scripts, number)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o700), "wb") as file:
            file.write(content)
        try:
            code = run(self.output, [path], cwd="/")
        except OSError as error:
            self.fail("cannot run the script part-%03d: %s" % (number, error))
            return
        if code != 0:
            self.fail("the script part-%03d ended with %d" % (number, code))

    def configure(self, content):
        sys.path.append("/usr/lib/python3/dist-packages")
        import yaml

        try:
            config = yaml.safe_load(content.decode()) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise Refused("#cloud-config is not YAML: %s" % error)
        if not isinstance(config, dict):
            raise Refused("#cloud-config must be a mapping")
        unknown = sorted(str(key) for key in config if key not in CONFIG_KEYS)
        if unknown:
            raise Refused("#cloud-config keys that this image does not support: " + ", ".join(unknown))
        for key in CONFIG_KEYS:
            if key in config:
                try:
                    getattr(self, "do_" + key)(config[key])
                except (Refused, OSError, KeyError, TypeError, ValueError) as error:
                    self.fail("%s: %s" % (key, error))

    def commands(self, name, value):
        """A list of commands becomes one script: strings are shell, lists are argument vectors."""
        import shlex

        lines = ["#!/bin/sh"]
        for entry in value:
            if isinstance(entry, str):
                lines.append(entry)
            elif isinstance(entry, list):
                lines.append(" ".join(shlex.quote(str(word)) for word in entry))
            else:
                raise Refused("a command must be a string or a list: %r" % (entry,))
        path = self.scripts + "/" + name
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o700), "w") as file:
            file.write("\n".join(lines) + "\n")
        code = run(self.output, [path], cwd="/")
        if code != 0:
            raise Refused("ended with %d" % code)

    def do_bootcmd(self, value):
        self.commands("bootcmd", value)

    def do_runcmd(self, value):
        self.commands("runcmd", value)

    def do_write_files(self, value):
        import base64
        import gzip
        import shutil

        for entry in value:
            unknown = sorted(key for key in entry if key not in FILE_KEYS)
            if unknown:
                raise Refused("unknown keys: " + ", ".join(unknown))
            content = entry.get("content", "")
            content = content.encode() if isinstance(content, str) else bytes(content)
            encoding = entry.get("encoding", "text/plain")
            if encoding in ("b64", "base64"):
                content = base64.b64decode(content)
            elif encoding in ("gz", "gzip"):
                content = gzip.decompress(content)
            elif encoding in ("gz+b64", "gz+base64", "gzip+b64", "gzip+base64"):
                content = gzip.decompress(base64.b64decode(content))
            elif encoding != "text/plain":
                raise Refused("unknown encoding %r" % encoding)
            path = entry["path"]
            os.makedirs(os.path.dirname(path) or "/", exist_ok=True)
            with open(path, "ab" if entry.get("append") else "wb") as file:
                file.write(content)
            os.chmod(path, int(str(entry.get("permissions", "0644")), 8))
            user, _, group = str(entry.get("owner", "root:root")).partition(":")
            shutil.chown(path, user, group or None)

    def do_hostname(self, value):
        with open("/etc/hostname", "w") as file:
            file.write(value + "\n")
        import socket

        socket.sethostname(value)

    def do_fqdn(self, value):
        self.do_hostname(value.split(".")[0])

    def do_preserve_hostname(self, value):
        if value:
            raise Refused("the host name comes from the instance at each start")

    def do_timezone(self, value):
        if not os.path.exists("/usr/share/zoneinfo/" + value):
            raise Refused("no time zone %r in this image" % value)
        os.unlink("/etc/localtime") if os.path.lexists("/etc/localtime") else None
        os.symlink("/usr/share/zoneinfo/" + value, "/etc/localtime")

    def do_users(self, value):
        for entry in value:
            if entry == "default":
                continue
            if isinstance(entry, str):
                entry = {"name": entry}
            unknown = sorted(key for key in entry if key not in USER_KEYS)
            if unknown:
                raise Refused("unknown keys: " + ", ".join(unknown))
            self.user(entry)

    def user(self, entry):
        name = entry["name"]
        command = ["useradd", "--shell", entry.get("shell", "/bin/bash")]
        command.append("--no-create-home" if entry.get("no_create_home") else "--create-home")
        if "gecos" in entry:
            command += ["--comment", entry["gecos"]]
        if "homedir" in entry:
            command += ["--home-dir", entry["homedir"]]
        if "uid" in entry:
            command += ["--uid", str(entry["uid"])]
        if entry.get("system"):
            command.append("--system")
        groups = entry.get("groups", [])
        groups = groups if isinstance(groups, list) else groups.replace(" ", "").split(",")
        for group in groups:
            subprocess.call(["groupadd", "--force", group])
        if groups:
            command += ["--groups", ",".join(groups)]
        if subprocess.call(["id", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) != 0:
            if run(self.output, command + [name]) != 0:
                raise Refused("cannot make the user %r" % name)
        if not entry.get("lock_passwd", True):
            run(self.output, ["passwd", "--unlock", name])
        rules = entry.get("sudo") or []
        rules = rules if isinstance(rules, list) else [rules]
        if rules:
            with open(os.open("/etc/sudoers.d/90-cloud-init-users", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o440), "w") as file:
                file.writelines("%s %s\n" % (name, rule) for rule in rules)
        authorize(name, entry.get("ssh_authorized_keys", []))

    def do_ssh_authorized_keys(self, value):
        for user in ("admin", "ec2-user"):
            authorize(user, value)

    def do_package_update(self, value):
        if value:
            self.packages(["update"])

    def do_package_upgrade(self, value):
        if value:
            self.packages(["update"])
            self.packages(["-y", "dist-upgrade"])

    def do_packages(self, value):
        names = []
        for entry in value:
            if isinstance(entry, list):
                names.append("=".join(str(part) for part in entry))
            else:
                names.append(str(entry))
        self.packages(["update"])
        self.packages(["-y", "install"] + names)

    def packages(self, arguments):
        env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        base = ["apt-get", "-q", "-o", "Dpkg::Options::=--force-confold"]
        if run(self.output, base + arguments, env=env) != 0:
            raise Refused("apt-get %s failed" % " ".join(arguments))

    def do_final_message(self, value):
        self.output.say(str(value))


def up():
    """Seconds since this machine's first process started; /proc/uptime tells the host's."""
    with open("/proc/1/stat") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def authorize(name, keys):
    import pwd

    if not keys:
        return
    user = pwd.getpwnam(name)
    folder = user.pw_dir + "/.ssh"
    path = folder + "/authorized_keys"
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as file:
        file.writelines(key.rstrip("\n") + "\n" for key in keys)
    for made in (folder, path):
        os.chown(made, user.pw_uid, user.pw_gid)


def parts(data):
    """The parts of user data: ("script" | "config" | a reason to refuse, content)."""
    if data[:2] == b"\x1f\x8b":
        import gzip

        data = gzip.decompress(data)
    start = data.lstrip()[:64].lower()
    if data.startswith(b"#!"):
        return [("script", data)]
    if data.startswith(b"#cloud-config"):
        return [("config", data)]
    if start.startswith((b"content-type: multipart", b"mime-version:")):
        return multipart(data)
    if not data.strip():
        return []
    first = data.split(b"\n", 1)[0][:60].decode(errors="replace")
    return [("user data of an unknown kind: it begins with %r" % first, b"")]


def multipart(data):
    import email

    found = []
    for part in email.message_from_bytes(data).walk():
        if part.is_multipart():
            continue
        content = part.get_payload(decode=True)
        kind = part.get_content_type()
        if kind in ("text/x-shellscript", "text/x-sh"):
            found.append(("script", content))
        elif kind == "text/cloud-config":
            found.append(("config", content))
        elif kind in ("text/plain", "application/octet-stream"):
            found += parts(content)
        else:
            found.append(("a part of the unknown type %s" % kind, b""))
    return found


def status(arguments):
    """`cloud-init status [--wait]`."""
    if arguments[:1] != ["status"] or any(word not in ("--wait", "-w") for word in arguments[1:]):
        sys.exit("this image only knows `cloud-init status [--wait]`")
    while not os.path.exists(RESULT) and len(arguments) > 1:
        time.sleep(0.1)
    try:
        with open(RESULT) as file:
            result = file.read().strip()
    except FileNotFoundError:
        result = "running"
    print("status: " + result)
    sys.exit(1 if result == "error" else 0)


def main():
    if len(sys.argv) > 1:
        status(sys.argv[1:])
    output = Output()
    with open("/run/skyhold/instance-id") as file:
        instance = file.read().strip()
    machine = Machine(output, instance)
    done = machine.home + "/sem/user-data"
    if not os.path.exists(done):
        # Before the work, so that user data which restarts the machine does not run for ever.
        open(done, "w").close()
        try:
            token = metadata("api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "21600"})
            data = metadata("user-data", headers={"X-aws-ec2-metadata-token": token.decode()})
            machine.work(data or b"")
        except (Refused, OSError) as error:
            machine.fail("cannot read the user data: %s" % error)
        when = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
        output.say("finished at %s. Datasource EC2 (IMDSv2). Up %.2f seconds" % (when, up()))
    with open(RESULT + ".new", "w") as file:
        file.write("error\n" if machine.failures else "done\n")
    os.rename(RESULT + ".new", RESULT)
    open(STATE + "/instance/boot-finished", "w").close()
    sys.exit(1 if machine.failures else 0)


main()
