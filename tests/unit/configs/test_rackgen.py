# SPDX-License-Identifier: Apache-2.0
"""Tests of configs/rack-gen: what it makes agrees with itself, and wrong descriptions are refused.

Usage: test_rackgen.py SOURCE_FOLDER
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

SOURCE = pathlib.Path(sys.argv.pop(1))
CONFIGS = SOURCE / "configs"
sys.path.insert(0, str(CONFIGS))
sys.dont_write_bytecode = True

from rackgen import hwloc_xml, machine, netlist, node, rack, softcuda, sysroot, table  # noqa: E402

MACHINES = CONFIGS / "machines"
RACKS = sorted(path.stem for path in (CONFIGS / "racks").glob("*.toml"))
HCA = "0280 [15b3:1003]"
GPU = re.compile(r"0302 \[10de:")


def load(name):
    return rack.load(CONFIGS / "racks" / f"{name}.toml", MACHINES)


def functions(host):
    """{bus id: (type, buses behind it)} of a host's XML."""
    tree = ElementTree.fromstring(hwloc_xml.emit(host).split("\n", 2)[2])
    return {item.get("pci_busid"): (item.get("pci_type"), item.get("bridge_pci"))
            for item in tree.iter("object") if item.get("pci_busid")}


class Racks(unittest.TestCase):
    # name: hosts, GPUs, switches, cables
    SIZES = {"demo": (6, 16, 1, 12), "leafspine": (6, 16, 4, 28), "pod": (24, 64, 4, 72)}

    def test_sizes(self):
        self.assertEqual(RACKS, sorted(self.SIZES))
        for name, sizes in self.SIZES.items():
            made = load(name)
            ends = [*made.switches, *(hca for host in made.hosts for hca in host.hcas)]
            cables = sum(len(end.cables) for end in ends) // 2
            gpus = sum(len(host.machine.gpus()) for host in made.hosts)
            self.assertEqual((len(made.hosts), gpus, len(made.switches), cables), sizes, name)

    def test_one_guid_in_three_files(self):
        for name in RACKS:
            made = load(name)
            fabric = netlist.emit(made)
            for host in made.hosts:
                tree = ElementTree.fromstring(hwloc_xml.emit(host).split("\n", 2)[2])
                shown = [info.get("value") for info in tree.iter("info")
                         if info.get("name") == "NodeGUID"]
                files = sysroot.emit(made, host)
                self.assertEqual(shown, [files[f"sys/class/infiniband/{hca.name}/node_guid"].strip()
                                         for hca in host.hcas])
                for guid, hca in zip(shown, host.hcas):
                    node_text = f"caguids=0x{guid.replace(':', '')}\nHca\t{hca.ports} \"{hca.id}\""
                    self.assertIn(node_text, fabric)

    def test_gpus_and_hcas_by_bus_id(self):
        for made in map(load, RACKS):
            for host in made.hosts:
                shown = functions(host)
                gpus = [bdf for bdf, (kind, _) in shown.items() if GPU.match(kind)]
                devices = re.findall(r"pci_bus_id = \"([^\"]+)\"", softcuda.emit(host, 0)) \
                    if gpus else []
                self.assertEqual(gpus, devices)
                files = sysroot.emit(made, host)
                for bdf, (kind, _) in shown.items():
                    vendor = "0x" + re.search(r"\[([0-9a-f]{4}):", kind)[1]
                    self.assertEqual(files[f"sys/bus/pci/devices/{bdf}/vendor"].strip(), vendor)
                for hca in host.hcas:
                    self.assertIn(HCA, shown[hca.node.bdf][0])
                    self.assertTrue(files[f"sys/class/infiniband/{hca.name}/device"]
                                    .endswith(hca.node.bdf))

    def test_netlists_are_clean(self):
        for made in [*map(load, RACKS), rack.big(16, 2, 20, MACHINES)]:
            self.assertEqual(list(netlist.problems(netlist.emit(made))), [])

    def test_rails(self):
        made = load("leafspine")
        for host in made.hosts:
            rails = {rail: hca.cables[port][0].name for hca in host.hcas
                     for port, rail in hca.rails.items()}
            self.assertEqual(rails, {0: "leaf1", 1: "leaf2"})
        self.assertEqual(node.hosts_list(made).splitlines()[1], "1 r730-1 2 0 manager,agent,fabric")

    def test_places_of_a_program_on_all_gpus(self):
        made = load("pod")
        places, first = set(), 0
        for host in made.hosts:
            gpus = len(host.machine.gpus())
            if not gpus:
                continue
            said = int(re.search(r"first_place = (\d+)", softcuda.emit(host, first))[1])
            places |= {said + i for i in range(gpus)}
            first += gpus
        self.assertEqual(places, set(range(64)))

    def test_big(self):
        made = rack.big(16, 2, 64, MACHINES)
        self.assertEqual((len(made.hosts), len(made.switches)), (1152, 290))


