import Base
import ClusterHarness
import EventLoop
import Testing

@Suite("OpenSSH's forwards", .serialized, .timeLimit(.minutes(5)))
struct OpenSSHForwardTests {
    /// Runs `script` while a connection with `forward` is up: `$NEAR` is an address of this test's own.
    private func bash(_ path: Path, number: UInt8, forward: String, _ script: String) async throws -> Outcome {
        let site = try await InteropSite.shared()
        let begin = """
            ssh="/usr/bin/ssh -F $CONFIG -o ControlPath=$DIR/master"
            $ssh -MNf -o ExitOnForwardFailure=yes \(forward) $NODE
            trap '$ssh -O exit $NODE 2>/dev/null' EXIT

            """
        return try await site.run(
            "/bin/bash", ["-ec", begin + script],
            environment: [
                "CONFIG=\(site.sshConfig)", "NODE=\(path.host)", "DIR=\(try site.workspace())", "KEY=\(site.key(.ecdsaP256))",
                "NEAR=\(site.harness.freeAddress(number + (path == .direct ? 0 : 1)))", "TARGET=\(site.node.host)",
            ])
    }

    /// An SSH connection within the forwarded one, with 2 MB through it.
    private static let sshThrough = """
        head -c 2M /dev/urandom >$DIR/noise
        /usr/bin/ssh -F $CONFIG -o HostName=$NEAR -p 2200 db1.direct cat <$DIR/noise | cmp - $DIR/noise && echo same
        """

    @Test(arguments: Path.allCases)
    func `-L leads from here to where the node can dial`(path: Path) async throws {
        let outcome = try await bash(path, number: 10, forward: "-L $NEAR:2200:$TARGET:3022", Self.sshThrough)
        #expect(outcome.lines == ["same"], "\(outcome)")
    }

    @Test(.needs(.curl), arguments: Path.allCases)
    func `-D lets curl go wherever the node can dial`(path: Path) async throws {
        let script = """
            head -c 300001 /dev/urandom >$DIR/noise
            curl -sS --insecure --socks5-hostname $NEAR:1080 --key $KEY --pubkey $KEY-cert.pub -u $(id -un): scp://$TARGET:3022$DIR/noise |
                cmp - $DIR/noise && echo same
            """
        let outcome = try await bash(path, number: 12, forward: "-D $NEAR:1080", script)
        #expect(outcome.lines == ["same"], "\(outcome)")
    }
    @Test(arguments: Path.allCases)
    func `-R leads from a port of the node's to where the client can dial`(path: Path) async throws {
        let script = """
            port=$($ssh -O forward -R 0:$TARGET:3022 $NODE)
            head -c 2M /dev/urandom >$DIR/noise
            /usr/bin/ssh -F $CONFIG -o HostName=127.0.0.1 -p $port db1.direct cat <$DIR/noise | cmp - $DIR/noise && echo same
            """
        let outcome = try await bash(path, number: 14, forward: "", script)
        #expect(outcome.lines == ["same"], "\(outcome)")
    }

    @Test(arguments: Path.allCases)
    func `unix sockets are forwarded either way, and so is the agent`(path: Path) async throws {
        let script = """
            eval $(ssh-agent -a $DIR/agent) >/dev/null
            trap 'kill $SSH_AGENT_PID; $ssh -O exit $NODE 2>/dev/null' EXIT
            ssh-add -q $KEY
            ssh-add -l >$DIR/keys
            for socket in near far; do SSH_AUTH_SOCK=$DIR/$socket ssh-add -l | cmp - $DIR/keys && echo $socket; done
            /usr/bin/ssh -F $CONFIG -A -o IdentityAgent=$DIR/agent $NODE 'ssh-add -l' | cmp - $DIR/keys && echo agent
            """
        let outcome = try await bash(path, number: 16, forward: "-L $DIR/near:$DIR/agent -R $DIR/far:$DIR/agent", script)
        #expect(outcome.lines == ["near", "far", "agent"], "\(outcome)")
    }
}
