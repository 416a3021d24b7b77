import ClusterHarness
import Testing

@Suite("paramiko", .needs(.paramiko), .serialized, .timeLimit(.minutes(5)))
struct ParamikoTests {
    /// Everything by paramiko itself: the way through the proxy is a channel of its own connection there.
    private static let prelude = """
        import hashlib, os, sys, threading
        import paramiko

        path, node, proxy, known_hosts, login, user = sys.argv[1:7]

        def address(text):
            host, port = text.rsplit(":", 1)
            return host, int(port)

        def start(transport, name, key, login, options={}):
            for attribute, value in options.items():
                setattr(transport.get_security_options(), attribute, (value,))
            transport.start_client(timeout=60)
            if not paramiko.HostKeys(known_hosts).check(name, transport.get_remote_server_key()):
                sys.exit("host key of %s is not the one known" % name)
            transport.auth_publickey(login, key)
            return transport

        def load(kind, file, certified=True):
            key = getattr(paramiko, kind).from_private_key_file(file)
            if certified:
                key.load_certificate(file + "-cert.pub")
            return key

        def connect(key, options={}):
            if path == "direct":
                return start(paramiko.Transport(address(node)), "[%s]:%d" % address(node), key, login, options)
            through = start(paramiko.Transport(address(proxy)), "[%s]:%d" % address(proxy), key, user)
            channel = through.open_channel("direct-tcpip", ("db1.east", 3022), ("127.0.0.1", 0), timeout=60)
            return start(paramiko.Transport(channel), "db1.east", key, login, options)

        def run(transport, command, data=b""):
            channel = transport.open_session()
            channel.exec_command(command)
            channel.sendall(data)
            channel.shutdown_write()
            return channel.makefile().read(), channel.makefile_stderr().read()[-5:], channel.recv_exit_status()

        """

    private func python(_ path: Path, _ script: String, _ arguments: [String] = []) async throws -> [String] {
        let site = try await InteropSite.shared()
        let fixed = [path.rawValue, "\(site.node)", "\(site.proxy)", site.knownHosts, site.login, site.user]
        return try await site.run(Tool.python, ["-W", "ignore", "-c", Self.prelude + script] + fixed + arguments).succeeded().lines
    }

    private static func kind(_ key: UserKey) -> String {
        switch key {
        case .ed25519: "Ed25519Key"
        case .rsa: "RSAKey"
        case .ecdsaP256, .ecdsaP384, .ecdsaP521: "ECDSAKey"
        }
    }

    @Test(arguments: Path.allCases)
    func `a certificate over each type of key logs in, and a command has its input, outputs and status`(path: Path) async throws {
        let site = try await InteropSite.shared()
        let script = """
            for kind, file in zip(sys.argv[7::2], sys.argv[8::2]):
                print(kind, run(connect(load(kind, file)), "cat; echo oops >&2; exit 3", b"in"))
            """
        let lines = try await python(path, script, UserKey.allCases.flatMap { [Self.kind($0), site.key($0)] })
        #expect(lines == UserKey.allCases.map { "\(Self.kind($0)) (b'in', b'oops\\n', 3)" })
    }

    @Test(arguments: Path.allCases)
    func `each method that both have is agreed on, and carries data both ways`(path: Path) async throws {
        let site = try await InteropSite.shared()
        let script = """
            noise = os.urandom(100000)
            for attribute, value in [method.split("=") for method in sys.argv[8:]]:
                transport = connect(load("Ed25519Key", sys.argv[7]), {attribute: value})
                output, errors, status = run(transport, "cat", noise)
                # The one method of key exchange that was offered is the one that was agreed on.
                agreed = {"kex": value, "ciphers": transport.remote_cipher, "digests": transport.remote_mac}
                print(attribute, agreed[attribute], output == noise, status)
            """
        let methods: [(String, String)] =
            [
                "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
            ].map { ("kex", $0) } + ["aes128-ctr", "aes192-ctr", "aes256-ctr"].map { ("ciphers", $0) }
            + ["hmac-sha2-256", "hmac-sha2-512", "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"].map { ("digests", $0) }
        let lines = try await python(path, script, [site.key(.ed25519)] + methods.map { "\($0.0)=\($0.1)" })
        #expect(lines == methods.map { "\($0.0) \($0.1) True 0" })
    }

