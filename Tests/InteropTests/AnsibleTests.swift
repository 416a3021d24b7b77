import Base
import ClusterHarness
import EventLoop
import Testing

@Suite("Ansible", .needs(.ansible), .serialized, .timeLimit(.minutes(5)))
struct AnsibleTests {
    /// How files come to a host (`ANSIBLE_SSH_TRANSFER_METHOD`).
    enum Transfer: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case piped, sftp, scp

        var testDescription: String { rawValue }
    }

    /// The nodes of both sites; db1 by either way.
    static let hosts = ["db1.east", "db2.east", "web1.hub", "web2.hub", Path.direct.host]

    static let playbook = """
        - hosts: all
          gather_facts: false
          vars:
            place: "{{ folder }}/{{ inventory_hostname }}"
          tasks:
            - file: {path: "{{ place }}", state: directory}
            - copy: {src: "{{ folder }}/noise", dest: "{{ place }}/copied", mode: "0640"}
            - template: {src: "{{ folder }}/template.j2", dest: "{{ place }}/made"}
            - command: sh -c 'cat made; echo $SSH_TELEPORT_CLUSTER_NAME'
              args: {chdir: "{{ place }}"}
              register: ran
              changed_when: false
            - fetch: {src: "{{ place }}/copied", dest: "{{ folder }}/fetched/{{ inventory_hostname }}", flat: true}
            - debug: {msg: "said {{ inventory_hostname }}: {{ ran.stdout_lines | join(' ') }}"}

        """

    @Test(arguments: Transfer.allCases, [true, false])
    func `a playbook copies, templates, runs and fetches on nodes of two sites`(
        transfer: Transfer, persists: Bool
    ) async throws {
        let site = try await InteropSite.shared()
        let folder = try site.workspace()
        // One interpreter for all, as the nodes are one machine; the inventory has no other variables.
        let inventory = Self.hosts.map { $0 + " ansible_python_interpreter=/usr/bin/python3\n" }.joined()
        for (name, text) in [("inventory", inventory), ("playbook.yml", Self.playbook), ("template.j2", "for {{ inventory_hostname }}\n")] {
            try FileIO.write(Array(text.utf8), to: "\(folder)/\(name)")
        }
        let script = """
            cd $DIR && head -c 1M /dev/urandom >noise
            ansible-playbook -f 20 -i inventory -e folder=$DIR playbook.yml
            for host in fetched/*; do cmp $host noise; done
            """
        let arguments = "-F \(site.sshConfig) " + (persists ? "-o ControlMaster=auto -o ControlPersist=60" : "-o ControlMaster=no")
        let outcome = try await site.run(
            "/bin/bash", ["-ec", script],
            environment: [
                "DIR=\(folder)", "HOME=\(folder)", "ANSIBLE_SSH_TRANSFER_METHOD=\(transfer.rawValue)", "ANSIBLE_SSH_ARGS=\(arguments)",
                "ANSIBLE_SSH_CONTROL_PATH_DIR=\(folder)", "ANSIBLE_LOCAL_TEMP=\(folder)/local", "ANSIBLE_REMOTE_TEMP=\(folder)/remote",
                "ANSIBLE_NOCOLOR=1",
            ], timeout: .seconds(180))
        #expect(outcome.exit == .status(0), "\(outcome)")
        for host in Self.hosts {
            let cluster = host.hasSuffix(".hub") ? "hub" : "east"
            #expect(outcome.text.contains("said \(host): for \(host) \(cluster)"), "\(outcome)")
            let isDone = outcome.lines.contains { $0.hasPrefix(host) && $0.contains("failed=0") && $0.contains("unreachable=0") }
            #expect(isDone, "\(outcome)")
        }
        #expect(try FileIO.list("\(folder)/fetched").count == Self.hosts.count)
        if persists {
            // Ansible leaves its masters running.
            let ended = """
                for socket in $DIR/*; do [ -S $socket ] && /usr/bin/ssh -F \(site.sshConfig) -o ControlPath=$socket -O exit x; done; true
                """
            try await site.run("/bin/bash", ["-c", ended], environment: ["DIR=\(folder)"]).succeeded()
        }
    }
}
