import Base
import ClientKit
import ClusterModel
import Crypto
import EventLoop
import SSHWire
import Testing

@Suite struct IdentityFileTests {
    let hub = TestCluster("hub", seed: 1)
    let east = TestCluster("east", seed: 2)

    private func file(tls: IdentityFile.TLS? = nil) throws -> IdentityFile {
        let keys = UserKeys(randomness: hub.randomness)
        return IdentityFile(
            privateKey: keys.sshPrivateKey, certificate: try hub.userCertificate(keys.ssh).text(),
            authorities: [hub.hostAuthority, east.hostAuthority],
            tls: tls)
    }

    @Test func `is read as it was written`() throws {
        let file = try file()
        #expect(try IdentityFile(parsing: file.text) == file)
        let tls = IdentityFile.TLS(
            privateKey: "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n",
            certificate: "-----BEGIN CERTIFICATE-----\nAQ==\n-----END CERTIFICATE-----\n",
            authorities: [
                "-----BEGIN CERTIFICATE-----\nAg==\n-----END CERTIFICATE-----\n",
                "-----BEGIN CERTIFICATE-----\nAw==\n-----END CERTIFICATE-----\n",
            ])
        let whole = try self.file(tls: tls)
        #expect(try IdentityFile(parsing: whole.text) == whole)
        #expect(try IdentityFile(parsing: whole.text).tls == tls)
    }

    @Test func `gives user, logins, cluster and the authorities of each cluster`() throws {
        let file = try IdentityFile(parsing: try file().text)
        let identity = try ClientIdentity(
            privateKey: file.privateKey, certificate: file.certificate, knownHosts: file.knownHosts, name: "test")
        #expect(identity.user == "alice")
        #expect(identity.logins == ["root", "deploy"])
        #expect(identity.cluster == "hub")
        #expect(Set(identity.hostAuthorities.map(\.cluster)) == ["hub", "east"])
    }

    @Test func `a key of OpenSSH's finds its certificate beside it`() throws {
        let directory = try TemporaryDirectory()
        let keys = UserKeys(randomness: hub.randomness)
        try FileIO.write(Array(keys.sshPrivateKey.utf8), to: "\(directory.path)/id")
        #expect(throws: TeleportError.self) { try ClientIdentity(file: "\(directory.path)/id", knownHosts: nil) }
        try FileIO.write(Array((try hub.userCertificate(keys.ssh).text() + "\n").utf8), to: "\(directory.path)/id-cert.pub")
        try FileIO.write(Array((IdentityFile.lines([hub.hostAuthority])[0] + "\n").utf8), to: "\(directory.path)/known_hosts")
        let identity = try ClientIdentity(file: "\(directory.path)/id", knownHosts: "\(directory.path)/known_hosts")
        #expect(identity.user == "alice" && identity.hostAuthorities.map(\.cluster) == ["hub"])
    }

    @Test func `remarks in an identity without authorities do not keep those beside it away`() throws {
        let directory = try TemporaryDirectory()
        let keys = UserKeys(randomness: hub.randomness)
        let text = "# of alice\n" + keys.sshPrivateKey + (try hub.userCertificate(keys.ssh).text()) + "\n# no authorities\n"
        try FileIO.write(Array(text.utf8), to: "\(directory.path)/id")
        try FileIO.write(Array((IdentityFile.lines([east.hostAuthority])[0] + "\n").utf8), to: "\(directory.path)/known_hosts")
        let identity = try ClientIdentity(file: "\(directory.path)/id", knownHosts: "\(directory.path)/known_hosts")
        #expect(identity.hostAuthorities.map(\.cluster) == ["east"])
    }

    @Test func `a certificate over another key is refused`() throws {
        let mine = UserKeys(randomness: SeededRandomness(seed: 20))
        let other = UserKeys(randomness: SeededRandomness(seed: 21))
        #expect(throws: TeleportError.self) {
            try ClientIdentity(
                privateKey: mine.sshPrivateKey, certificate: try hub.userCertificate(other.ssh).text(), knownHosts: [], name: "test")
        }
    }

    @Test(arguments: ["", "hello", "-----BEGIN OPENSSH PRIVATE KEY-----\nAA"])
    func `what holds no key is refused`(text: String) {
        #expect(throws: TeleportError.self) { try IdentityFile(parsing: text) }
    }

    @Test func `a certificate is good until the second that it names`() throws {
        let identity = try hub.identity()
        try identity.checkTime(now: TestCluster.now + .seconds(3599))
        #expect(throws: TeleportError.self) { try identity.checkTime(now: TestCluster.now + .seconds(3600)) }
    }
}

@Suite("known_hosts lines of authorities")
struct AuthorityLinesTests {
    let clusters = ["hub", "east", "far.east"].enumerated().map { TestCluster($0.element, seed: UInt64($0.offset) + 1) }

    private func lines() throws -> [(cluster: String, line: KnownHostsLine)] {
        try IdentityFile.lines(clusters.map(\.hostAuthority)).map { text in
            let line = try KnownHostsLine(line: text)
            return (line.comment, line)
        }
    }

    @Test func `each is an authority for plain names and for its own cluster's`() throws {
        for (cluster, line) in try lines() {
            #expect(line.marker == .certAuthority)
            #expect(line.matches(host: "db1"))
            #expect(line.matches(host: "10.0.0.1", port: 3022))
            #expect(line.matches(host: "db1.\(cluster)"))
        }
    }

    @Test func `a leaf's stands for no address of the hub's proxies`() throws {
        let hub = "hub.example.com"
        let line = try KnownHostsLine(
            line: AuthorityLines.knownHosts(clusters[1].hostAuthority.keys[0], cluster: "east", others: ["hub"], reserved: [hub]))
        #expect(!line.matches(host: hub))
        #expect(!line.matches(host: hub, port: 3023))
        #expect(line.matches(host: "db1"))
    }

    @Test func `none stands for a name that ends in another cluster's`() throws {
        for (cluster, line) in try lines() {
            for other in clusters.map(\.name) where other != cluster && !cluster.hasSuffix(".\(other)") {
                #expect(!line.matches(host: "db1.\(other)"), "\(cluster) for \(other)")
                #expect(!line.matches(host: "db1.\(other)", port: 3022), "\(cluster) for \(other)")
            }
        }
    }
}
