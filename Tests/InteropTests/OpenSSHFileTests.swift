import ClusterHarness
import EventLoop
import Testing

@Suite("Files by OpenSSH's scp and sftp", .serialized, .timeLimit(.minutes(10)))
struct OpenSSHFileTests {
    enum Program: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case sftp
        /// `scp` as it is since OpenSSH 9: SFTP underneath.
        case scp
        /// `scp -O`: the old protocol.
        case oldSCP = "scp -O"

        var testDescription: String { rawValue }

        /// Shell functions `put LOCAL REMOTE` and `get REMOTE LOCAL`, folders with all they hold, modes and times kept.
        var functions: String {
            switch self {
            case .sftp:
                """
                put() { sftp -q -F $CONFIG -b - $NODE <<<"put -pR \\"$1\\" \\"$2\\"" >/dev/null; }
                get() { sftp -q -F $CONFIG -b - $NODE <<<"get -pR \\"$1\\" \\"$2\\"" >/dev/null; }
                """
            case .scp, .oldSCP:
                """
                put() { \(rawValue) -qprF $CONFIG "$1" "$NODE:$2"; }
                get() { \(rawValue) -qprF $CONFIG "$NODE:$1" "$2"; }
                """
            }
        }
    }

    private func bash(_ path: Path, _ script: String, timeout: Duration = ProgramRunner.timeout) async throws -> Outcome {
        let site = try await InteropSite.shared()
        return try await site.run(
            "/bin/bash", ["-ec", script],
            environment: ["CONFIG=\(site.sshConfig)", "NODE=\(path.host)", "DIR=\(try site.workspace())"], timeout: timeout)
    }

    @Test(arguments: Program.allCases, Path.allCases)
    func `files of every size come there and back unchanged`(program: Program, path: Path) async throws {
        let script = """
            \(program.functions)
            for size in 0 1 32767 32768 32769 1000000; do
                head -c $size /dev/urandom >$DIR/here
                put $DIR/here $DIR/there && get $DIR/there $DIR/back
                cmp $DIR/here $DIR/there && cmp $DIR/here $DIR/back && echo $size
            done
            """
        let outcome = try await bash(path, script)
        #expect(outcome.lines == ["0", "1", "32767", "32768", "32769", "1000000"], "\(outcome)")
    }

    @Test(arguments: Program.allCases, Path.allCases)
    func `a tree comes there and back with odd names, modes and times`(program: Program, path: Path) async throws {
        let script = """
            \(program.functions)
            mkdir -p "$DIR/here/a folder/ö" "$DIR/here/empty"
            cd "$DIR/here"
            echo 1 >"a folder/ö/two  blanks" && echo 2 >-dash && echo 3 >.hidden && echo 4 >'star*' && echo 5 >"quote'" && echo 6 >\\$dollar
            chmod 0640 -- -dash && chmod 0755 .hidden && chmod 0750 "a folder"
            touch -d '2001-02-03 04:05:06' -- -dash && touch -d '2011-02-03 04:05:06' "a folder/ö"
            put $DIR/here $DIR/there && get $DIR/there $DIR/back
            for copy in there back; do
                diff <(cd $DIR/here; find . -printf '%P %m %Ts %s\\n' | sort) <(cd $DIR/$copy; find . -printf '%P %m %Ts %s\\n' | sort)
                diff -r $DIR/here $DIR/$copy && echo same
            done
            """
        let outcome = try await bash(path, script)
        #expect(outcome.lines == ["same", "same"], "\(outcome)")
    }

    /// What `head -c` takes: past a rekey where it has the longest way. Programs that were built for debugging move a megabyte a second.
    private static func large(_ path: Path) -> String {
        guard BuiltPrograms.areOptimized else { return "4M" }
        return path == .tunnel ? "1025M" : "64M"
    }

    @Test(.serialized, arguments: Program.allCases, Path.allCases)
    func `a large file comes there and back unchanged`(program: Program, path: Path) async throws {
        let script = """
            \(program.functions)
            head -c \(Self.large(path)) /dev/urandom >$DIR/here
            put $DIR/here $DIR/there && get $DIR/there $DIR/back
            cmp $DIR/here $DIR/there && cmp $DIR/here $DIR/back && echo same
            rm $DIR/here $DIR/there $DIR/back
            """
        let outcome = try await bash(path, script, timeout: .seconds(280))
        #expect(outcome.lines == ["same"], "\(outcome)")
    }

    @Test(arguments: Path.allCases)
    func `sftp does all that it can be told`(path: Path) async throws {
        let script = """
            cd $DIR && echo hello >one
            sftp -q -F $CONFIG -b - $NODE <<END
            cd $DIR
            mkdir made
            put one made/two
            rename made/two made/three
            chmod 600 made/three
            symlink three made/link
            ln made/three made/hard
            ls -1 made
            get made/link fetched
            rm made/hard
            rm made/link
            rm made/three
            rmdir made
            reget one again
            df
            END
            cat fetched again
            """
        let outcome = try await bash(path, script)
        let listed = outcome.lines.filter { !$0.hasPrefix("sftp>") }
        #expect(outcome.exit == .status(0), "\(outcome)")
        for name in ["made/hard", "made/link", "made/three"] { #expect(listed.contains { $0.hasPrefix(name) }, "\(outcome)") }
        #expect(listed.suffix(2) == ["hello", "hello"], "\(outcome)")
    }

    @Test(arguments: Path.allCases)
    func `what is not there, or may not be read, is said so`(path: Path) async throws {
        let script = """
            for scp in 'scp -q' 'scp -Oq'; do $scp -F $CONFIG $NODE:$DIR/nothing $DIR/x || echo $?; done
            sftp -q -F $CONFIG -b - $NODE <<<"get $DIR/nothing $DIR/x" >/dev/null || echo $?
            """
        let outcome = try await bash(path, script)
        #expect(outcome.lines == ["1", "1", "1"], "\(outcome)")
        #expect(outcome.errors.ranges(of: "o such file").count + outcome.errors.ranges(of: "not found").count == 3, "\(outcome)")
    }

    @Test(arguments: Path.allCases)
    func `a download that broke off goes on where it was`(path: Path) async throws {
        let script = """
            head -c 1M /dev/urandom >$DIR/whole && head -c 300000 $DIR/whole >$DIR/part
            sftp -q -F $CONFIG -b - $NODE <<<"reget $DIR/whole $DIR/part" >/dev/null
            cmp $DIR/whole $DIR/part && echo same
            """
        let outcome = try await bash(path, script)
        #expect(outcome.lines == ["same"], "\(outcome)")
    }
}
