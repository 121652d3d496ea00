# SPDX-License-Identifier: Apache-2.0
"""topology/fabric.h on simulated fabrics: equal to ibnetdiscover, and every fault seen by the next sweep.

Usage: test_discovery.py FABRIC_SWEEP RACKS [TEST...]. RACKS: build/<preset>/racks.
"""
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

import simulator
from fabric import (ACTIVE, DOWN, INIT, NO_GUID, UNKNOWN, changes, from_sweep,
                    ibnetdiscover_links)
from simulator import Simulator, SimulatorError

SWEEP, RACKS = (pathlib.Path(sys.argv.pop(1)).resolve() for _ in range(2))
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
FDR, QDR, X4 = 1704, 1000, 4
GONE = {"state": DOWN, "is_polling": True, "width": 0, "lane_mbps": 0, "peer": None}  # a switch's port without its cable


def netlist(rack):
    return RACKS / rack / "fabric.net"


def discover(sim, *arguments):
    return from_sweep(sim.run([SWEEP, *arguments]))


def settle(sim, holds):
    """Sweeps until holds(fabric): what OpenSM does takes its time."""
    deadline = time.monotonic() + simulator.LIMIT_S
    while not holds(found := discover(sim)):
        if time.monotonic() > deadline:
            raise SimulatorError("the fabric did not settle:\n" + sim.manager_log())
        sim.sweep_again()
    return found


def all_active(found):
    return all(facts["state"] == ACTIVE for facts in found.ports.values() if facts["peer"])


class Equal(unittest.TestCase):
    def test_link_for_link(self):
        for rack in ("demo", "leafspine", "pod"):
            with self.subTest(rack), Simulator(netlist(rack)) as sim:
                before = discover(sim)
                self.assertEqual({facts["state"] for facts in before.ports.values()
                                  if facts["peer"]}, {INIT}, "without a subnet manager")
                sim.start_manager()
                found = settle(sim, all_active)
                links = ibnetdiscover_links(sim.run([simulator.tool("ibnetdiscover")]))
                self.assertEqual(found.links(), links)
                self.assertEqual({port: facts["peer"] for port, facts in before.ports.items()},
                                 {port: facts["peer"] for port, facts in found.ports.items()})
                self.assertEqual(len(links),
                                 len(re.findall(r"^\[", netlist(rack).read_text(), re.M)))
                for _, _, lid, width, lane in links:
                    self.assertEqual((lid > 0, width, lane), (True, X4, FDR))

    def test_hosts_by_guid(self):
        """Each HCA of each host's XML is on the fabric, and hangs on the switch of its rail."""
        with Simulator(netlist("leafspine")) as sim:
            found = discover(sim)
        by_guid = {facts["guid"]: name for name, facts in found.nodes.items()}
        for folder in (RACKS / "leafspine" / "hosts").iterdir():
            text = (folder / "hwloc.xml").read_text()
            guids = ["0x" + guid.replace(":", "")
                     for guid in re.findall(r'name="NodeGUID" value="([^"]+)"', text)]
            self.assertEqual([by_guid[guid] for guid in guids], [f"{folder.name}/mlx4_0"])
            for port in (1, 2):
                peer = found.ports[(f"{folder.name}/mlx4_0", port)]["peer"]
                self.assertEqual(peer[0], f"leaf{port}")


HCA, OTHER = "c4130-1/mlx4_0", "c4130-2/mlx4_0"


