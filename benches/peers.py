"""Copies one tree down or up with drivejob and with rclone in turn, and prints medians, spread and ratios."""

import csv
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DRIVEJOB, RCLONE = (str(Path(path).absolute()) for path in sys.argv[1:3])
RUNS = int(os.environ.get("RUNS", "5"))
SETS = os.environ.get("SETS", "small mid large upload-small upload-mid upload-large").split()
SIZES = {
    "small": (int(os.environ.get("FILES", "20000")), 4096),
    "mid": (int(os.environ.get("MID", "2000")), 1 << 20),
    "large": (1, int(os.environ.get("LARGE_MIB", "1024")) << 20),
}
FACES = os.environ.get("FACES", "classic v2").split()
TRANSFERS = os.environ.get("TRANSFERS", "16")
PORT = int(os.environ.get("PORT", "18231"))
MODULE = "/usr/lib/nginx/modules/ngx_http_dav_ext_module.so"
# With TLS=1 the bytes of downloads come over HTTPS, to all peers alike.
SCHEME = "https" if os.environ.get("TLS") == "1" else "http"
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


def certificate(folder):
    """A certificate for this machine, and its key."""
    paths = folder / "certificate.pem", folder / "key.pem"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*make, *names, "-out", paths[0], "-keyout", paths[1]], check=True, capture_output=True)
    return paths


def start_nginx(folder, tree, contents=None):
    """Serves a tree to rclone and to API 2.0, and `contents` on the next port to the classic API."""
    word, tls = "", ""
    if SCHEME == "https":
        chain, key = certificate(folder)
        word = " ssl"
        # One cipher for all, as each client would choose another one.
        tls = (
            f"ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;\n"
            "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;\n"
        )
    other = f"server {{ listen 127.0.0.1:{PORT + 1}{word}; root {contents}; }}" if contents else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"load_module {MODULE};\nuser root;\nworker_processes 1;\ndaemon off;\npid {folder}/nginx.pid;\n"
        f"error_log {folder}/error.log;\nevents {{ worker_connections 512; }}\n"
        f"http {{ access_log off; sendfile on; keepalive_requests 1000000; client_max_body_size 0;\n"
        f"client_body_temp_path {folder}/body; client_body_buffer_size 1m;\n{tls}"
        f"server {{ listen 127.0.0.1:{PORT}{word}; root {tree};\n"
        f"location / {{ dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS; }} }} {other} }}\n"
    )
    return subprocess.Popen(["nginx", "-c", str(configuration), "-p", str(folder)])


