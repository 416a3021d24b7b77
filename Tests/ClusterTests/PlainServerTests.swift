import Base
import ClusterHarness
import Crypto
import EventLoop
import Testing

@Suite("An ordinary sshd as a node of a site", .serialized, .timeLimit(.minutes(5)))
struct PlainServerTests {
    @Test func `it is listed, and reached through the tunnel by ssh and by tsh`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let name = "old1"
        let server = try await PlainServer(name: name, cluster: "east", address: harness.freeAddress(1), port: 2222, harness)
        defer { server.stop() }
        try await harness.list(
            node: name, uuid: SystemRandomness().uuid(), address: "\(server.address):\(server.port)", labels: "{kind: plain}", in: "east")
        let listed = try await person.tsh("ls", "--cluster=east", "kind=plain")
        #expect(listed.text.contains(name), "\(listed)")
        for route in Person.Route.allCases {
            let outcome = try await person.ssh(route, name, "echo ${SSH_TELEPORT_HOST_UUID:-plain}; exit 4", port: "2222")
            #expect(outcome.exit == .status(4) && outcome.text == "plain\n", "\(outcome)")
        }
        let outcome = try await person.tsh("ssh", "\(harness.login)@\(name)@east", "cat; exit 4", input: Array("through".utf8))
        #expect(outcome.exit == .status(4) && outcome.text == "through", "\(outcome)")
    }
}

extension ClusterHarness {
    /// Lists a node that announces nothing itself.
    func list(node: String, uuid: String, address: String, labels: String = "{}", in cluster: String) async throws {
        let resource = """
            kind: node
            version: v1
            metadata: {name: \(uuid)}
            spec: {hostname: \(node), addr: "\(address)", labels: \(labels)}

            """
        let path = "\(directory)/\(uuid).yaml"
        try FileIO.write(Array(resource.utf8), to: path)
        let created = try await tctl(cluster, "create", path)
        #expect(created.exit == .status(0), "\(created)")
    }
}

/// `/usr/sbin/sshd` with a host certificate of the cluster, letting in whom the cluster's user authorities signed.
final class PlainServer: Sendable {
    let folder: String
    let address: String
    let port: UInt16
    private let process: LoopBound<ChildProcess>

    /// - Parameter subsystem: what it runs for SFTP.
    init(
        name: String, cluster: String, address: String, port: UInt16, subsystem: String = "internal-sftp", _ harness: ClusterHarness
    ) async throws {
        self.address = address
        self.port = port
        folder = "\(harness.directory)/sshd-\(name)"
        try FileIO.createDirectory(folder)
        // Where sshd locks its unprivileged half in.
        if UserAccounts.effectiveIdentifier == 0 { try FileIO.createDirectory("/run/sshd", mode: 0o755) }
        let signed = try await harness.tctl(cluster, "auth", "sign", "--host=\(name)", "--format=openssh", "--out=\(folder)/host")
        #expect(signed.exit == .status(0), "\(signed)")
        let authorities = try await harness.tctl(cluster, "authorities", "--type=user", "export")
        #expect(authorities.exit == .status(0), "\(authorities)")
        try FileIO.write(authorities.output, to: "\(folder)/user_ca")
        let configuration = """
            ListenAddress \(address):\(port)
            HostKey \(folder)/host
            HostCertificate \(folder)/host-cert.pub
            TrustedUserCAKeys \(folder)/user_ca
            AuthorizedKeysFile none
            PasswordAuthentication no
            StrictModes no
            UsePAM no
            PidFile none
            Subsystem sftp \(subsystem)

            """
        try FileIO.write(Array(configuration.utf8), to: "\(folder)/sshd_config")
        let folder = folder
        let command = ChildProcess.Command(
            executable: "/usr/sbin/sshd", arguments: ["/usr/sbin/sshd", "-D", "-E", "\(folder)/log", "-f", "\(folder)/sshd_config"],
            environment: harness.runner.environment, descriptors: [0: .null, 1: .null, 2: .null])
        process = try await withCheckedThrowingContinuation { continuation in
            harness.eventLoop.post { loop in
                continuation.resume(with: Result { LoopBound(try ChildProcess(command, on: loop.inside) { _ in }, on: loop.inside) })
            }
        }
        // It listens a moment after it has been started.
        let listening = try await harness.runner.run(
            "/bin/bash",
            ["-c", "for i in {1..200}; do (exec 3<>/dev/tcp/\(address)/\(port)) 2>/dev/null && exit 0; sleep 0.05; done; exit 1"])
        #expect(
            listening.exit == .status(0),
            "sshd does not listen: \(String(decoding: (try? FileIO.read("\(folder)/log")) ?? [], as: UTF8.self))")
    }

    func stop() {
        let process = process
        process.eventLoop.post { loop in process.value(on: loop)?.signal(.terminate) }
    }
}
