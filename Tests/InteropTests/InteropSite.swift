import Base
import ClusterHarness
import ClusterModel
import Config
import Crypto
import EventLoop
import SSHWire
import Testing

/// How a client comes to db1 of east.
enum Path: String, CaseIterable, Sendable, CustomTestStringConvertible {
    /// To the node's own port.
    case direct
    /// Through the hub's proxy and the tunnel of east.
    case tunnel

    var testDescription: String { rawValue }

    /// db1 as ``InteropSite/sshConfig`` and ``InteropSite/knownHosts`` name it.
    var host: String {
        switch self {
        case .direct: "db1.direct"
        case .tunnel: "db1.east"
        }
    }
}

/// A key type that users may have, with `ssh-keygen`'s words for it.
enum UserKey: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case ed25519
    case rsa
    case ecdsaP256 = "ecdsa-256"
    case ecdsaP384 = "ecdsa-384"
    case ecdsaP521 = "ecdsa-521"

    var testDescription: String { rawValue }

    /// `-t TYPE`, and `-b BITS` where there is a choice.
    fileprivate var keygenArguments: [String] {
        let parts = rawValue.split(separator: "-").map(String.init)
        return ["-t", parts[0]] + parts.dropFirst().flatMap { ["-b", $0] }
    }
}

/// Two sites of two nodes each, and somebody who may log in there, with a certificate over a key of each type.
///
/// One for all suites: nothing here is broken, and whoever writes does so in a ``workspace()`` of their own.
struct InteropSite: Sendable {
    let person: Person
    /// The port that db1 listens on, at its own address.
    let node: HostPort
    let proxy: HostPort
    let tunnelServer: HostPort
    /// What db1 shows to clients that know no host certificates.
    let nodeKey: PublicKey
    let proxyKey: PublicKey

    var harness: ClusterHarness { person.harness }
    var login: String { harness.login }
    /// The name that the person has at the proxy.
    var user: String { "ci" }

    /// For OpenSSH, and for everything that runs it: `db1.direct`, `NODE.SITE` through the proxy, and the proxy itself as `proxy.hop`.
    var sshConfig: String { "\(person.folder)/interop_config" }
    /// The authorities, as OpenSSH and asyncssh read them.
    var authorities: String { "\(person.folder)/known_hosts" }
    /// The bare host keys of proxy and node, for clients that know no host certificates.
    var knownHosts: String { "\(person.folder)/bare_known_hosts" }

    /// The private key; its certificate lies beside it in `-cert.pub`.
    func key(_ type: UserKey) -> String { "\(person.folder)/\(type.rawValue)" }
    func certificate(_ type: UserKey) -> String { key(type) + "-cert.pub" }

    private static let only = Once { try await InteropSite() }

    static func shared() async throws -> InteropSite { try await only.value() }

    /// `topologies/two-sites.yaml`, with a second node in the hub.
    private static func topology() throws -> String {
        let web1 = "      - name: web1\n"
        let web2 = "      - name: web2\n        address: 127.0.1.4\n        roles: [node]\n"
        return try ClusterHarness.text(of: "two-sites").replacing(web1, with: web2 + web1)
    }

    private init() async throws {
        let harness = try ClusterHarness(topology: try Self.topology())
        try await harness.ready()
        person = try await harness.person("ci")
        let db1 = try harness.cluster("east").nodes.first { $0.name == "db1" }
        node = try #require(db1.flatMap { HostPort($0.addr) })
        proxy = try #require(HostPort(person.proxy.ssh))
        tunnelServer = try #require(HostPort(person.proxy.tunnel))
        nodeKey = try Self.hostKey("\(harness.directory)/data/east/db1/identity/node")
        proxyKey = try Self.hostKey("\(harness.directory)/data/hub/proxy/identity/proxy")
        try FileIO.write(Array(configText.utf8), to: sshConfig)
        let lines = [(proxy, "", proxyKey), (node, "db1,db1.direct,db1.east", nodeKey)].map { address, names, key in
            "[\(address.host)]:\(address.port)\(names.isEmpty ? "" : "," + names) \(key.text())\n"
        }
        try FileIO.write(Array(lines.joined().utf8), to: knownHosts)
        try await certifyKeys()
    }

