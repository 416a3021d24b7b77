import ClusterHarness
import EventLoop
import Testing

@Suite("OpenSSH's own ways", .serialized, .timeLimit(.minutes(5)))
struct OpenSSHSessionTests {
    private func bash(_ script: String, in folder: String, _ site: InteropSite, _ path: Path) async throws -> Outcome {
        try await site.run(
            "/bin/bash", ["-c", script],
            environment: ["CONFIG=\(site.sshConfig)", "NODE=\(path.host)", "KEY=\(site.key(.ed25519))", "DIR=\(folder)"])
    }

    @Test(arguments: Path.allCases)
    func `many sessions share one connection by ControlMaster`(path: Path) async throws {
        let site = try await InteropSite.shared()
        let script = """
            ssh="/usr/bin/ssh -F $CONFIG -o ControlPath=$DIR/master"
            $ssh -MNf $NODE || exit
            $ssh -O check $NODE 2>&1 | grep -c 'Master running'
            for i in {1..10}; do $ssh $NODE "cat; exit $i" <<< "in $i" >$DIR/$i & pids+=($!); done
            for i in {1..10}; do wait ${pids[i-1]}; [ $? = $i ] && grep -qx "in $i" $DIR/$i && echo $i; done
            $ssh -O exit $NODE 2>/dev/null
            """
        let outcome = try await bash(script, in: try site.workspace(), site, path)
        #expect(outcome.lines == ["1"] + (1...10).map(String.init), "\(outcome)")
    }

    @Test func `the connection to the proxy is shared by ControlMaster, the nodes behind it are many`() async throws {
        let site = try await InteropSite.shared()
        let script = """
            hop="/usr/bin/ssh -F $CONFIG -o ControlPath=$DIR/hop"
            $hop -MNf proxy.hop || exit
            for node in db1 db2 web1; do
                site=east; [ $node = web1 ] && site=hub
                /usr/bin/ssh -F $CONFIG -o "ProxyCommand=$hop -s proxy.hop proxy:$node:0@$site" $node.$site 'echo $SSH_TELEPORT_CLUSTER_NAME' &
                wait $!
            done
            $hop -O exit proxy.hop 2>/dev/null
            """
        let outcome = try await bash(script, in: try site.workspace(), site, .tunnel)
        #expect(outcome.lines == ["east", "east", "hub"], "\(outcome)")
    }

    @Test func `both hops are shared by ControlMaster at once`() async throws {
        let site = try await InteropSite.shared()
        let script = """
            hop="/usr/bin/ssh -F $CONFIG -o ControlPath=$DIR/hop"
            inner="/usr/bin/ssh -F $CONFIG -o ControlPath=$DIR/inner"
            $hop -MNf proxy.hop && $inner -MNf -o "ProxyCommand=$hop -W %h:3022 proxy.hop" $NODE || exit
            for i in {1..5}; do $inner $NODE "echo $i"; done
            $inner -O exit $NODE 2>/dev/null
            $hop -O exit proxy.hop 2>/dev/null
            """
        let outcome = try await bash(script, in: try site.workspace(), site, .tunnel)
        #expect(outcome.lines == (1...5).map(String.init), "\(outcome)")
    }

    @Test(arguments: Path.allCases)
    func `ssh-agent holds key and certificate for every hop`(path: Path) async throws {
        let site = try await InteropSite.shared()
        let folder = try site.workspace()
        _ = try site.sshConfig(in: folder) { text in
            text.replacing("IdentityAgent none", with: "IdentityAgent \(folder)/agent").replacing(
                "IdentitiesOnly yes", with: "IdentitiesOnly no"
            )
            .replacing(/IdentityFile .*/, with: "IdentityFile none")
        }
        let script = """
            eval $(ssh-agent -a $DIR/agent) >/dev/null
            trap 'kill $SSH_AGENT_PID' EXIT
            /usr/bin/ssh -F $DIR/config $NODE 'echo without' 2>/dev/null
            ssh-add -q $KEY && /usr/bin/ssh -F $DIR/config $NODE 'echo by agent'
            """
        let outcome = try await bash(script, in: folder, site, path)
        #expect(outcome.text == "by agent\n", "\(outcome)")
    }

    @Test(arguments: ["-W %h:3022 proxy.hop", "-W db1.east:3022 proxy.hop", "-W [db1.east]:3022 proxy.hop"])
    func `ssh -W goes through the proxy`(hop: String) async throws {
        let site = try await InteropSite.shared()
        let outcome = try await site.ssh(
            .tunnel, "cat; exit 3", options: ["-o", "ProxyCommand=/usr/bin/ssh -F \(site.sshConfig) \(hop)"], input: Array("through".utf8))
        #expect(outcome.exit == .status(3) && outcome.text == "through", "\(outcome)")
    }

    @Test(arguments: Path.allCases)
    func `keys are exchanged anew amid data, on every hop`(path: Path) async throws {
        let site = try await InteropSite.shared()
        let folder = try site.workspace()
        _ = try site.sshConfig(in: folder) { "RekeyLimit 1M\nLogLevel DEBUG1\n" + $0 }
        let script = """
            head -c 4M /dev/urandom >$DIR/noise
            /usr/bin/ssh -F $DIR/config $NODE cat <$DIR/noise 2>$DIR/log | cmp - $DIR/noise && echo same
            [ $(grep -c 'SSH2_MSG_NEWKEYS received' $DIR/log) -gt 3 ] && echo rekeyed
            """
        let outcome = try await bash(script, in: folder, site, path)
        #expect(outcome.lines == ["same", "rekeyed"], "\(outcome)")
    }
}
