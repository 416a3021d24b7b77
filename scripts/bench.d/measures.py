"""How it is measured: each function gives one number of one round, or several by name."""
import json, os, re, select, socket, statistics, subprocess, tempfile, threading, time

from sides import BIN, ROOT, Ours, fail, run, wait_for

KEYSTROKES = 400
TRUES = 25
SECONDS = 4


def percentile(values, percent):
    """The value that so many per cent do not exceed."""
    values = sorted(values)
    return values[max(0, -(-len(values) * percent // 100) - 1)]


def compiled(folder, name):
    """The program of a C file beside this one."""
    program = f"{folder}/{name}"
    if not os.path.exists(program):
        run(["cc", "-O2", "-o", program, f"{os.path.dirname(os.path.abspath(__file__))}/{name}.c", "-lcrypto"])
    return program


# MARK: Bulk

def bulk_down(command, mebibytes):
    start = time.monotonic()
    process = subprocess.Popen(command + [f"head -c {mebibytes}M /dev/zero"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    count, buffer = 0, bytearray(1 << 20)
    while got := process.stdout.readinto(buffer):
        count += got
    process.wait()
    if count != mebibytes << 20:
        fail(f"{' '.join(command)} gave {count} bytes")
    return mebibytes / (time.monotonic() - start)


def bulk_down_at_once(command, mebibytes, users=4):
    """Of several users together: what the cores of the proxy and the rest of the path give."""
    start = time.monotonic()
    processes = [subprocess.Popen(command + [f"head -c {mebibytes}M /dev/zero"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                 for _ in range(users)]
    for process in processes:
        if process.wait() != 0:
            fail(f"{' '.join(command)} failed")
    return users * mebibytes / (time.monotonic() - start)


def bulk_up(command, mebibytes):
    start = time.monotonic()
    process = subprocess.Popen(command + ["wc -c"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    block = bytes(1 << 20)
    for _ in range(mebibytes):
        process.stdin.write(block)
    process.stdin.close()
    answer = process.stdout.read()
    process.wait()
    if int(answer) != mebibytes << 20:
        fail(f"{' '.join(command)} took {answer!r} bytes")
    return mebibytes / (time.monotonic() - start)


def sftp(order):
    def measure(command, mebibytes):
        """MiB/s of one `sftp` process that copies a file in memory, which both sides see, to nowhere."""
        with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
            os.truncate(file.name, mebibytes << 20)
            start = time.monotonic()
            run(command, input=f"{order} {file.name} /dev/null\n".encode())
            return mebibytes / (time.monotonic() - start)
    return measure


# MARK: Processor time

def processor_time(root):
    """Nanoseconds of a process's living threads, of its living children, and of those children that it has waited for (in 10 ms ticks)."""
    children = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = open(f"/proc/{entry}/stat").read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry))
        children.setdefault(("waited", int(entry)), sum(map(int, fields[13:15])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK"))
    total, todo = 0, [root]
    while todo:
        process = todo.pop()
        todo += children.get(process, [])
        total += children.get(("waited", process), 0)
        try:
            for thread in os.listdir(f"/proc/{process}/task"):
                total += int(open(f"/proc/{process}/task/{thread}/schedstat").read().split()[0])
        except OSError:
            pass
    return total


def processor_time_per_byte(command, mebibytes, process):
    before = processor_time(process)
    bulk_down(command, mebibytes)
    return (processor_time(process) - before) / (mebibytes << 20)


# MARK: Latency

def milliseconds(command):
    """Of one whole process that runs `true`."""
    start = time.monotonic()
    subprocess.run(command + ["true"], check=True, stdin=subprocess.DEVNULL)
    return (time.monotonic() - start) * 1000


def fresh_true(command, count=TRUES):
    """Milliseconds of whole processes that run `true`."""
    times = [milliseconds(command) for _ in range(count)]
    return {"p50": percentile(times, 50), "p99": percentile(times, 99)}


def far_true(command, line, count=5):
    """Whole processes that run `true` over a line: milliseconds, and the round trips that the line counted."""
    times, round_trips = [], []
    for _ in range(count):
        times.append(milliseconds(command))
        round_trips.append(line.round_trips())
    return {"ms": statistics.median(times), "round trips": max(round_trips)}


def kept_true(command, side, count=5):
    """The same over a connection that is kept, of whose commands the line does not count apart."""
    side.keep()
    try:
        return {"ms": statistics.median(milliseconds(command) for _ in range(count))}
    finally:
        side.end_kept()


def keystroke_echo(command, count=KEYSTROKES):
    """Microseconds from a byte on the client's stdin to its echo by the far terminal on the client's stdout, one at a time."""
    process = subprocess.Popen(command + ["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
    echo, times = process.stdout.fileno(), []
    try:
        for number in range(count + 50):
            start = time.perf_counter()
            process.stdin.write(b"x")
            if not select.select([echo], [], [], 20)[0] or os.read(echo, 64) != b"x":
                fail(f"{' '.join(command)} did not echo")
            # The first ones find caches cold and, on the way to the node, a shell that starts.
            if number >= 50:
                times.append((time.perf_counter() - start) * 1e6)
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    return {"p50": percentile(times, 50), "p99": percentile(times, 99)}


# MARK: Rates

def at_once(count, seconds, body):
    """How often threads do `body` in a second, together; what fails does not count."""
    done, end = [0] * count, time.monotonic() + seconds

    def work(number):
        while time.monotonic() < end:
            done[number] += body()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.monotonic() - start)


def sessions_a_second(command, count=32):
    """Whole client processes, so many at once."""
    return at_once(count, SECONDS, lambda: subprocess.call(command + ["true"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0)


def our_load(side, count, *what):
    answer = json.loads(run(side.bench + [f"--duration={SECONDS}s", f"--concurrency={count}", *what]).stdout)
    if answer["failures"]:
        fail(f"{answer['failures']} of {answer['requests']} requests of tsh bench failed")
    return answer["per_second"]


def connections_a_second(address, count):
    """New TCP connections through an open forward, until the greeter's byte has come."""
    def connect():
        with socket.create_connection(address, 20) as connection:
            return connection.recv(1) == b"S"
    return at_once(count, SECONDS, connect)


class Server:
    """A program that serves an address, and prints its port."""

    def __init__(self, command, address):
        self.process = subprocess.Popen(command + [address], stdout=subprocess.PIPE, text=True)
        self.address = (address, int(self.process.stdout.readline()))

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Greeter(Server):
    """A TCP server in the inner site that greets everybody as an SSH server does: it costs both sides the same, and little."""

    def __init__(self, folder, address):
        super().__init__([compiled(folder, "greeter")], address)


class Flood(Server):
    """A TCP server that greets as an SSH server does and then sends for as long as it can."""

    PROGRAM = """
import asyncio, sys
async def flood(reader, writer):
    try:
        writer.write(b"SSH-2.0-flood\\r\\n")
        while True:
            writer.write(bytes(65536))
            await writer.drain()
    except OSError:
        pass
async def main():
    server = await asyncio.start_server(flood, sys.argv[1], 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""

    def __init__(self, address):
        super().__init__(["python3", "-c", self.PROGRAM], address)


# MARK: Memory

def idle_memory(folder, address):
    """Resident MiB of one fresh process with all roles, and how much of it is no page of a file."""
    process = subprocess.Popen([f"{BIN}/teleport", "start", "--data-dir", f"{folder}/idle", "--listen-ip", address, "--nodename", "idle"],
                               stderr=subprocess.DEVNULL)
    try:
        wait_for((address, 3022))
        time.sleep(2)
        status = open(f"/proc/{process.pid}/status").read()
        return {name: int(re.search(rf"{field}:\s+(\d+)", status)[1]) / 1024 for name, field in (("resident", "VmRSS"), ("own", "RssAnon"))}
    finally:
        process.terminate()
        process.wait(60)


# Opens so many channels to a node and reads from none; says so, and stays until its input ends.
STALLED = """
import asyncio, asyncssh, sys
class Nobody(asyncssh.SSHTCPSession):
    def connection_made(self, channel):
        channel.pause_reading()
async def main(proxy, port, identity, known_hosts, node, node_port, count):
    user = await asyncssh.connect(proxy, int(port), username="bench", client_keys=[(identity, identity + "-cert.pub")],
                                  known_hosts=known_hosts, agent_path=None, encryption_algs=["aes128-gcm@openssh.com"])
    channels = [await user.create_connection(Nobody, node, int(node_port), window=65536) for _ in range(int(count))]
    await asyncio.sleep(5)
    print("stalled", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    user.abort()
asyncio.run(main(*sys.argv[1:]))
"""


def stalled_channels(side, folder, address, count=1000):
    """MiB of its own that the proxy holds for the channels of one user who reads none of them; others are served all the same."""
    def held():
        return int(re.search(r"Anonymous:\s+(\d+)", open(f"/proc/{side.middle}/smaps_rollup").read())[1]) / 1024
    flood = Flood(address)
    user = None
    try:
        node = f'kind: node\nmetadata: {{name: flood}}\nspec: {{hostname: flood, addr: "{flood.address[0]}:{flood.address[1]}"}}\n'
        open(f"{folder}/flood.yaml", "w").write(node)
        run(side.tctl_east + ["create", "-f", f"{folder}/flood.yaml"])
        before = held()
        # Debian's Python, as its package of asyncssh is for that.
        user = subprocess.Popen(["/usr/bin/python3", "-W", "ignore", "-c", STALLED, *side.proxy, side.identity, f"{side.folder}/known_hosts",
                                 "flood.east", str(flood.address[1]), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if user.stdout.readline() != "stalled\n":
            fail("the user whose channels are to stall has failed")
        run(side.commands["tsh"] + ["true"])
        return held() - before
    finally:
        if user:
            user.communicate()
        flood.stop()


def idle_tunnels(sites):
    """What `make load` says of so many tunnels: KiB a tunnel, and the proxy's share of a core."""
    output = run([f"{ROOT}/scripts/load"], env=dict(os.environ, SITES=str(sites), MINUTES="0.05")).stdout.decode()
    memory, share = re.search(r"^memory: .*?([\d.]+) KiB a tunnel", output, re.M), re.search(r"^idle: ([\d.]+) %", output, re.M)
    if not memory or not share:
        fail(f"scripts/load said nothing of memory a tunnel:\n{output}")
    return {"KiB each": float(memory[1]), "% of a core": float(share[1])}


COUNTER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
static _Atomic long spare, *count = &spare;
__attribute__((constructor)) static void begin(void) {
    char name[512];
    snprintf(name, sizeof name, "%s/%d", getenv("MALLOC_COUNTS"), getpid());
    int file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof(long))) return;
    void *place = mmap(0, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (place != MAP_FAILED) count = place;
    close(file);
}
void *malloc(size_t n) { ++*count; return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { ++*count; return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { ++*count; return __libc_realloc(p, n); }
void *aligned_alloc(size_t a, size_t n) { ++*count; return __libc_memalign(a, n); }
int posix_memalign(void **p, size_t a, size_t n) { ++*count; *p = __libc_memalign(a, n); return *p ? 0 : 12; }
"""


class Allocations:
    """A topology of its own whose hub's proxy counts its calls of malloc, in a file."""

    def __init__(self, folder, net):
        counts = f"{folder}/counts"
        os.makedirs(counts)
        open(f"{folder}/counter.c", "w").write(COUNTER)
        run(["cc", "-O2", "-shared", "-fPIC", "-o", f"{folder}/counter.so", f"{folder}/counter.c"])
        # What the topology starts has a clean environment. It has written what each host needs: we start them ourselves.
        self.side = Ours(f"{folder}/counted", net)
        self.side.stop()
        self.side.processes = []
        clusters = json.load(open(f"{folder}/counted/data/topology.json"))["clusters"]
        for config in (host["config"] for cluster in clusters for host in cluster["hosts"]):
            counted = config.endswith("/hub/proxy/teleport.yaml")
            more = {"LD_PRELOAD": f"{folder}/counter.so", "MALLOC_COUNTS": counts} if counted else {}
            process = self.side.start([f"{BIN}/teleport", "start", "-c", config], stderr=subprocess.DEVNULL, env=dict(os.environ, **more))
            if counted:
                self.counts = f"{counts}/{process.pid}"
        end = time.monotonic() + 60
        while subprocess.call(self.side.commands["tunnel"] + ["true"], stderr=subprocess.DEVNULL) != 0:
            if time.monotonic() > end:
                fail("the tunnel did not come up again")
            time.sleep(0.2)

    def count(self):
        return int.from_bytes(open(self.counts, "rb").read(8), "little")

    def within(self, mebibytes):
        """Of a transfer three times as long, its middle part: no session begins or ends in it."""
        command = self.side.commands["tunnel"] + [f"head -c {mebibytes * 3}M /dev/zero"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        counts, buffer = [], bytearray(1 << 20)
        for _ in range(3):
            left = mebibytes << 20
            while left > 0 and (got := process.stdout.readinto(memoryview(buffer)[:left])):
                left -= got
            counts.append(self.count())
        if process.wait() != 0 or left > 0:
            fail(f"{' '.join(command)} failed")
        return counts[1] - counts[0]

    def per_packet(self, mebibytes):
        """32 packets of 32 KiB are a MiB. The least of several, as a change in the cluster may fall into any of them."""
        return min(self.within(mebibytes) for _ in range(4)) / (mebibytes * 32)

    def stop(self):
        self.side.stop()


def engine():
    """The rows of the Benchmarks program: the engine alone, in memory."""
    return [json.loads(line) for line in run([f"{BIN}/Benchmarks"]).stdout.splitlines()]
