"""Backs one tree up with drivejob and with rclone in turn, and prints medians, spread and ratios."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DRIVEJOB, RCLONE = (str(Path(path).absolute()) for path in sys.argv[1:3])
RUNS = int(os.environ.get("RUNS", "5"))
SETS = os.environ.get("SETS", "small mid large").split()
SIZES = {
    "small": (int(os.environ.get("FILES", "20000")), 4096),
    "mid": (int(os.environ.get("MID", "2000")), 1 << 20),
    "large": (1, int(os.environ.get("LARGE_MIB", "1024")) << 20),
}
TRANSFERS = os.environ.get("TRANSFERS", "16")
PORT = int(os.environ.get("PORT", "18231"))
MODULE = "/usr/lib/nginx/modules/ngx_http_dav_ext_module.so"
# By itself rclone sends 100 requests a second to WebDAV; without a quota to keep, that is no fair measure.
PACE = {"RCLONE_WEBDAV_PACER_MIN_SLEEP": "1us"}
TICKS = os.sysconf("SC_CLK_TCK")


def make_tree(tree, files, size):
    """`files` files of bytes that do not compress, a hundred in a folder."""
    for number in range(files):
        folder = tree / f"folder-{number // 100:04}"
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / f"file-{number:06}.bin", "wb") as file:
            left = size
            while left:
                part = min(left, 1 << 20)
                file.write(os.urandom(part))
                left -= part


def cpu_of(process):
    """CPU seconds of a process and of its children that still run."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    total = 0
    for number in [process, *children]:
        fields = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def start_nginx(folder, tree):
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"load_module {MODULE};\nuser root;\nworker_processes 1;\ndaemon off;\npid {folder}/nginx.pid;\n"
        f"error_log {folder}/error.log;\nevents {{ worker_connections 512; }}\n"
        f"http {{ access_log off; sendfile on; keepalive_requests 1000000; client_body_temp_path {folder}/body;\n"
        f"server {{ listen 127.0.0.1:{PORT}; root {tree};\n"
        f"location / {{ dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS; }} }} }}\n"
    )
    return subprocess.Popen(["nginx", "-c", str(configuration), "-p", str(folder)])


def start_simulator(folder, tree):
    process = subprocess.Popen(
        [DRIVEJOB, "-qq", "simulate", "--import", str(tree)]
        + ["--write-tenant-v2", str(folder / "v2.toml"), "--write-tenant-classic", str(folder / "classic.toml")],
        stdout=subprocess.PIPE,
        text=True,
    )
    variables = {}
    for line in process.stdout:
        if line.startswith("export "):
            name, value = line[7:].strip().split("=", 1)
            variables[name] = value
        if len(variables) == 2:
            return process, variables
    sys.exit("the simulator did not start")


def measured(command, server, variables):
    before, began = cpu_of(server), time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    if status != 0:
        sys.exit(f"{command[0]} ended with status {status}")
    return {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "server": cpu_of(server) - before,
        "memory": usage.ru_maxrss / 1024,
    }


def compare(name, top):
    files, size = SIZES[name]
    folder = top / name
    tree = folder / "tree"
    tree.mkdir(parents=True)
    make_tree(tree, files, size)
    nginx = start_nginx(folder, tree)
    simulator, variables = start_simulator(folder, tree)
    time.sleep(1)

    def rclone(target):
        remote = f":webdav,url='http://127.0.0.1:{PORT}',vendor=other:"
        options = ["--transfers", TRANSFERS, "--checkers", "8", "-q", "--config", "/dev/null"]
        return measured([RCLONE, "copy", remote, str(target), *options], nginx.pid, PACE)

    def drivejob(face):
        def one(target):
            job = folder / "job.toml"
            job.write_text(
                f'kind = "backup"\ntenant = "{face}.toml"\narchive = "{target}"\ndrives = ["me"]\n'
                f'[limits]\ntransfers = {TRANSFERS}\nrequests-per-minute = "unlimited"\n'
            )
            return measured([DRIVEJOB, "-q", "run", str(job)], simulator.pid, variables)

        return one

    peers = {"rclone": rclone, "classic": drivejob("classic"), "v2": drivejob("v2")}
    results = {peer: [] for peer in peers}
    try:
        for turn in range(RUNS + 1):
            for peer, one in peers.items():
                figures = one(folder / f"target-{peer}-{turn}")
                if turn > 0:
                    results[peer].append(figures)
                # Large sets would fill the disk; for them the cost of files that were deleted lately is small.
                if name != "small":
                    shutil.rmtree(folder / f"target-{peer}-{turn}")
    finally:
        for process in (nginx, simulator):
            process.terminate()
            process.wait()
    show(name, files, results)


def show(name, files, results):
    def median(peer, key):
        return statistics.median(figures[key] for figures in results[peer])

    for peer, runs in results.items():
        walls = sorted(figures["wall"] for figures in runs)
        cpus = sorted(figures["cpu"] for figures in runs)
        print(
            f"{name:6} {peer:8} wall {median(peer, 'wall'):6.2f} s ({walls[0]:.2f}-{walls[-1]:.2f})"
            f"  CPU {median(peer, 'cpu'):6.2f} s ({cpus[0]:.2f}-{cpus[-1]:.2f})"
            f"  server CPU {median(peer, 'server'):5.2f} s  peak {median(peer, 'memory'):5.1f} MiB"
            f"  {files / median(peer, 'wall'):8.0f} files/s"
            f"  files/s {median('rclone', 'wall') / median(peer, 'wall'):.2f} x,"
            f" CPU {median(peer, 'cpu') / median('rclone', 'cpu'):.2f} x of rclone",
            flush=True,
        )


def main():
    version = subprocess.run([RCLONE, "version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    print(f"{version}, {RUNS} runs, {TRANSFERS} transfers, {os.cpu_count()} cores", flush=True)
    top = Path(tempfile.mkdtemp(prefix="drivejob-peers-", dir=os.environ.get("BENCH_DIR")))
    top.chmod(0o755)
    try:
        for name in SETS:
            compare(name, top)
            shutil.rmtree(top / name)
    finally:
        shutil.rmtree(top, ignore_errors=True)


main()
