#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `./setup rack up`, `shell` and `down` do: a rack that stands until it is ended, beside others.

    test_standing.py BIN

Exit status: 0, 1 with what was wrong, 77 where the machine forbids namespaces.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
LIMIT_S = 120


class Rack:
    def __init__(self, bin_dir, folder):
        self.bin_dir, self.environment = bin_dir, {**os.environ, "RACK_STANDING": str(folder)}

    def call(self, *arguments, status=0, says=""):
        done = subprocess.run([HERE / "soft_rack.py", "--bin", self.bin_dir, *arguments], text=True,
                              env=self.environment, capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=LIMIT_S, check=False)
        said = done.stdout + done.stderr
        if done.returncode == 77:
            print(said)
            sys.exit(77)
        assert done.returncode == status and says in said, f"{arguments}: {done.returncode}: {said}"
        return done.stdout


def check(rack):
    rack.call("shell", "r730-1", "true", status=1, says="no rack is standing; ./setup rack up makes one")
    rack.call("down", says="no rack is standing")
    rack.call("up", "nowhere", status=1, says="nowhere")
    rack.call("up", "demo", says="The rack is up: 6 hosts, 16 GPUs.")
    try:
        rack.call("up", "demo", status=1, says="a rack is standing already; ./setup rack down ends it")
        for host in ("r730-1", "c4130-4"):
            assert rack.call("shell", host, "hostname") == f"{host}\n"
        gpus = json.loads(rack.call("shell", "r730-2", "compose", "gpu", "list", "--json"))
        assert [gpu["state"] for gpu in gpus] == ["free"] * 16, gpus
        rack.call("shell", "r730-1", "sh", "-c", "exit 3", status=3)
        rack.call("shell", "r730-9", status=1, says="the rack has no host 'r730-9'; it has c4130-1, ")
    finally:
        rack.call("down")
    rack.call("shell", "r730-1", "true", status=1, says="no rack is standing")


def main(bin_dir):
    with tempfile.TemporaryDirectory(prefix="test-standing-") as folder:
        check(Rack(bin_dir, folder))
        pid = (pathlib.Path(folder) / "pid")
        assert not pid.exists(), f"{pid.read_text()} is left"
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except AssertionError as error:
        print(error)
        sys.exit(1)
