import ClusterHarness
import EventLoop
import Testing

/// Whatever somebody's shell, cron or script gives `tsh ssh` for stdin and stdout.
@Suite("The standard streams of tsh ssh", .serialized, .timeLimit(.minutes(3)))
struct StandardStreamsTests {
    @Test(arguments: ["pipes", "files", "named pipes", "sockets", "a terminal", "the null device"])
    func `what goes in comes out`(kind: String) async throws {
        try await check(kind, "same")
    }

    @Test func `what was written before tsh began, by somebody who is gone, arrives with its end`() async throws {
        try await check("a finished writer", "same")
    }

    @Test func `a reader who lets tsh wait for long misses nothing`() async throws {
        try await check("a slow reader", "same")
    }

    @Test func `tsh ends when nobody reads its output any more`() async throws {
        try await check("a lost reader", "ended")
    }

    @Test func `who shares a pipe with tsh does not see it made non-blocking`() async throws {
        try await check("shared pipes", "blocking")
    }

    private func check(_ kind: String, _ expected: String) async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let place = "\(harness.login)@db1@east"
        let outcome = try await harness.runner.run(
            "/usr/bin/python3", ["-c", Self.program, person.folder, kind, harness.programs.tsh] + person.tshArguments + ["ssh", place])
        #expect(outcome.exit == .status(0) && outcome.text == expected + "\n", "\(outcome)")
    }

    private static let program = """
        import array, fcntl, os, pty, socket, subprocess, sys, termios, threading

        folder, kind, tsh = sys.argv[1], sys.argv[2], sys.argv[3:]
        sent = os.urandom(3_000_001)

        def start(command, stdin, stdout):
            return subprocess.Popen(tsh + [command], stdin=stdin, stdout=stdout)

        def all_of(read):
            parts = []
            while part := read(65536): parts.append(part)
            return b"".join(parts)

        def in_background(write, end):
            def work():
                rest = memoryview(sent)
                while rest: rest = rest[write(rest):]
                end()
            threading.Thread(target=work, daemon=True).start()

        def say_same(received, process):
            status = process.wait()
            print("same" if received == sent and status == 0 else f"{len(received)} bytes, status {status}")

        def held(descriptor):
            count = array.array("i", [0])
            fcntl.ioctl(descriptor, termios.FIONREAD, count)
            return count[0]

        if kind == "pipes":
            process = start("cat", subprocess.PIPE, subprocess.PIPE)
            in_background(lambda part: os.write(process.stdin.fileno(), part), process.stdin.close)
            say_same(process.stdout.read(), process)
        elif kind == "files":
            with open(f"{folder}/in", "wb") as file: file.write(sent)
            with open(f"{folder}/in", "rb") as file, open(f"{folder}/out", "wb") as out:
                process = start("cat", file, out)
            process.wait()
            say_same(open(f"{folder}/out", "rb").read(), process)
        elif kind == "named pipes":
            for name in ["from", "to"]: os.mkfifo(f"{folder}/{name}")
            process = subprocess.Popen(["sh", "-c", 'f=$1; shift; exec "$@" cat <"$f/from" >"$f/to"', "sh", folder] + tsh)
            source, sink = os.open(f"{folder}/from", os.O_WRONLY), os.open(f"{folder}/to", os.O_RDONLY)
            in_background(lambda part: os.write(source, part), lambda: os.close(source))
            say_same(all_of(lambda count: os.read(sink, count)), process)
        elif kind == "sockets":
            ours, theirs = socket.socketpair()
            process = start("cat", theirs, theirs)
            theirs.close()
            in_background(ours.send, lambda: ours.shutdown(socket.SHUT_WR))
            say_same(all_of(ours.recv), process)
        elif kind == "a terminal":
            ours, theirs = pty.openpty()
            modes = termios.tcgetattr(theirs)
            modes[1] &= ~termios.OPOST
            modes[3] &= ~termios.ECHO
            termios.tcsetattr(theirs, termios.TCSANOW, modes)
            sent = b"a line\\n" * 500
            process = start("cat", theirs, theirs)
            os.close(theirs)
            received = b""
            for number in range(500):
                os.write(ours, b"a line\\n")
                while len(received) < 7 * (number + 1): received += os.read(ours, 4096)
            os.write(ours, b"\\x04")
            say_same(received, process)
        elif kind == "the null device":
            process = start("wc -c; exit 7", subprocess.DEVNULL, subprocess.PIPE)
            first = (process.stdout.read().strip(), process.wait())
            second = start("head -c 3000000 /dev/zero; exit 7", subprocess.DEVNULL, subprocess.DEVNULL).wait()
            print("same" if (first, second) == ((b"0", 7), 7) else (first, second))
        elif kind == "a finished writer":
            source, sink = os.pipe()
            sent = sent[:10_000]
            os.write(sink, sent)
            os.close(sink)
            process = start("cat", source, subprocess.PIPE)
            os.close(source)
            say_same(process.stdout.read(), process)
        elif kind == "a slow reader":
            count = 40_000_000
            process = start(f"head -c {count} /dev/zero | tr '\\\\0' x", subprocess.DEVNULL, subprocess.PIPE)
            pipe = process.stdout.fileno()
            # Until tsh has filled the pipe, and so waits itself.
            while held(pipe) < fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) - 65536: os.sched_yield()
            sent = b"x" * count
            say_same(process.stdout.read(), process)
        elif kind == "a lost reader":
            process = start("while echo more; do :; done", subprocess.DEVNULL, subprocess.PIPE)
            process.stdout.read(3)
            process.stdout.close()
            process.wait()
            print("ended")
        elif kind == "shared pipes":
            source, sink = os.pipe()
            back, out = os.pipe()
            process = start("cat", source, out)
            os.write(sink, b"x")
            os.read(back, 1)
            flags = [fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_NONBLOCK for descriptor in (source, sink, back, out)]
            os.close(sink)
            process.wait()
            print("blocking" if not any(flags) else flags)
        """
}