def start_simulator(folder, *world):
    process = subprocess.Popen(
        [DRIVEJOB, "-qq", "simulate", *world]
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


def measured(command, servers, variables):
    def served():
        return sum(cpu_of(server.pid) for server in servers)

    before, began = served(), time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    if status != 0:
        sys.exit(f"{command[0]} ended with status {status}")
    return {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "server": served() - before,
        "memory": usage.ru_maxrss / 1024,
    }


def rclone(source, target, nginx):
    options = ["--transfers", TRANSFERS, "--checkers", "8", "-q", "--config", "/dev/null"]
    return measured([RCLONE, "copy", str(source), str(target), *options], [nginx], PACE)


def rclone_with_hashes(source, target, nginx, local):
    """A copy, and the SHA-256 of each file of its local side: drivejob makes or proves the same hash on the way."""
    copied = rclone(source, target, nginx)
    hashed = measured([RCLONE, "hashsum", "sha256", str(local), "-q", "--config", "/dev/null"], [nginx], {})
    together = {key: copied[key] + hashed[key] for key in ["wall", "cpu", "server"]}
    return together | {"memory": max(copied["memory"], hashed["memory"])}


def remote(path=""):
    return f":webdav,url='{SCHEME}://127.0.0.1:{PORT}/{path}',vendor=other:"


def drivejob(folder, face, kind, archive, simulator, more="", nginx=None):
    """One job of this kind; `simulator` is the process and its variables, `nginx` sends the bytes where it is there."""
    process, variables = simulator
    servers = [server for server in [process, nginx] if server]
    job = folder / "job.toml"
    job.write_text(
        f'kind = "{kind}"\ntenant = "{face}.toml"\narchive = "{archive}"\ndrives = ["me"]\n{more}'
        f'[limits]\ntransfers = {TRANSFERS}\nrequests-per-minute = "unlimited"\n'
    )
    return measured([DRIVEJOB, "-q", "run", str(job)], servers, variables)


def take_turns(peers, after=lambda peer, turn: None):
    """Runs each peer in turn, first once without counting."""
    results = {peer: [] for peer in peers}
    for turn in range(RUNS + 1):
        for peer, one in peers.items():
            figures = one(turn)
            if turn > 0:
                results[peer].append(figures)
            after(peer, turn)
    return results


def download(name, top):
    """From the server into new folders."""
    files, size = SIZES[name]
    folder = top / name
    tree = folder / "tree"
    tree.mkdir(parents=True)
    make_tree(tree, files, size)
    contents = folder / "contents"
    nginx = start_nginx(folder, tree, contents)
    simulator = start_simulator(folder, "--import", str(tree), "--file-server", f"{SCHEME}://127.0.0.1:{PORT}")
    time.sleep(1)
    if SCHEME == "https":
        trust(folder)
    name_by_key(folder, tree, contents, simulator)

    def target(peer, turn):
        return folder / f"target-{peer}-{turn}"

    def remove(peer, turn):
        # Large sets would fill the disk; for them the cost of files that were deleted lately is small.
        if name != "small":
            shutil.rmtree(target(peer, turn))

    peers = {
        "rclone": lambda turn: rclone(remote(), target("rclone", turn), nginx),
        "rclone+sum": lambda turn: rclone_with_hashes(
            remote(), target("rclone+sum", turn), nginx, target("rclone+sum", turn)
        ),
    }
    for face in FACES:
        peers[face] = lambda turn, face=face: drivejob(
            folder, face, "backup", target(face, turn), simulator, nginx=nginx
        )
    try:
        show(name, files, take_turns(peers, remove))
    finally:
        stop(nginx, simulator[0])


def trust(folder):
    """Lets all peers take the certificate for good."""
    chain = folder / "certificate.pem"
    PACE["RCLONE_CA_CERT"] = str(chain)
    for face in ["classic", "v2"]:
        tenant = folder / f"{face}.toml"
        tenant.write_text(f'extra-ca = ["{chain}"]\n{tenant.read_text()}')


def name_by_key(folder, tree, contents, simulator):
    """Lets nginx be the file host of the classic API: each file also lies where that API asks for it."""
    drivejob(folder, "classic", "audit", folder / "audit", simulator)
    (manifest,) = (folder / "audit").glob("*/manifest.csv")
    with open(manifest, encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            if row["kind"] == "file":
                place = contents / "drive/rl" / row["location"] / "v2/files" / row["id"] / "download"
                place.parent.mkdir(parents=True)
                place.hardlink_to(tree / row["path"].lstrip("/"))
    tenant = folder / "classic.toml"
    text = re.sub(r'(?m)^file = .*$', f'file = "{SCHEME}://127.0.0.1:{PORT + 1}"', tenant.read_text())
    tenant.write_text(text)


def upload(name, top):
    """From an archive on the disk into new folders on the server."""
    files, size = SIZES[name]
    folder = top / name
    served = folder / "served"
    served.mkdir(parents=True)
    nginx = start_nginx(folder, served)
    # The simulator knows the bytes that it made itself again, and holds none of them in memory.
    shape = ["--files", str(files), "--folders", str(max(1, files // 100)), "--members", "1", "--size", str(size)]
    simulator = start_simulator(folder, *shape)
    archive = folder / "archive"
    drivejob(folder, "v2", "backup", archive, simulator)
    source = next(path for path in archive.glob("*/files/*") if path.is_dir())

    def restore(face, turn):
        more = f'target = "{face}.toml"\nto = "folder:{face}-{turn}"\nresults = "{folder}/results-{face}-{turn}"\n'
        return drivejob(folder, face, "restore", archive, simulator, more)

    def place(peer, turn):
        return f"{peer}-{turn}"

    def send(peer, turn):
        (served / place(peer, turn)).mkdir()
        target = remote(place(peer, turn))
        if peer == "rclone":
            return rclone(source, target, nginx)
        return rclone_with_hashes(source, target, nginx, source)

    def remove(peer, turn):
        if name != "small" and peer not in FACES:
            shutil.rmtree(served / place(peer, turn))

    peers = {peer: lambda turn, peer=peer: send(peer, turn) for peer in ["rclone", "rclone+sum"]}
    for face in FACES:
        peers[face] = lambda turn, face=face: restore(face, turn)
    try:
        show(f"upload-{name}", files, take_turns(peers, remove))
    finally:
        stop(nginx, simulator[0])


def stop(*processes):
    for process in processes:
        process.terminate()
        process.wait()


def show(name, files, results):
    def median(peer, key):
        return statistics.median(figures[key] for figures in results[peer])

    for peer, runs in results.items():
        walls = sorted(figures["wall"] for figures in runs)
        cpus = sorted(figures["cpu"] for figures in runs)
        ratios = "".join(
            f"; {median(other, 'wall') / median(peer, 'wall'):.2f} x the files/s of {other}"
            f" at {median(peer, 'cpu') / median(other, 'cpu'):.2f} x its CPU"
            for other in results
            if other.startswith("rclone") and other != peer
        )
        print(
            f"{name:12} {peer:10} wall {median(peer, 'wall'):6.2f} s ({walls[0]:.2f}-{walls[-1]:.2f})"
            f"  CPU {median(peer, 'cpu'):6.2f} s ({cpus[0]:.2f}-{cpus[-1]:.2f})"
            f"  server CPU {median(peer, 'server'):5.2f} s  peak {median(peer, 'memory'):5.1f} MiB"
            f"  {files / median(peer, 'wall'):8.0f} files/s{ratios}",
            flush=True,
        )


def main():
    version = subprocess.run([RCLONE, "version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    print(f"{version}, {RUNS} runs, {TRANSFERS} transfers, {os.cpu_count()} cores", flush=True)
    top = Path(tempfile.mkdtemp(prefix="drivejob-peers-", dir=os.environ.get("BENCH_DIR")))
    top.chmod(0o755)
    try:
        for name in SETS:
            if SCHEME == "https" and name.startswith("upload-"):
                sys.exit("TLS=1 is for downloads: the simulator takes uploads without it")
            word = name.removeprefix("upload-")
            (download if word == name else upload)(word, top)
            shutil.rmtree(top / word)
    finally:
        shutil.rmtree(top, ignore_errors=True)


main()
