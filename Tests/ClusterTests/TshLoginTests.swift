import Base
import ClusterHarness
import Config
import Crypto
import EventLoop
import Testing

@Suite("Signing up and logging in", .serialized, .timeLimit(.minutes(2)))
struct TshLoginTests {
    /// A code of RFC 6238 for the secret of an `otpauth` URI, so many steps from now.
    static let code = """
        code() { python3 - "$1" "$2" <<'END'
        import base64, hmac, re, struct, sys, time
        secret = re.search("secret=([A-Z2-7]+)", sys.argv[1])[1]
        digest = hmac.digest(base64.b32decode(secret + "=" * (-len(secret) % 8)), struct.pack(">Q", int(time.time()) // 30 + int(sys.argv[2])), "sha1")
        place = digest[-1] & 15
        print("%06d" % ((struct.unpack(">I", digest[place:place + 4])[0] & 0x7fffffff) % 10**6))
        END
        }
        """

    @Test func `who was invited signs up, logs in, is not asked for the pin again, and logs out`() async throws {
        let harness = try await ClusterHarness.shared()
        let proxy = try #require(try harness.cluster("hub").proxies.first)
        let script = """
            \(Self.code)
            tsh=\(harness.programs.tsh)
            invited=$(\(harness.programs.tctl) -c \(try harness.cluster("hub").config) users add newcomer \(harness.login))
            url=$(grep -o 'https://[^ ]*' <<<$invited); pin=$(grep -o 'sha256:[0-9a-f]*' <<<$invited)
            echo 'correct horse battery' >$HOME/password
            coproc signup { $tsh signup --ca-pin=$pin --password-file=$HOME/password --otp=- $url; }
            while read -r line; do
                case $line in otpauth:*) uri=$line; code "$uri" 0 >&${signup[1]};; *) last=$line;; esac
            done <&${signup[0]}
            echo "$last"
            $tsh login --proxy=\(proxy.web) --user=newcomer --ca-pin=$pin --password-file=$HOME/password --otp=$(code "$uri" 1) >$HOME/shown
            cut -d';' -f1,2 $HOME/shown
            $tsh ssh \(harness.login)@db1@east 'echo $SSH_TELEPORT_USER'
            $tsh config >$HOME/config && ssh -F $HOME/config \(harness.login)@db2.east 'echo $SSH_TELEPORT_USER'
            $tsh login 2>&1 </dev/null
            $tsh logout
            $tsh ls 2>&1
            """
        let home = "\(harness.directory)/newcomer"
        try FileIO.createDirectory(home)
        let outcome = try await harness.runner.run("/bin/bash", ["-c", script], environment: ["HOME=\(home)"])
        #expect(
            outcome.lines == [
                "newcomer is a user of hub; log in with `tsh login --proxy=\(proxy.web) --user=newcomer`",
                "logged in to hub as newcomer; logins: \(harness.login)", "newcomer", "newcomer",
                "ERROR: stdin is no terminal, so that nothing can be asked for; use --password-file=FILE",
                "logged out of \(proxy.web.prefix { $0 != ":" })",
                "ERROR: not logged in; run `tsh login --proxy=HOST --user=NAME`, or use -i IDENTITY with --proxy=HOST",
            ], "\(outcome)")
    }

    @Test func `a kind that there is not is answered with those that there are`() async throws {
        let harness = try await ClusterHarness.shared()
        let outcome = try await harness.tctl("hub", "get", "nosuch")
        #expect(outcome.exit == .status(2) && outcome.errors.contains("one of the following: user, role, "), "\(outcome)")
    }
}
