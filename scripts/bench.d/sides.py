"""What is measured: our topology, the same paths built of OpenSSH alone, and peers that a script starts."""
import json, os, re, shutil, socket, subprocess, sys, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(ROOT, ".build", "release")
GCM = "aes128-gcm@openssh.com"


def fail(message):
    sys.exit(f"ERROR: {message}")


def run(command, **more):
    try:
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    except subprocess.CalledProcessError as error:
        fail(f"{' '.join(command)} ended with {error.returncode}: {error.stderr.decode(errors='replace').strip()[-500:]}")


def in_namespace(folder):
    """Starts this script anew where root is somebody with nothing in the home directory."""
    home, users = f"{folder}/home", f"{folder}/passwd"
    os.mkdir(home)
    with open(users, "w") as file:
        for line in open("/etc/passwd"):
            file.write(f"root:x:0:0:root:{home}:/bin/sh\n" if line.startswith("root:") else line)
    script = 'mount --bind "$1" /etc/passwd && shift && exec "$@"'
    os.execvpe("unshare", ["unshare", "--mount", "sh", "-c", script, "sh", users, sys.executable, *sys.argv, "--folder", folder],
               dict(os.environ, HOME=home))


def wait_for(address, seconds=20):
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(address, 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                fail(f"nothing listens on {address[0]}:{address[1]}")
            time.sleep(0.05)


def free_port(address):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


class Line:
    """100 ms there and back to an address; counts the round trips of each connection."""

    def __init__(self, address):
        self.process = subprocess.Popen([f"{BIN}/Benchmarks", "link", "100", f"{address[0]}:{address[1]}"], stdout=subprocess.PIPE, text=True)
        self.host, self.port = json.loads(self.process.stdout.readline())["link"].rsplit(":", 1)

    def round_trips(self):
        """Of the next connection that ends."""
        return json.loads(self.process.stdout.readline())["round-trips"]

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Side:
    """`commands` has the client of each path, to which a remote command is appended; `terminals` the same with a terminal at the far end, `far` with
    a line before the middle, `kept` over a connection to the middle that `keep` makes and `end_kept` ends."""

    def __init__(self, name):
        self.name, self.processes, self.commands, self.terminals, self.far, self.kept, self.line = name, [], {}, {}, {}, {}, None
        # What the CPU is accounted of: the process in the middle, with its children; and ports that lead to the greeter (see measures.py).
        self.middle, self.greeting = None, None

    def start(self, command, **more):
        self.processes.append(subprocess.Popen(command, **more))
        return self.processes[-1]

    def stop(self):
        if self.line:
            self.line.stop()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(60)


class Ours(Side):
    """two-sites, on addresses of its own."""

    def __init__(self, folder, net):
        super().__init__("ours")
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        text = open(os.path.join(ROOT, "topologies", "two-sites.yaml")).read()
        # 127.0.1.x and 127.0.2.x of the file become two ranges of one /24.
        text = re.sub(r"127\.0\.1\.(\d+)", lambda m: net + str(int(m[1]) + 20), text)
        text = re.sub(r"127\.0\.2\.(\d+)", lambda m: net + str(int(m[1]) + 40), text)
        topology = f"{folder}/two-sites.yaml"
        open(topology, "w").write(text)
        process = self.start([f"{BIN}/teleport", "start", "--topology", topology, "--data-dir", f"{folder}/data"],
                             stdout=subprocess.PIPE, stderr=open(f"{folder}/log", "w"), text=True)
        if process.stdout.readline().strip() != "ready":
            fail(f"the topology did not start:\n{open(f'{folder}/log').read()[-2000:]}")
        clusters = {c["name"]: c for c in json.load(open(f"{folder}/data/topology.json"))["clusters"]}
        hub, east = clusters["hub"], clusters["east"]
        self.tctl, self.tctl_east = [[f"{BIN}/tctl", "-c", cluster["config"]] for cluster in (hub, east)]
        self.identity, self.authority = f"{folder}/id", f"{folder}/user_ca"
        for form, path in (("openssh", self.identity), ("file", f"{folder}/identity")):
            run(self.tctl + ["auth", "sign", "--user=bench", "--logins=root", f"--format={form}", f"--out={path}"])
        for kind, path in (("user", self.authority), ("host", f"{folder}/known_hosts")):
            open(path, "wb").write(run(self.tctl + ["authorities", f"--type={kind}", "export"]).stdout)
        proxy, port = self.proxy = hub["proxies"][0]["ssh"].rsplit(":", 1)
        node, node_port = hub["nodes"][0]["addr"].rsplit(":", 1)
        self.line = Line((proxy, port))
        with open(f"{folder}/ssh_config_ours", "w") as file:
            file.write(f"Host *\n  StrictHostKeyChecking yes\n  UserKnownHostsFile {folder}/known_hosts\n  LogLevel ERROR\n"
                       f"  IdentitiesOnly yes\n  IdentityFile {self.identity}\n  User root\n  Ciphers {GCM}\n"
                       f"Host far\n  HostName {self.line.host}\n  Port {self.line.port}\n  HostKeyAlias {proxy}\n")
        ssh = ["ssh", "-F", f"{folder}/ssh_config_ours"]
        jump = ssh + ["-J", f"{proxy}:{port}"]
        command = f"ProxyCommand=ssh -F {folder}/ssh_config_ours -p {port} %r@{proxy} -s proxy:%h:%p@east"
        tsh = [f"{BIN}/tsh", "-i", f"{folder}/identity", f"--proxy={hub['proxies'][0]['web']}"]
        self.bench = tsh + ["bench", "--format=json"]
        self.commands = {
            "direct": ssh + ["-p", node_port, node],
            "proxy": jump + [hub["nodes"][0]["name"] + ".hub"],
            "tunnel": jump + ["db1.east"],
            "subsystem": ssh + ["-o", command, "-p", "3022", "db1"],
            "tsh": tsh + ["ssh", "root@db1@east"],
            "sftp": ["sftp", "-q", "-F", f"{folder}/ssh_config_ours", "-b", "-", "-P", node_port, node],
        }
        self.terminals = {"tunnel": jump + ["-tt", "db1.east"], "tsh": tsh + ["ssh", "-t", "root@db1@east"]}
        far_tsh = [f"{BIN}/tsh", "-i", f"{folder}/identity", f"--proxy={self.line.host}:3080,{self.line.port}"]
        self.far = {"tunnel": ssh + ["-J", "far", "db1.east"], "tsh": far_tsh + ["ssh", "root@db1@east"]}
        self.keeper = far_tsh + ["proxy", "keep"]
        # Its socket goes into a home directory of its own, so that no other figure finds it.
        self.kept = {"tsh": ["env", f"HOME={folder}"] + self.far["tsh"]}
        self.middle = self.process_of(f"{folder}/data/hub/proxy/teleport.yaml")
        self.agent = self.process_of(f"{folder}/data/east/proxy/teleport.yaml")

    def keep(self):
        self.keeping = subprocess.Popen(self.keeper, stdout=subprocess.PIPE, env={**os.environ, "HOME": self.folder})
        self.keeping.stdout.readline()

    def end_kept(self):
        self.keeping.terminate()
        self.keeping.wait()
        self.line.round_trips()

    @staticmethod
    def process_of(config):
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = open(f"/proc/{entry}/cmdline").read().split("\0")
            except OSError:
                continue
            if config in words:
                return int(entry)
        fail(f"no process runs with -c {config}")

    def greet(self, folder, address):
        """Makes the greeter a node of the inner site, which `tsh bench --channels` then asks for."""
        with open(f"{folder}/greeter.yaml", "w") as file:
            file.write(f'kind: node\nmetadata: {{name: greeter}}\nspec: {{hostname: greeter, addr: "{address[0]}:{address[1]}"}}\n')
        run(self.tctl_east + ["create", "-f", f"{folder}/greeter.yaml"])
        self.greeting = "greeter@east"


class OpenSSH(Side):
    """sshd as jump host and as node, and the `ssh -R` between them."""

    def __init__(self, folder, net, identity, authority):
        super().__init__("openssh")
        self.folder = folder
        os.makedirs("/run/sshd", exist_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/host"])
        self.jump, self.node = (net + "201", 2222), (net + "202", 2222)
        with open(f"{folder}/ssh_config", "w") as file:
            file.write(f"Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n  IdentitiesOnly yes\n"
                       f"  IdentityFile {identity}\n  User root\n  Ciphers {GCM}\n")
        self.ssh = ["ssh", "-F", f"{folder}/ssh_config"]
        self.middle = self.sshd("jump", self.jump, authority).pid
        self.sshd("node", self.node, authority)
        self.reverse(2299, self.node)
        jump = self.ssh + ["-J", f"{self.jump[0]}:{self.jump[1]}"]
        chain = jump + ["-p", "2299", self.jump[0]]
        self.commands = {
            "direct": self.ssh + ["-p", str(self.node[1]), self.node[0]],
            "proxy": jump + ["-p", str(self.node[1]), self.node[0]],
            "tunnel": chain,
            "sftp": ["sftp", "-q", "-F", f"{folder}/ssh_config", "-b", "-", "-P", str(self.node[1]), self.node[0]],
        }
        self.terminals = {"tunnel": chain[:1] + ["-tt"] + chain[1:]}
        self.line = Line(self.jump)
        self.far = {"tunnel": self.ssh + ["-J", f"{self.line.host}:{self.line.port}", "-p", "2299", self.jump[0]]}
        self.control = self.ssh + ["-S", f"{folder}/control", "-p", self.line.port, self.line.host]
        through = " ".join(self.ssh + ["-S", f"{folder}/control", "-W", "%h:%p", self.line.host])
        self.kept = {"tunnel": self.ssh + ["-o", f"ProxyCommand={through}", "-p", "2299", self.jump[0]]}

    def keep(self):
        run(self.control[:1] + ["-f", "-N", "-M"] + self.control[1:])

    def end_kept(self):
        run(self.control[:1] + ["-O", "exit"] + self.control[1:])
        self.line.round_trips()

    def sshd(self, name, address, authority):
        config = f"{self.folder}/{name}.conf"
        with open(config, "w") as file:
            file.write(f"ListenAddress {address[0]}:{address[1]}\nHostKey {self.folder}/host\nTrustedUserCAKeys {authority}\nPidFile none\n"
                       f"PermitRootLogin yes\nAuthorizedKeysFile none\nUsePAM no\nMaxStartups 200\nMaxSessions 200\n"
                       f"GatewayPorts clientspecified\nSubsystem sftp /usr/lib/openssh/sftp-server\n")
        process = self.start([shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", config], stderr=subprocess.DEVNULL)
        wait_for(address)
        return process

    def reverse(self, port, target):
        self.start(self.ssh + ["-N", "-o", "ExitOnForwardFailure=yes", "-R", f"{self.jump[0]}:{port}:{target[0]}:{target[1]}",
                               "-p", str(self.jump[1]), self.jump[0]])
        wait_for((self.jump[0], port))

    def greet(self, folder, address):
        """A second `ssh -R` leads to the greeter, and an open `ssh -L` to that."""
        self.reverse(2298, address)
        port = free_port("127.0.0.1")
        self.start(self.ssh + ["-N", "-L", f"127.0.0.1:{port}:{self.jump[0]}:2298", "-p", str(self.jump[1]), self.jump[0]])
        wait_for(("127.0.0.1", port))
        self.greeting = ("127.0.0.1", port)


class Peer(Side):
    """Whatever a script starts: it prints one line of JSON when it is ready, and ends when its stdin does. scripts/peers/README.md says more."""

    def __init__(self, script, folder, address, identity, node):
        super().__init__(os.path.basename(script))
        os.makedirs(folder)
        environment = dict(os.environ, PEER_FOLDER=folder, PEER_ADDRESS=address, PEER_IDENTITY=identity, PEER_CIPHER=GCM,
                           PEER_NODE_HOST=node[0], PEER_NODE_PORT=str(node[1]))
        process = self.start([script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)
        line = process.stdout.readline()
        try:
            answer = json.loads(line)
            address, command = (answer["host"], int(answer["port"])), answer["command"]
        except (ValueError, KeyError, TypeError):
            fail(f"{script} printed {line!r} and not a line of JSON with host, port and command")
        wait_for(address)
        self.name = answer.get("name", self.name)
        self.middle = answer.get("pid")
        self.commands = {"tunnel": command}
        self.terminals = {"tunnel": command[:1] + ["-tt"] + command[1:]} if os.path.basename(command[0]) == "ssh" else {}

    def stop(self):
        self.processes[0].stdin.close()
        self.processes[0].wait(60)