class Machines(unittest.TestCase):
    def test_buses_of_g(self):
        """Depth first: root port's bus, switch's bus, one bus for each downstream link."""
        host = rack.Host(1, "g", machine.Catalogue(MACHINES).machine("c4130-g"), [])
        host.hcas = [rack.Hca(f"mlx4_{i}", "g", i, found, 1, 0)
                     for i, found in enumerate(host.machine.hcas())]
        shown = functions(host)
        self.assertEqual(
            {bdf: behind for bdf, (_, behind) in shown.items() if bdf < "0000:80"},
            {"0000:00:02.0": "0000:[01-05]", "0000:01:00.0": "0000:[02-05]",
             "0000:02:04.0": "0000:[03-03]", "0000:03:00.0": None,
             "0000:02:08.0": "0000:[04-04]", "0000:04:00.0": None,
             "0000:02:0c.0": "0000:[05-05]", "0000:05:00.0": None})

    def test_bar1(self):
        made = load("demo")
        host = made.hosts[-1]
        bdf = host.machine.gpus()[0].bdf
        first, last, _ = sysroot.emit(made, host)[f"sys/bus/pci/devices/{bdf}/resource"] \
            .splitlines()[1].split()
        self.assertEqual(int(last, 16) - int(first, 16) + 1, 16 << 30)


NETLIST = """
caguids=0x10
Hca\t1 "a"
[1]\t"s"[1]

switchguids=0x20
Switch\t2 "s"
[1]\t"a"[1]
"""


class Netlists(unittest.TestCase):
    # what to change, into what, a part of the one problem
    CASES = [
        ("", "", None),
        ("0x20", "0x10", "have the same GUID 0x0000000000000010"),
        ("caguids=0x10\n", "", "a has no GUID"),
        ('Switch\t2 "s"', 'Switch\t0 "s"', "s[1]: there is no such port"),
        ('[1]\t"a"[1]\n', "", "does not lead back"),
        ('"a"[1]', '"b"[1]', "leads to b, which is not there"),
        ('[1]\t"a"[1]\n', '[1]\t"a"[1]\n[1]\t"a"[1]\n', "s[1] has two cables"),
        (NETLIST, "", "no node"),
    ]

    def test_cases(self):
        for old, new, says in self.CASES:
            with self.subTest(says):
                found = list(netlist.problems(NETLIST.replace(old, new) if old else NETLIST))
                self.assertEqual(any(says in text for text in found) if says else not found, True,
                                 found)

    def test_ibnetdiscover_format(self):
        """GUIDs in parentheses, remarks behind."""
        text = NETLIST.replace('[1]\t"s"[1]', '[1](11)\t"s"[1]\t\t# lid 3 lmc 0 "s" lid 1 4xFDR')
        self.assertEqual(list(netlist.problems(text)), [])


DESCRIPTION = """
manager = "h-1"
width = "4x"
speed = "fdr"
[[switch]]
name = "leaf1"
machine = "sx6036"
[[host]]
name = "h"
count = 2
machine = "r730"
cables = ["mlx4_0:1 leaf1"]
"""


class Descriptions(unittest.TestCase):
    # what to change, into what, a part of the error; None: it is right
    CASES = [
        ("", "", None),
        ('speed = "fdr"', 'speed = "xdr"', "speed: 'xdr' is none of"),
        ('width = "4x"\n', "", "width is missing"),
        ('"h-1"', '"h-9"', "no host is named h-9"),
        ("count = 2", "count = true", "count: expected int"),
        ("count = 2", "count = 99999", "is not in"),
        ("count = 2", "conut = 2", "unknown: conut"),
        ("mlx4_0:1", "mlx4_1:1", "expected \"HCA:PORT SWITCH\""),
        ("mlx4_0:1", "mlx4_0:3", "no such free port"),
        ('["mlx4_0:1 leaf1"]', '["mlx4_0:1 leaf1", "mlx4_0:1 leaf1"]', "no such free port"),
        ("1 leaf1", "1 leaf9", "no switch is named leaf9"),
        ("count = 2", "count = 40", "leaf1 has no free port"),
        ('name = "h"', 'name = "H"', "is no name"),
        ('"r730"', '"r731"', "r731.toml: No such file"),
        ('"leaf1"\nm', '"h-1"\nm', "two things are named h-1"),
        ('speed = "fdr"', 'speed = "fdr', "line 4"),
    ]

    def test_cases(self):
        for old, new, says in self.CASES:
            with self.subTest(new), tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "rack.toml"
                text = DESCRIPTION.replace(old, new, 1) if old else DESCRIPTION
                path.write_text(text)
                try:
                    rack.load(path, MACHINES)
                    problem = None
                except table.DescriptionError as error:
                    problem = str(error)
                self.assertEqual(problem is None, says is None, problem)
                self.assertIn(says or "", problem or "")


class Program(unittest.TestCase):
    def run_it(self, *arguments):
        return subprocess.run([CONFIGS / "rack-gen", *arguments], capture_output=True, text=True)

    def test_output_is_what_was_made_and_nothing_else(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "rack"
            self.assertEqual(self.run_it("make", "demo", out).returncode, 0)
            self.assertEqual(self.run_it("make", "leafspine", out).returncode, 0)
            again = pathlib.Path(folder) / "again"
            self.assertEqual(self.run_it("make", "leafspine", again).returncode, 0)
            names = [sorted(str(path.relative_to(top)) for path in top.rglob("*"))
                     for top in (out, again)]
            self.assertEqual(*names)

    def test_what_is_not_ours_is_left_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            mine = pathlib.Path(folder) / "mine"
            mine.write_text("mine")
            run = self.run_it("make", "demo", folder)
            self.assertEqual(run.returncode, 1)
            self.assertIn("was not made by rack-gen", run.stderr)
            self.assertEqual([path.name for path in pathlib.Path(folder).iterdir()], ["mine"])

    def test_check(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "x.net"
            path.write_text(NETLIST.replace("0x20", "0x10"))
            run = self.run_it("check", path)
            self.assertEqual((run.returncode, "same GUID" in run.stdout), (1, True))


if __name__ == "__main__":
    unittest.main()