class Faults(unittest.TestCase):
    """On leafspine, seen from r730-1. Each fault changes what it should and nothing else."""

    def setUp(self):
        self.sim = Simulator(netlist("leafspine"), attach="r730-1/mlx4_0")
        self.addCleanup(self.sim.close)
        self.sim.start_manager()
        self.before = settle(self.sim, all_active)
        self.leaf, self.other_leaf = (self.before.ports[(HCA, port)]["peer"] for port in (1, 2))

    def see(self, nodes, ports):
        """The next sweep finds exactly this."""
        self.assertEqual(changes(self.before, discover(self.sim)), (nodes, ports))

    def same_again(self):
        self.assertEqual(changes(self.before, settle(
            self.sim, lambda found: changes(self.before, found) == ({}, {}))), ({}, {}))

    def test_cable(self):
        self.sim.console(f'Unlink "{HCA}"[1]')
        self.see({}, {self.leaf: GONE, (HCA, 1): {**GONE, "guid": NO_GUID}})
        self.sim.console(f'ReLink "{HCA}"[1]')
        self.same_again()  # the LIDs too

    def test_node(self):
        self.sim.console(f'Unlink "{HCA}"')
        self.see({HCA: "gone"}, {self.leaf: GONE, self.other_leaf: GONE})
        self.sim.console(f'ReLink "{HCA}"')
        self.same_again()

    def test_switch(self):
        cables = [facts["peer"] for (name, _), facts in self.before.ports.items()
                  if name == "spine1" and facts["peer"]]
        self.sim.console('Unlink "spine1"')
        self.see({"spine1": "gone"}, {port: GONE for port in cables})
        self.sim.console('ReLink "spine1"')
        self.same_again()

    def test_counters(self):
        # ibsim's name, ours, the value set and what is read: the widths are those of the fields
        rows = [("PortCounters.SymbolErrorCounter", "symbol_errors", 1234, 1234),
                ("PortCounters.LinkDownedCounter", "link_downed", 3, 3),
                ("PortCounters.LinkErrorRecoveryCounter", "link_recoveries", 255, 255),
                ("PortCounters.PortRcvErrors", "receive_errors", 65535, 65535),
                ("PortCounters.PortXmitDiscards", "transmit_discards", 17, 17),
                ("PortCounters.PortXmitWait", "transmit_wait", 4294967295, 4294967295),
                ("PortCountersExtended.PortXmitData", "transmit_bytes", 1 << 40, 1 << 42)]
        name, number = port = self.leaf
        before = discover(self.sim, "--counters").counters
        self.sim.console(*(f'PerformanceSet "{name}"[{number}] {field}={value}'
                           for field, _, value, _ in rows))
        found = discover(self.sim, "--counters")
        self.assertEqual(changes(self.before, found), ({}, {}))
        self.assertEqual(found.counters.keys(), {port for port, facts in self.before.ports.items()
                                                 if facts["state"] == ACTIVE})
        for _, ours, _, value in rows:
            if ours == "transmit_bytes":  # our own packets move it
                self.assertTrue(value <= found.counters[port][ours] < value + (1 << 20))
            else:
                self.assertEqual(found.counters[port][ours], value, ours)
        moving = ("transmit_bytes", "receive_bytes")
        for other in found.counters.keys() - {port}:
            self.assertEqual({key: value for key, value in found.counters[other].items()
                              if key not in moving},
                             {key: value for key, value in before[other].items()
                              if key not in moving})
        self.assertEqual(discover(self.sim).counters, {})

    def test_width_lost(self):
        name, number = self.leaf
        lid = self.before.nodes[name]["lid"]
        ibportstate = [simulator.tool("ibportstate"), lid, number, "width"]
        with self.sim.still():  # or its sweep writes back the width that it has read, for good
            self.sim.run([*ibportstate, 1])
            self.see({}, {self.leaf: {"width": 1, "enabled_mbps": FDR}, (HCA, 1): {"width": 1}})
            self.sim.run([*ibportstate, 3])
        self.same_again()

    def test_packets_lost(self):
        """The node stays known through its other port; its cable leads to nobody."""
        self.sim.console(f'Error "{HCA}"[1] 100')
        self.see({}, {self.leaf: {"peer": None}, (HCA, 1): {"guid": NO_GUID, "peer": None}})
        self.sim.console(f'Error "{HCA}"[1] 0')
        self.same_again()

    def test_node_silent(self):
        self.sim.console(f'Error "{HCA}"[1] 100', f'Error "{HCA}"[2] 100')
        self.see({HCA: "gone"}, {self.leaf: {"peer": None}, self.other_leaf: {"peer": None}})

    def test_port_info_lost(self):
        self.sim.console(f'Error "{HCA}"[1] 100 21')
        self.see({}, {(HCA, 1): {"lid": 0, "state": UNKNOWN, "width": 0, "lane_mbps": 0, "enabled_mbps": 0}})

    def test_swapped_cables(self):
        (name, port), (other_name, other_port) = self.leaf, self.before.ports[(OTHER, 1)]["peer"]
        self.sim.console(f'Unlink "{HCA}"[1]', f'Unlink "{OTHER}"[1]',
                         f'Link "{HCA}"[1] "{other_name}"[{other_port}]',
                         f'Link "{OTHER}"[1] "{name}"[{port}]')
        settle(self.sim, all_active)
        self.see({}, {self.leaf: {"peer": (OTHER, 1)}, (OTHER, 1): {"peer": self.leaf},
                      (other_name, other_port): {"peer": (HCA, 1)},
                      (HCA, 1): {"peer": (other_name, other_port)}})

    def test_wrong_lid(self):
        self.sim.console(f'Baselid "{HCA}"[1] 77')
        self.see({}, {(HCA, 1): {"lid": 77}})

    def test_duplicate_guid(self):
        """Two nodes are one for libibnetdisc. A cable that is active and leads nowhere is left."""
        guid = self.before.nodes[HCA]["guid"]
        self.sim.console(f'Guid "{OTHER}" {guid}')
        found = discover(self.sim)
        self.assertEqual(changes(self.before, found)[0].keys() & {HCA, OTHER}, {OTHER})
        ends = [found.ports[self.before.ports[(name, 1)]["peer"]] for name in (HCA, OTHER)]
        self.assertEqual([end["state"] for end in ends], [ACTIVE, ACTIVE])
        self.assertEqual(sum(end["peer"] is None for end in ends), 1)


