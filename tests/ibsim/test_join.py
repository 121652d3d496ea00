# SPDX-License-Identifier: Apache-2.0
"""Whole racks, from their files to the joined model: machines by hwloc, NVML and sysroot, the fabric by
ibsim, then topo_join().

Usage: test_join.py RACK_PROBE FABRIC_SWEEP RACKS NVML [TEST...]. RACKS: build/<preset>/racks; NVML: softcuda's library.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as ElementTree

import simulator
from simulator import Simulator

PROBE, SWEEP, RACKS, NVML = (pathlib.Path(sys.argv.pop(1)).resolve() for _ in range(4))
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent


def machine(folder, xml=None):
    """What the agent of this host would send."""
    arguments = [PROBE, "machine", folder.name, xml or folder / "hwloc.xml", folder / "sysroot"]
    environment = dict(os.environ)
    if (folder / "softcuda.cfg").is_file():
        arguments.append(NVML)
        environment |= {"SOFTCUDA_CONFIG": str(folder / "softcuda.cfg")}
    run = subprocess.run(arguments, capture_output=True, text=True, env=environment,
                         timeout=simulator.LIMIT_S)
    if run.returncode != 0:
        raise simulator.SimulatorError(f"{arguments}: {run.stdout}{run.stderr}")
    return run.stdout


def machines(rack):
    """{host: record}"""
    folders = sorted((RACKS / rack / "hosts").iterdir())
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return {folder.name: record for folder, record in zip(folders, pool.map(machine, folders))}


def join(sim, records, *arguments):
    """The model, as the manager makes it."""
    (sim.scratch / "records").write_text("".join(records.values()))
    (sim.scratch / "sweep").write_text(sim.run([SWEEP, *arguments]))
    return json.loads(sim.run([PROBE, "join", sim.scratch / "records", sim.scratch / "sweep"]))


def start(rack, attach="r730-1/mlx4_0"):
    sim = Simulator(RACKS / rack / "fabric.net", attach)
    try:
        sim.start_manager()
    except BaseException:
        sim.close()
        raise
    return sim


def cables(model):
    """{"c4130-1/mlx4_0:1": "leaf1[5]", ...}: each HCA port's other end; and those between switches."""
    found = {}
    for cable in model["cables"]:
        ends = [end["thing"] if ":" in end["thing"] else f"{end['thing']}[{end['port']}]"
                for end in (cable["from"], cable["to"])]
        ends.sort(key=lambda end: ":" not in end)
        found[ends[0]] = ends[1]
    return found


def findings(model):
    return sorted((finding["code"], finding["thing"]) for finding in model["findings"])


def by_name(model):
    return {thing["name"]: thing for thing in model["things"]}


def netlist_cables(rack):
    """What cables() should give, from the netlist."""
    expected, node = {}, None
    for line in (RACKS / rack / "fabric.net").read_text().splitlines():
        if match := re.match(r'(Hca|Switch)\s+\d+ "([^"]+)"', line):
            kind, node = match.groups()
        elif match := re.match(r'\[(\d+)\]\s+"([^"]+)"\[(\d+)\]', line):
            port, other, other_port = match.groups()
            if kind == "Hca":
                expected[f"{node}:{port}"] = f"{other}[{other_port}]"
            elif "/" not in other and f"{other}[{other_port}]" not in expected:
                expected[f"{node}[{port}]"] = f"{other}[{other_port}]"
    return expected


def differences(before, after):
    """{name: (before, after)} of the things and of the cables that changed, came or went."""
    return [{name: (old.get(name), new.get(name)) for name in old.keys() | new.keys()
             if old.get(name) != new.get(name)}
            for old, new in ((by_name(before), by_name(after)), (cables(before), cables(after)))]


unittest.TestCase.maxDiff = None  # say all that differs


