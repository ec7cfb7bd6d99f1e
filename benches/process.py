"""Runs drivejob against its simulator, each in a process of its own, and prints what it took."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = str(Path(sys.argv[1]).resolve())
SETS = os.environ.get("SETS", "small mid large night audit").split()
FACES = os.environ.get("FACES", "classic v2").split()
FILES = int(os.environ.get("FILES", "20000"))
MID = int(os.environ.get("MID", "2000"))
LARGE = int(os.environ.get("LARGE_MIB", "1024"))
ENTRIES = int(os.environ.get("ENTRIES", "100000"))
TRANSFERS = os.environ.get("TRANSFERS", "16")
TICKS = os.sysconf("SC_CLK_TCK")


class Simulator:
    """`drivejob simulate` over some files, until the block ends."""

    def __init__(self, folder, *arguments):
        self.folder = folder
        self.arguments = arguments

    def __enter__(self):
        self.process = subprocess.Popen(
            [PROGRAM, "-qq", "simulate", *self.arguments]
            + ["--write-tenant-v2", str(self.folder / "v2.toml")]
            + ["--write-tenant-classic", str(self.folder / "classic.toml")],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.variables = {}
        for line in self.process.stdout:
            if line.startswith("export "):
                name, value = line[7:].strip().split("=", 1)
                self.variables[name] = value
            if len(self.variables) == 2:
                break
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


def run(simulator, face, archive, kind="backup"):
    """One run: wall seconds, CPU seconds of the program and of the simulator, peak memory in MiB."""
    job = simulator.folder / "job.toml"
    job.write_text(
        f'kind = "{kind}"\ntenant = "{face}.toml"\narchive = "{archive}"\ndrives = ["me"]\n'
        f'[limits]\ntransfers = {TRANSFERS}\nrequests-per-minute = "unlimited"\n'
    )
    before, began = simulator.cpu(), time.monotonic()
    process = subprocess.Popen(
        [PROGRAM, "-q", "run", str(job)],
        env={**os.environ, **simulator.variables},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    if status != 0:
        sys.exit(f"the run ended with status {status}")
    cpu = usage.ru_utime + usage.ru_stime
    return wall, cpu, usage.ru_utime, usage.ru_stime, simulator.cpu() - before, usage.ru_maxrss / 1024


def show(name, face, files, mebibytes, figures):
    wall, cpu, user, system, server, memory = figures
    print(
        f"{name:6} {face:8} {wall:7.2f} s wall {files / wall:9.0f} files/s {mebibytes / wall:8.1f} MiB/s"
        f"   CPU {cpu:6.2f} s ({user:.2f} user, {system:.2f} system), {cpu / files * 1e6:6.0f} us a file"
        f"   simulator {server:6.2f} s   peak {memory:5.1f} MiB",
        flush=True,
    )


def main():
    top = Path(tempfile.mkdtemp(prefix="drivejob-bench-", dir=os.environ.get("BENCH_DIR")))
    try:
        for name, files, size in [
            ("small", FILES, 4096),
            ("mid", MID, 1 << 20),
            ("large", 1, LARGE << 20),
        ]:
            if name not in SETS and not (name == "small" and "night" in SETS):
                continue
            folder = top / name
            folder.mkdir()
            shape = ["--files", str(files), "--folders", str(max(1, files // 100)), "--members", "1"]
            with Simulator(folder, *shape, "--size", str(size)) as simulator:
                for face in FACES:
                    archive = folder / f"archive-{face}"
                    figures = run(simulator, face, archive)
                    if name in SETS:
                        show(name, face, files, files * size / (1 << 20), figures)
                    if name == "small" and "night" in SETS:
                        time.sleep(1.1)  # a snapshot is named after its second
                        show("night", face, files, 0, run(simulator, face, archive))
        if "audit" in SETS:
            folder = top / "audit"
            folder.mkdir()
            shape = ["--files", str(ENTRIES), "--folders", str(ENTRIES // 100), "--members", "1"]
            with Simulator(folder, *shape) as simulator:
                for face in FACES:
                    figures = run(simulator, face, folder / f"archive-{face}", "audit")
                    show("audit", face, ENTRIES, 0, figures)
    finally:
        shutil.rmtree(top)


main()
