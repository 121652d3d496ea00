#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two users at one socket of fabricd: one is in the group that may have systems, one is not.

Usage: test_users.py BUILD SOURCE. Exits with 77 where a process cannot become another user.
"""
import grp
import json
import os
import pathlib
import pwd
import shutil
import signal
import sys
import tempfile

from test_daemon import ROOT, Connection, Daemon

def become(user):
    os.setgroups([])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)


def in_child(user, work):
    """What `work` returns in a process of that user, by JSON; an OSError of it is raised here."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            become(user)
            said = ["ok", work()]
        except OSError as why:
            said = ["refused", str(why)]
        except BaseException as why:  # it must not go on as this program
            said = ["broken", repr(why)]
        os.write(writer, json.dumps(said).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        kind, value = json.loads(pipe.read())
    os.waitpid(child, 0)
    if kind == "refused":
        raise OSError(value)
    if kind == "broken":
        raise AssertionError(value)
    return value


def ask(user, path, method, resource, body=None):
    """What the daemon answers a process of that user: status and JSON."""
    def work():
        connection = Connection(path)
        connection.request(method, f"{ROOT}{resource}", json.dumps(body) if body else None)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None

    return in_child(user, work)


def two_users():
    """A user, the name of the user's own group, and a user who is not in it; None: there are none."""
    users = [user for user in pwd.getpwall() if user.pw_uid != 0]
    for member in users:
        try:
            group = grp.getgrgid(member.pw_gid)
        except KeyError:
            continue
        for other in users:
            if group.gr_gid not in os.getgrouplist(other.pw_name, other.pw_gid):
                return member, group.gr_name, other
    return None


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def check(label, found, wanted):
    if found != wanted:
        raise AssertionError(f"{label}: {found}, and not {wanted}")


def story(daemon, plain, path, member, other):
    create = {"Name": "train", "Oem": {"Fabric": {"Gpus": 1}}}
    daemon.start()
    daemon.wait_event("node-up")
    check("the other user looks", ask(other, path, "GET", "/Systems")[0], 403)
    check("the other user creates", ask(other, path, "POST", "/Systems", create)[0], 403)
    status, system = ask(member, path, "POST", "/Systems", create)
    check("the member creates", status, 201)
    check("the owner", system["Oem"]["Fabric"]["OwnerUid"], member.pw_uid)
    check("the other user deletes", ask(other, path, "DELETE", "/Systems/train")[0], 403)
    check("it is still there", ask(member, path, "GET", "/Systems/train")[0], 200)
    check("the member deletes", ask(member, path, "DELETE", "/Systems/train")[0], 204)
    daemon.config.write_text(plain)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_notice("RELOADING=1")
    daemon.wait_notice("READY=1")
    check("without a list", ask(other, path, "GET", "/Systems")[0], 200)
    check("its end", daemon.end(signal.SIGTERM), 0)


def main():
    found = two_users()
    if not found:
        skip("this machine knows no two users of different groups")
    member, group, other = found
    for user in (member, other):
        try:
            in_child(user, os.getuid)
        except OSError as why:
            skip(f"no process can be user {user.pw_name} here, as where one uid is mapped: {why}")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="test-fabricd-"))
    daemon = None
    try:
        folder.chmod(0o755)
        daemon = Daemon(folder)
        plain = daemon.config.read_text()
        daemon.config.write_text(plain + f'api : {{ user_group = "{group}"; }};\n')
        story(daemon, plain, folder / "run/api.sock", member, other)
    except BaseException:
        if (folder / "log").exists():
            sys.stderr.write((folder / "log").read_text())
        raise
    finally:
        if daemon:
            daemon.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