class Racks(unittest.TestCase):
    def test_joined(self):
        """Every host on its switch and nothing to say, but for what configuration C is like: two of
        its GPUs have no HCA on their socket."""
        far = sorted(("far-gpu", f"c4130-{host}/gpu{gpu}") for host in range(1, 5) for gpu in (2, 3))
        for rack, says in (("demo", []), ("leafspine", far), ("pod", [])):
            with self.subTest(rack), start(rack) as sim:
                model = join(sim, machines(rack), "--counters")
                self.assertEqual(findings(model), says)
                self.assertEqual(cables(model), netlist_cables(rack))
                gpus = [thing for thing in model["things"] if thing["kind"] == "gpu"]
                self.assertEqual(len(gpus), {"demo": 16, "leafspine": 16, "pod": 64}[rack])
                self.assertEqual({len(gpu["rails"]) for gpu in gpus}, {2})


HCA, PORT = "c4130-1/mlx4_0", "c4130-1/mlx4_0:1"


class Faults(unittest.TestCase):
    """Each fault is a finding of the thing it is about, in the next sweep."""

    @classmethod
    def setUpClass(cls):
        cls.records = machines("demo")

    def setUp(self):
        self.sim = start("demo")
        self.addCleanup(self.sim.close)
        self.before = join(self.sim, self.records, "--counters")
        self.assertEqual(findings(self.before), [])
        self.switch_port = cables(self.before)[PORT]
        self.port = re.search(r"\[(\d+)\]", self.switch_port)[1]

    def see(self, *expected):
        """Exactly these; GPUs that lost their near port say so, too."""
        self.assertEqual([row for row in findings(join(self.sim, self.records, "--counters"))
                          if row[0] != "far-gpu"], sorted(expected))

    def test_cable(self):
        """Of a card with one port, and one of two."""
        self.sim.console(f'Unlink "{HCA}"[1]')
        self.see(("hca-not-in-fabric", HCA))
        self.sim.console('Unlink "r730-2/mlx4_0"[2]')
        self.see(("hca-not-in-fabric", HCA), ("link-down", "r730-2/mlx4_0:2"))

    def test_duplicate_guid(self):
        """libibnetdisc makes one node of the two; the other's host misses its HCA."""
        guid = json.loads(self.records["c4130-1"])["hcas"][0]["node_guid"]
        self.sim.console(f'Guid "c4130-2/mlx4_0" {guid}')
        model = join(self.sim, self.records)
        texts = {(row["code"], row["thing"]): row["text"] for row in model["findings"]}
        self.assertIn("its GUID stands twice", texts[("hca-not-in-fabric", "c4130-2/mlx4_0")])
        self.assertIn(self.switch_port, texts[("no-answer", "leaf1")])

    def test_width(self):
        lid = self.sim.run([simulator.tool("smpquery"), "-D", "portinfo", "0,1", "0"])
        lid = re.search(r"^Lid:\.+(\d+)", lid, re.M)[1]
        with self.sim.still():
            self.sim.run([simulator.tool("ibportstate"), lid, self.port, "width", 1])
            self.see(("width-degraded", PORT))

    def test_counters(self):
        for field, code in (("SymbolErrorCounter", "symbol-errors"),
                            ("PortRcvErrors", "receive-errors"),
                            ("LinkErrorRecoveryCounter", "link-recoveries"),
                            ("LinkDownedCounter", "link-downed"),
                            ("PortXmitDiscards", "discards")):
            with self.subTest(code):
                self.sim.console(f'PerformanceSet "{HCA}"[1] PortCounters.{field}=250')
                self.see((code, PORT))
                self.sim.console(f'PerformanceSet "{HCA}"[1] PortCounters.{field}=0')

    def test_silent_node(self):
        self.sim.console(f'Error "{HCA}"[1] 100')
        self.see(("hca-not-in-fabric", HCA), ("no-answer", "leaf1"))

    def test_silent_port(self):
        self.sim.console(f'Error "{HCA}"[1] 100 21')
        self.see(("port-not-active", PORT))

    def test_duplicate_lid(self):
        lid = json.loads(self.records["c4130-1"])["hcas"][0]["ports"][0]["lid"]
        self.assertEqual(lid, 0)  # a host's files do not say it: the subnet manager gives it
        sweep = json.loads((self.sim.scratch / "sweep").read_text())
        lid = next(port["lid"] for port in sweep["ports"] if port["number"] == 1 and
                   sweep["nodes"][port["node"]]["description"] == HCA.replace("/", " "))
        self.sim.console(f'Baselid "c4130-2/mlx4_0"[1] {lid}')
        codes = {code for code, _ in findings(join(self.sim, self.records))}
        self.assertEqual(codes, {"duplicate-lid"})

    def test_stranger(self):
        """A host without an agent."""
        records = {name: record for name, record in self.records.items() if name != "r730-2"}
        self.assertEqual(findings(join(self.sim, records)), [("stranger-in-fabric", None)])

    def test_moved_cable(self):
        """It changes that cable and nothing else."""
        self.sim.console(f'Unlink "{HCA}"[1]', f'Link "{HCA}"[1] "leaf1"[30]')
        model = self.settled()
        self.assertEqual(differences(self.before, model),
                         [{}, {PORT: (self.switch_port, "leaf1[30]")}])
        self.assertEqual(findings(model), [])

    def settled(self):
        """Sweeps until OpenSM has been everywhere. It makes the ends of a cable active one by one."""
        deadline = time.monotonic() + simulator.LIMIT_S
        while True:
            model = join(self.sim, self.records)
            asleep = [cable for cable in model["cables"] if not cable["is_active"]]
            if not asleep:
                return model
            if time.monotonic() > deadline:
                raise simulator.SimulatorError(f"not active: {asleep}\n{self.sim.manager_log()}")
            self.sim.sweep_again()