    private struct HostIdentity: Decodable {
        let ssh_certificate: String
    }

    private static func hostKey(_ path: String) throws -> PublicKey {
        try Certificate(text: try JSONText.decode(HostIdentity.self, from: try FileIO.read(path)).ssh_certificate).publicKey
    }

    private var configText: String {
        """
        Host *.direct
          HostName \(node.host)
          Port \(node.port)
          HostKeyAlias db1
        Host proxy.hop
          HostName \(proxy.host)
          Port \(proxy.port)
          User \(user)
        Host *.east *.hub
          ProxyCommand /usr/bin/ssh -F \(sshConfig) proxy.hop -s proxy:%h:0

        """ + person.sshConfig
    }

    private struct Authority: Decodable {
        struct Spec: Decodable {
            let private_keys: [String]
        }
        let spec: Spec
    }

    /// Signs each key as the hub's auth server would: `tctl auth sign` makes Ed25519 keys alone.
    private func certifyKeys() async throws {
        let shown = try await harness.tctl("hub", "get", "cert_authority/user/hub", "--with-secrets", "--format=json").succeeded()
        let authority = try #require(try JSONText.decode([Authority].self, from: shown.output).first?.spec.private_keys.first)
        let authorityPath = "\(person.folder)/user_ca"
        try FileIO.write(Array(authority.utf8), to: authorityPath)
        let extensions = [
            "permit-pty", "permit-port-forwarding", "permit-agent-forwarding", #"extension:teleport-roles=["access"]"#,
            "extension:teleport-traits={}", "extension:x-teleport-authority=hub",
        ]
        for type in UserKey.allCases {
            try await harness.runner.run("/usr/bin/ssh-keygen", ["-q", "-N", "", "-f", key(type)] + type.keygenArguments).succeeded()
            try await harness.runner.run(
                "/usr/bin/ssh-keygen",
                ["-q", "-s", authorityPath, "-I", user, "-n", login, "-V", "-1m:+1h", "-O", "clear"]
                    + extensions.flatMap { ["-O", $0] } + ["\(key(type)).pub"]
            ).succeeded()
        }
    }

    /// A new folder for one test's files; it goes with the topology. Its path is short enough for sockets.
    func workspace() throws -> String {
        let folder = "\(harness.directory)/\(SystemRandomness().uuid().prefix(8))"
        try FileIO.createDirectory(folder)
        return folder
    }

    /// A copy of ``sshConfig`` in `folder`, changed; what it starts for the way through the proxy uses the copy as well.
    ///
    /// - Returns: its path.
    func sshConfig(in folder: String, _ change: (String) -> String) throws -> String {
        let path = "\(folder)/config"
        let text = String(decoding: try FileIO.read(sshConfig), as: UTF8.self).replacing(sshConfig, with: path)
        try FileIO.write(Array(change(text).utf8), to: path)
        return path
    }

    func run(
        _ executable: String, _ arguments: [String], input: [UInt8] = [], environment: [String] = [],
        timeout: Duration = ProgramRunner.timeout
    ) async throws -> Outcome {
        try await harness.runner.run(executable, arguments, input: input, environment: environment, timeout: timeout)
    }

    func ssh(_ path: Path, _ command: String, options: [String] = [], input: [UInt8] = []) async throws -> Outcome {
        try await run("/usr/bin/ssh", ["-F", sshConfig] + options + [path.host, command], input: input)
    }
}

/// A value that whoever comes first makes, and all others wait for.
private actor Once<Value: Sendable> {
    private let make: @Sendable () async throws -> Value
    private var result: Result<Value, any Error>?
    private var isMaking = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(_ make: @escaping @Sendable () async throws -> Value) {
        self.make = make
    }

    func value() async throws -> Value {
        if let result { return try result.get() }
        if isMaking {
            await withCheckedContinuation { waiting.append($0) }
        } else {
            isMaking = true
            do { result = .success(try await make()) } catch { result = .failure(error) }
            for continuation in waiting { continuation.resume() }
            waiting = []
        }
        guard let result else { preconditionFailure("woken before there is a value") }
        return try result.get()
    }
}