class Sources(unittest.TestCase):
    def test_speed_lost(self):
        """One end without FDR. ibsim then takes FDR from what either end says it can, so that the
        speed itself, below that of all other links, is what shows it."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "slow.net"
            text, count = re.subn(rf'("{HCA}".*\n\[1\]\t\S+)', r"\1 s=7 e=0",
                                  netlist("leafspine").read_text())
            self.assertEqual(count, 1)
            path.write_text(text)
            with Simulator(path) as sim:
                sim.start_manager()
                found = settle(sim, all_active)
        slow = {(HCA, 1), found.ports[(HCA, 1)]["peer"]}
        for port, facts in found.ports.items():
            if facts["peer"]:
                lane = QDR if port in slow else FDR
                self.assertEqual((facts["width"], facts["lane_mbps"], facts["enabled_mbps"]),
                                 (X4, lane, X4 * lane), port)

    def test_refusals(self):
        with Simulator(netlist("demo"), attach="c4130-1/mlx4_0") as sim:
            sim.start_manager()
            for arguments, says in ((["--hca", "mlx5_0"], "mlx5_0 has no InfiniBand port with a link"),
                                    (["--port", "2"], "this machine has no InfiniBand port 2 with")):
                with self.assertRaisesRegex(SimulatorError, f"{says}.*FAB_ERR_NOT_FOUND"):
                    sim.run([SWEEP, *arguments])
            for arguments in (["--port", "256"], ["--timeout-ms", "x"], ["--all"], ["more"]):
                with self.assertRaisesRegex(SimulatorError, "exit status 2"):
                    sim.run([SWEEP, *arguments])
            self.assertEqual(len(discover(sim, "--hca", "ibsim0", "--port", "1").nodes), 11)
            sim.console('Unlink "c4130-1/mlx4_0"[1]')
            with self.assertRaisesRegex(SimulatorError, "FAB_ERR_NOT_FOUND"):
                sim.run([SWEEP])

    def test_no_hca(self):
        run = subprocess.run([SWEEP], capture_output=True, text=True)
        if run.returncode == 0:
            self.skipTest("this machine has an InfiniBand fabric")
        self.assertEqual((run.returncode, "FAB_ERR_NOT_FOUND" in run.stderr), (1, True))


class Simulators(unittest.TestCase):
    def test_several_at_once(self):
        racks = ["demo", "leafspine", "pod", "demo"]
        sims = []
        try:
            for rack in racks:
                sims.append(Simulator(netlist(rack)))
            for sim in sims:
                sim.start_manager()
            sims[0].console('Unlink "leaf1"[3]')
            found = [discover(sim) for sim in sims]
        finally:
            for sim in sims:
                sim.close()
        self.assertEqual([len(one.nodes) for one in found], [11, 10, 36, 11])
        self.assertEqual([one.ports[("leaf1", 3)]["peer"] is None for one in found],
                         [True, False, False, False])

    def test_killed(self):
        """Whatever becomes of the script, nothing stays. In a folder of our own: simulators of other
        tests remove, too, what was left."""
        top = tempfile.TemporaryDirectory()
        self.addCleanup(top.cleanup)
        self.enterContext(unittest.mock.patch.object(tempfile, "tempdir", top.name))
        script = subprocess.Popen([sys.executable, simulator.__file__, netlist("demo"), "sh", "-c",
                                   "pwd; exec cat"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": top.name})
        folder = script.stdout.readline().decode().strip()
        children = pathlib.Path(f"/proc/{script.pid}/task/{script.pid}/children").read_text().split()
        self.assertEqual(len(children), 3)  # ibsim, OpenSM, the command
        ends = [os.pidfd_open(int(child)) for child in children]
        script.send_signal(signal.SIGKILL)
        script.wait()
        for end in ends:
            self.assertTrue(select.select([end], [], [], simulator.LIMIT_S)[0])
            os.close(end)
        script.stdin.close()
        script.stdout.close()
        left = pathlib.Path(folder)
        self.assertTrue(left.is_dir())
        with Simulator(netlist("demo")) as sim:
            self.assertFalse(left.exists())
            Simulator(netlist("demo")).close()
            self.assertTrue(sim.scratch.is_dir())  # one in use stays

    def test_script(self):
        """Exit status, console, and a netlist that is none."""
        run = subprocess.run([sys.executable, simulator.__file__, netlist("demo"), "sh", "-c",
                              f"{SWEEP}; exit 3"], capture_output=True, text=True)
        self.assertEqual((run.returncode, len(from_sweep(run.stdout).nodes)), (3, 11))
        run = subprocess.run([sys.executable, simulator.__file__, __file__, "true"],
                             capture_output=True, text=True)
        self.assertEqual(run.returncode, 1)


class Large(unittest.TestCase):
    def test_64_racks(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "big"
            subprocess.run([SOURCE / "configs" / "rack-gen", "big", "16", "2", "64", out],
                           check=True)
            with Simulator(out / "fabric.net") as sim:
                sim.start_manager()
                start = time.monotonic()
                found = discover(sim)
                spent = time.monotonic() - start
                links = ibnetdiscover_links(sim.run([simulator.tool("ibnetdiscover")]))
        self.assertEqual(len(found.nodes), 1152 + 290)
        self.assertEqual(found.links(), links)
        print(f"64 racks: {len(links) // 2} links swept, printed and read in {spent:.2f} s",
              file=sys.stderr)


if __name__ == "__main__":
    if reason := simulator.missing():
        print(f"skipped: {reason}")
        sys.exit(simulator.SKIPPED)
    unittest.main()
