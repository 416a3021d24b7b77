import Base
import ClusterHarness
import Crypto
import EventLoop
import Testing

@Suite("tsh agent", .serialized, .timeLimit(.minutes(5)))
struct TshAgentTests {
    private func run(_ script: String, _ person: Person) async throws -> Outcome {
        let home = try person.logIn(home: "\(person.folder)/agent-home")
        let all = """
            export HOME=\(home); tsh=\(person.harness.programs.tsh)
            eval $($tsh agent) >/dev/null || exit
            trap 'kill $SSH_AGENT_PID 2>/dev/null' EXIT
            \(script)
            """
        return try await person.harness.runner.run("/bin/bash", ["-c", all])
    }

    @Test func `ssh gets in with what it serves alone`() async throws {
        let person = try await ClusterHarness.shared().person()
        let proxy = "ssh -F $HOME/ssh_config -p 3023 %r@\(person.proxyHost) -s proxy:%h:%p@east"
        let outcome = try await run(
            """
            grep -v Identit \(person.sshConfigPath) > $HOME/ssh_config
            ssh-add -l | grep -c 'teleport:ci@hub (ED25519-CERT)'
            ssh -F $HOME/ssh_config -o ProxyCommand='\(proxy)' db1 'echo in; exit 3'; echo $?
            """, person)
        #expect(outcome.lines == ["1", "in", "3"], "\(outcome)")
    }

    @Test func `its socket is for its owner alone, and goes with it`() async throws {
        let person = try await ClusterHarness.shared().person()
        let outcome = try await run(
            """
            stat -c %a $SSH_AUTH_SOCK $(dirname $SSH_AUTH_SOCK)
            eval $($tsh agent --kill) >/dev/null; echo ${SSH_AUTH_SOCK-unset}
            """, person)
        #expect(outcome.lines == ["600", "700", "unset"], "\(outcome)")
    }

    @Test func `keys can be added, and a logout is seen at once`() async throws {
        let person = try await ClusterHarness.shared().person()
        let outcome = try await run(
            """
            ssh-keygen -q -t ed25519 -N '' -C mine -f $HOME/mine; ssh-add -q $HOME/mine; ssh-add -l | cut -d' ' -f3
            $tsh logout >/dev/null; ssh-add -l | cut -d' ' -f3
            """, person)
        #expect(outcome.lines == ["teleport:ci@hub", "teleport:ci@hub", "mine", "mine"], "\(outcome)")
    }

    @Test func `an agent that runs already is given the certificate`() async throws {
        let person = try await ClusterHarness.shared().person()
        let outcome = try await person.harness.runner.run(
            "/bin/bash",
            [
                "-c",
                """
                export HOME=\(try person.logIn(home: "\(person.folder)/agent-home")); eval $(ssh-agent) >/dev/null; theirs=$SSH_AUTH_SOCK; pid=$SSH_AGENT_PID
                eval $(\(person.harness.programs.tsh) agent) >/dev/null; kill $SSH_AGENT_PID
                SSH_AUTH_SOCK=$theirs ssh-add -l | grep -c 'teleport:ci@hub'; kill $pid
                """,
            ])
        #expect(outcome.text == "1\n", "\(outcome)")
    }
}
