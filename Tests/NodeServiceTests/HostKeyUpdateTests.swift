import Base
import Crypto
import EventLoop
import SSHEngine
import SSHNet
import SSHWire
import Testing

@Suite("PROTOCOL, host key update", .timeLimit(.minutes(1)))
struct HostKeyUpdateTests {
    private static let update = ["-o", "UpdateHostKeys=yes", "-o", "LogLevel=INFO"]

    @Test func `a client that trusts the authority alone learns nothing and is not upset`() async throws {
        let node = try await TestNode()
        let key = try node.write()
        let before = try FileIO.read("\(node.directory)/known_hosts")
        let outcome = try await node.run("/usr/bin/ssh", node.arguments(key: key, options: Self.update) + ["echo in"])
        #expect(outcome.text == "in\n" && outcome.errors.isEmpty, "\(outcome.errors)")
        #expect(try FileIO.read("\(node.directory)/known_hosts") == before)
    }

    @Test func `a client that knows one key learns the others, each proven`() async throws {
        let new = try PrivateKey(generating: .ecdsaP256, randomness: SystemRandomness())
        let node = try await TestNode(furtherHostKeys: [HostKey(key: new, certificate: nil)])
        let key = try node.write()
        let hosts = "\(node.directory)/known_hosts"
        let known = KnownHostsLine(marker: nil, patterns: [TestNode.hostname], key: node.hostPublicKey).line
        try FileIO.write(Array("\(known)\n".utf8), to: hosts)
        let options = Self.update + ["-o", "HostKeyAlgorithms=ssh-ed25519,ecdsa-sha2-nistp256"]
        let first = try await node.run("/usr/bin/ssh", node.arguments(key: key, options: options) + ["true"])
        #expect(first.exit == .status(0), "\(first.errors)")
        let learnt = String(decoding: try FileIO.read(hosts), as: UTF8.self)
        #expect(learnt.contains(new.publicKey.text()), "\(learnt)\(first.errors)")
        let second = try await node.run(
            "/usr/bin/ssh", node.arguments(key: key, options: ["-o", "HostKeyAlgorithms=ecdsa-sha2-nistp256"]) + ["true"])
        #expect(second.exit == .status(0), "\(second.errors)")
    }

    @Test func `a stranger's key, none and more than there are get no proof`() async throws {
        let node = try await TestNode()
        let stranger = PrivateKey.generate(randomness: SystemRandomness()).publicKey.blob
        let own = node.hostPublicKey.blob
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(to: node, on: eventLoop.inside)
            for keys in [[], [stranger], [own, own], [own, stranger], [[]]] {
                #expect(await client.ask(.hostKeysProve(keys)) == .failure)
            }
            guard case .success(let payload) = await client.ask(.hostKeysProve([own])) else {
                Issue.record("no proof")
                return
            }
            #expect(client.globalRequests == ["hostkeys-00@openssh.com"])
            let signed = GlobalRequestType.hostKeyProof(of: own, sessionIdentifier: try #require(client.connection).sessionIdentifier)
            #expect(throws: Never.self) { try verify(payload, of: signed, by: node.hostPublicKey) }
        }
    }

    private func verify(_ payload: [UInt8], of signed: [UInt8], by key: PublicKey) throws {
        var reader = ByteReader(payload.span)
        let signature = try Signature(decoding: try reader.readString())
        try reader.finish()
        try key.verify(signature, over: signed)
    }
}