class Fabrics(unittest.TestCase):
    def test_exchanged_cables(self):
        """On leafspine each leaf is a rail; a host whose two cables are exchanged is told."""
        records = machines("leafspine")
        with start("leafspine") as sim:
            before = join(sim, records)
            ends = [re.fullmatch(r"(.*)\[(\d+)\]", cables(before)[f"{HCA}:{port}"]).groups()
                    for port in (1, 2)]
            sim.console(f'Unlink "{HCA}"[1]', f'Unlink "{HCA}"[2]',
                        f'Link "{HCA}"[1] "{ends[1][0]}"[{ends[1][1]}]',
                        f'Link "{HCA}"[2] "{ends[0][0]}"[{ends[0][1]}]')
            model = join(sim, records)
        told = [row for row in findings(model) if row[0] == "miscabled"]
        self.assertEqual(told, [("miscabled", f"{HCA}:{port}") for port in (1, 2)])

    def test_switches(self):
        """One that is off is gone with its cables; one that hangs, or has another's GUID, is told by
        its neighbours, once a cable."""
        records = machines("leafspine")
        with start("leafspine") as sim:
            before = join(sim, records)
            said = findings(before)
            guid = by_name(before)["spine1"]["guid"]
            trunks = sum("spine2" in pair for pair in map(str, cables(before).items()))
            sim.console('Unlink "spine2"')
            self.assertEqual(findings(join(sim, records)), said)
            sim.console('ReLink "spine2"', *(f'Error "spine2"[{port}] 100'
                                             for port in range(trunks + 1)))
            told = [row for row in findings(join(sim, records)) if row[0] == "no-answer"]
            self.assertEqual(told, [("no-answer", f"leaf{leaf}") for leaf in (1, 2)
                                    for _ in range(trunks // 2)])
            sim.console(*(f'Error "spine2"[{port}] 0' for port in range(trunks + 1)),
                        f'Guid "spine2" {guid}')
            self.assertIn("no-answer", {code for code, _ in findings(join(sim, records))})

    def test_slow_link(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "slow.net"
            path.write_text(re.sub(rf'("{HCA}".*\n\[1\]\t\S+)', r"\1 s=7 e=0",
                                   (RACKS / "demo" / "fabric.net").read_text()))
            with Simulator(path) as sim:
                sim.start_manager()
                model = join(sim, machines("demo"))
        self.assertEqual(findings(model), [("speed-degraded", PORT)])


class Moved(unittest.TestCase):
    def test_moved_gpu(self):
        """A GPU that sits below the other socket's switch in the XML has the other HCA as its
        nearest; nothing else changes."""
        records = machines("demo")
        folder = RACKS / "demo" / "hosts" / "c4130-1"
        with start("demo") as sim, tempfile.TemporaryDirectory() as scratch:
            before = join(sim, records)
            xml = pathlib.Path(scratch) / "hwloc.xml"
            xml.write_text(self.moved((folder / "hwloc.xml").read_text()))
            after = join(sim, {**records, "c4130-1": machine(folder, xml)})
        things, moved = differences(before, after)
        self.assertEqual((list(things), moved), (["c4130-1/gpu1"], {}), things)
        rails = [[rail["port"] for rail in by_name(model)["c4130-1/gpu1"]["rails"]]
                 for model in (before, after)]
        self.assertEqual(rails, [["c4130-1/mlx4_0:1", "c4130-1/mlx4_1:1"],
                                 ["c4130-1/mlx4_1:1", "c4130-1/mlx4_0:1"]])
        self.assertEqual(findings(after), [])

    @staticmethod
    def moved(text):
        """The downstream port with GPU 0000:04:00.0 goes below the second socket's switch."""
        head, body = text.split("\n", 2)[:2], text.split("\n", 2)[2]
        tree = ElementTree.fromstring(body)
        parents = {child: parent for parent in tree.iter() for child in parent}
        by_bus = {item.get("pci_busid"): item for item in tree.iter("object")}
        port = parents[by_bus["0000:04:00.0"]]
        parents[port].remove(port)
        by_bus["0000:81:00.0"].append(port)
        return "\n".join([*head, ElementTree.tostring(tree, encoding="unicode")])


class Large(unittest.TestCase):
    def test_64_racks(self):
        """1152 hosts, made from one of each kind, joined to 64 racks of fabric."""
        kinds = {"r730": machine(RACKS / "machines" / "hosts" / "r730"),
                 "c4130": machine(RACKS / "machines" / "hosts" / "c4130-c")}
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "big"
            subprocess.run([SOURCE / "configs" / "rack-gen", "big", "16", "2", "64", out],
                           check=True)
            text = (out / "fabric.net").read_text()
            records = {}
            for guid, name in re.findall(r'caguids=0x([0-9a-f]{16})\nHca\t2 "([^/]+)/mlx4_0"', text):
                records[name] = self.named(kinds[name.split("-")[1]], name, int(guid, 16))
            with Simulator(out / "fabric.net") as sim:
                sim.start_manager()
                (sim.scratch / "records").write_text("".join(records.values()))
                began = time.monotonic()
                (sim.scratch / "sweep").write_text(sim.run([SWEEP]))
                swept = time.monotonic() - began
                run = subprocess.run([PROBE, "join", sim.scratch / "records", sim.scratch / "sweep"],
                                     capture_output=True, text=True, timeout=simulator.LIMIT_S)
        self.assertEqual(run.returncode, 0, run.stderr)
        print(f"64 racks: swept in {swept * 1000:.0f} ms; {run.stderr.strip()}", file=sys.stderr)
        model = json.loads(run.stdout)
        self.assertEqual(len([row for row in findings(model) if row[0] != "far-gpu"]), 0)
        self.assertEqual(len([end for end in cables(model) if ":" in end]), 2 * 1152)

    @staticmethod
    def named(record, name, guid):
        record = json.loads(record)
        record["name"] = name
        hca = record["hcas"][0]
        hca["node_guid"], hca["system_guid"] = f"{guid:#018x}", f"{guid + 3:#018x}"
        for port in hca["ports"]:
            port["state"] = "active"
        for i, gpu in enumerate(record["gpus"]):
            gpu["uuid"] = f"GPU-{guid & 0xffffffff:08x}-0000-0000-0000-{i:012x}"
        return json.dumps(record) + "\n"


if __name__ == "__main__":
    if reason := simulator.missing():
        print(f"skipped: {reason}")
        sys.exit(simulator.SKIPPED)
    unittest.main()
