import Base
import ClientKit
import ClusterModel
import SSHEngine
import SSHWire
import Testing

@Suite("A rogue server to our clients")
struct HostTrustTests {
    let hub = TestCluster("hub", seed: 1)
    let east = TestCluster("east", seed: 2)
    let stranger = TestCluster("hub", seed: 3)
    let key = PrivateKey.generate(randomness: SeededRandomness(seed: 9))

    private func isAccepted(_ host: Certificate, name: String = "db1", cluster: String = "hub") throws -> Bool {
        try hub.identity(trusting: [east]).judge(.certificate(host), name: name, cluster: cluster, now: TestCluster.now) == .accept
    }

    private func node(_ cluster: TestCluster, _ names: [String] = ["db1", "db1.hub"], claims: String? = nil, role: String? = "Node") throws
        -> Certificate
    {
        try cluster.sign(.host, key: key.publicKey, id: "uuid.\(cluster.name)", principals: names, cluster: claims, role: role)
    }

    @Test func `the node that was asked for is believed`() throws {
        #expect(try isAccepted(try node(hub)))
        #expect(try isAccepted(try node(east, ["db1"]), cluster: "east"))
    }

    @Test func `under another authority of the same name it is refused`() throws {
        #expect(try !isAccepted(try node(stranger)))
    }

    @Test func `a node with another name is refused`() throws {
        #expect(try !isAccepted(try node(hub, ["db2"])))
    }

    @Test func `a host of one site is refused as a host of another`() throws {
        #expect(try !isAccepted(try node(east)))
        #expect(try !isAccepted(try node(east, claims: "hub")))
        #expect(try !isAccepted(try node(hub), cluster: "east"))
    }

    @Test func `a user certificate is refused as a host's`() throws {
        #expect(try !isAccepted(try hub.sign(.user, key: key.publicKey, id: "db1", principals: ["db1"])))
    }

    @Test func `an expired certificate is refused`() throws {
        let expired = try hub.sign(.host, key: key.publicKey, id: "x", principals: ["db1"], validFor: .seconds(0))
        #expect(try !isAccepted(expired))
    }

    @Test func `a bare key is refused`() throws {
        let identity = try hub.identity()
        #expect(identity.judge(.key(key.publicKey), name: "db1", cluster: "hub", now: TestCluster.now) != .accept)
    }

    // MARK: A site that is listed in our cluster

    /// Logged in to the hub, which lists `db1` of `branch` with this key.
    private func isListed(_ host: KeyIdentity, key: PrivateKey?, name: String = "db1", site: String = "branch") throws -> Bool {
        let keys = UserKeys(randomness: hub.randomness)
        let branch = OpenSSHSite(
            name: "branch",
            nodes: [OpenSSHSite.Host(name: "db1", addr: "10.1.0.5:22", hostKeys: key.map { [$0.publicKey.text()] } ?? [])])
        let identity = try ClientIdentity(
            privateKey: keys.sshPrivateKey, certificate: try hub.userCertificate(keys.ssh).text(),
            knownHosts: IdentityFile.lines([hub.hostAuthority, east.hostAuthority]) + branch.knownHosts().map(\.line), name: "test")
        return identity.judgeNode(host, name: name, site: site, now: TestCluster.now) == .accept
    }

    private func isListed(
        _ host: Certificate, key: PrivateKey? = nil, name: String = "db1", site: String = "branch"
    ) throws -> Bool {
        try isListed(.certificate(host), key: key, name: name, site: site)
    }

    @Test func `a host of a listed site is known by the key that is listed for it`() throws {
        #expect(try isListed(.key(key.publicKey), key: key))
        #expect(try isListed(.key(key.publicKey), key: key, name: "10.1.0.5"))
        // Also where it shows a certificate of somebody else.
        #expect(try isListed(try node(stranger), key: key))
    }

    @Test func `another key, another name and another site are refused`() throws {
        let other = PrivateKey.generate(randomness: SeededRandomness(seed: 10))
        #expect(try !isListed(.key(other.publicKey), key: key))
        #expect(try !isListed(.key(key.publicKey), key: nil))
        #expect(try !isListed(.key(key.publicKey), key: key, name: "db2"))
        for site in ["east", "hub", "other"] { #expect(try !isListed(.key(key.publicKey), key: key, site: site), "\(site)") }
    }

    @Test func `a host of a listed site is known by a certificate of our cluster that names it with its site`() throws {
        #expect(try isListed(try node(hub, ["db1", "db1.branch"])))
        // A host of the hub itself, which bears the same name.
        #expect(try !isListed(try node(hub)))
        #expect(try !isListed(try node(east, ["db1", "db1.branch"])))
        #expect(try !isListed(try node(hub, ["db1", "db1.east"]), site: "east"))
    }

    @Test func `a proxy of our cluster is known by its role under any name`() throws {
        let identity = try hub.identity(trusting: [east])
        func isAccepted(_ host: Certificate, as name: String) -> Bool {
            identity.judgeProxy(.certificate(host), name: name, now: TestCluster.now) == .accept
        }
        #expect(isAccepted(try node(hub, ["proxy"], role: "Proxy"), as: "10.1.2.3"))
        #expect(isAccepted(try node(hub, ["bastion"], role: nil), as: "bastion"))
        #expect(!isAccepted(try node(hub, ["db1"], role: "Node"), as: "10.1.2.3"))
        #expect(!isAccepted(try node(east, ["proxy"], role: "Proxy"), as: "proxy"))
        #expect(!isAccepted(try node(east, ["proxy"], claims: "hub", role: "Proxy"), as: "proxy"))
    }
}