    /// Between data: when something comes amid its own exchange, paramiko 2.12 waits for itself, with any server.
    @Test(arguments: Path.allCases)
    func `keys are exchanged anew while a session is open`(path: Path) async throws {
        let site = try await InteropSite.shared()
        let script = #"""
            transport = connect(load("Ed25519Key", sys.argv[7]))
            channel = transport.open_session()
            channel.settimeout(60)
            channel.exec_command("cat")
            for line in [b"one\n", b"two\n", b"three\n"]:
                before = transport.session_id, transport.H
                transport.renegotiate_keys()
                channel.sendall(line)
                print(transport.session_id == before[0], transport.H != before[1], channel.makefile().readline().strip())
            """#
        #expect(try await python(path, script, [site.key(.ed25519)]) == ["one", "two", "three"].map { "True True \($0)" })
    }

    @Test(arguments: Path.allCases)
    func `a shell has the terminal that was asked for, and hears that it changes`(path: Path) async throws {
        let site = try await InteropSite.shared()
        let script = #"""
            channel = connect(load("Ed25519Key", sys.argv[7])).open_session()
            channel.settimeout(60)
            channel.get_pty("vt100", 101, 33)
            channel.invoke_shell()
            shown = b""
            def until(text):
                global shown
                while text not in shown:
                    piece = channel.recv(4096)
                    if not piece:
                        sys.exit("ended: %r" % shown)
                    shown += piece
            channel.sendall("stty size; echo $TERM\n")
            until(b"33 101\r\nvt100\r\n")
            channel.resize_pty(120, 50)
            channel.sendall("stty size; exit 4\n")
            until(b"50 120\r\n")
            print(channel.recv_exit_status())
            """#
        #expect(try await python(path, script, [site.key(.ed25519)]) == ["4"])
    }

    @Test(arguments: Path.allCases)
    func `twenty sessions at once on one connection get each their own output`(path: Path) async throws {
        let site = try await InteropSite.shared()
        let script = #"""
            transport = connect(load("Ed25519Key", sys.argv[7]))
            outputs = {}
            def one(number):
                outputs[number] = run(transport, "cat; echo %d; exit %d" % (number, number), b"a")
            threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            print(outputs == {number: (b"a%d\n" % number, b"", number) for number in range(20)})
            """#
        #expect(try await python(path, script, [site.key(.ed25519)]) == ["True"])
    }

    @Test(arguments: Path.allCases)
    func `files come there and back by SFTP, and are renamed, linked, changed and removed`(path: Path) async throws {
        let site = try await InteropSite.shared()
        let script = #"""
            folder = sys.argv[8]
            sftp = connect(load("Ed25519Key", sys.argv[7])).open_sftp_client()
            for size in [0, 1, 32767, 32768, 32769, 3000000]:
                noise = os.urandom(size)
                with sftp.open(folder + "/there", "wb") as file:
                    file.set_pipelined(True)
                    file.write(noise)
                with sftp.open(folder + "/there", "rb") as file:
                    file.prefetch()
                    print(size, file.read() == noise, sftp.stat(folder + "/there").st_size == size)
            name = "ö 'x'\n*"
            sftp.mkdir(folder + "/made", 0o750)
            sftp.rename(folder + "/there", folder + "/made/" + name)
            sftp.symlink(name, folder + "/made/link")
            print(sorted(sftp.listdir(folder + "/made")) == ["link", name], sftp.readlink(folder + "/made/link") == name)
            print(sftp.normalize(folder + "/made/../made") == folder + "/made")
            sftp.truncate(folder + "/made/link", 100)
            sftp.chmod(folder + "/made/link", 0o640)
            sftp.utime(folder + "/made/link", (981173106, 981173106))
            got = os.stat(folder + "/made/" + name)
            print(oct(got.st_mode), got.st_size, int(got.st_mtime), oct(sftp.lstat(folder + "/made").st_mode))
            with sftp.open(folder + "/made/link", "r+b") as file:
                file.seek(50)
                file.write(b"middle")
                file.seek(48)
                print(len(file.read()))
            sftp.posix_rename(folder + "/made/" + name, folder + "/one")
            for path, call in [("/nothing", sftp.stat), ("/made", sftp.rmdir), ("/nothing", sftp.remove)]:
                try:
                    call(folder + path)
                except OSError as error:
                    print(call.__name__, error.errno)
            """#
        let lines = try await python(path, script, [site.key(.ed25519), try site.workspace()])
        #expect(
            lines == ["0", "1", "32767", "32768", "32769", "3000000"].map { "\($0) True True" }
                + ["True True", "True", "0o100640 100 981173106 0o40750", "52", "stat 2", "rmdir None", "remove 2"])
    }

    @Test(arguments: Path.allCases)
    func `a bare key is refused`(path: Path) async throws {
        let site = try await InteropSite.shared()
        let script = """
            try:
                connect(load("Ed25519Key", sys.argv[7], certified=False))
            except paramiko.AuthenticationException as error:
                print(type(error).__name__)
            """
        #expect(try await python(path, script, [site.key(.ed25519)]) == ["AuthenticationException"])
    }
}
