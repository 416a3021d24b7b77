internal import Base
internal import ClusterModel
internal import SSHEngine
internal import SSHNet
internal import SSHWire

/// Who holds a tunnel, by a certificate that has been believed.
struct AgentIdentity {
    /// What a tunnel leads to.
    enum Destination {
        /// A cluster that dials this one.
        case site(String)
        /// A site that is listed here, whose agent is a plain OpenSSH client.
        case opensshSite(String)
        /// One node of this cluster, by its UUID.
        case node(uuid: String)
    }

    let destination: Destination
    /// `UUID.CLUSTER`; of a plain OpenSSH client, which has no name of its own, `SITE from ADDRESS`, so that a site may run several.
    let agent: String
    /// The key that signed the certificate.
    let authority: PublicKey
    /// Unix time at which the certificate ends.
    let validBefore: UInt64
}

extension AgentIdentity.Destination {
    /// The name under which a ``SiteDirectory`` has it.
    var name: String {
        switch self {
        case .site(let name), .opensshSite(let name): name
        case .node(let uuid): uuid
        }
    }

    /// For the texts that users read.
    var title: String {
        switch self {
        case .site(let name), .opensshSite(let name): "site \(name)"
        case .node(let uuid): "node \(uuid)"
        }
    }
}

extension AgentIdentity {
    /// A host: a proxy of a leaf for its site, or a node of this cluster for itself.
    ///
    /// - Parameter user: the user name that it comes under.
    init(host certificate: Certificate, user: String, in snapshot: ClusterSnapshot, now: UnixTime) throws(TeleportError) {
        let accepted: AcceptedCertificate
        do throws(CertificateDistrust) {
            accepted = try HostCertificateCheck(authorities: snapshot.hostAuthorities).judge(certificate, name: user, now: now)
        } catch {
            throw .accessDenied("the agent's certificate is not accepted: \(error.explanation)", cause: error)
        }
        let cluster = accepted.authority.cluster
        guard certificate.keyID == user else { throw .accessDenied("the user name is not the certificate's key id") }
        guard certificate.extensions[CertificateExtension.authority] == cluster else {
            throw .accessDenied("the certificate does not name its cluster")
        }
        switch certificate.extensions[CertificateExtension.role] {
        case SystemRole.proxy.rawValue:
            guard snapshot.leafClusters.contains(cluster) else { throw .accessDenied("cluster \(cluster) is no site of this one") }
            destination = .site(cluster)
        case SystemRole.node.rawValue:
            guard cluster == snapshot.clusterName else {
                throw .accessDenied("a node of cluster \(cluster) opens no tunnel to a proxy of \(snapshot.clusterName)")
            }
            destination = .node(uuid: try Self.uuid(of: certificate, in: cluster))
        default: throw .accessDenied("the certificate's role opens no tunnel")
        }
        agent = certificate.keyID
        authority = accepted.authority.key
        validBefore = certificate.validBefore
    }

    /// From the key id `UUID.CLUSTER`.
    private static func uuid(of certificate: Certificate, in cluster: String) throws(TeleportError) -> String {
        guard certificate.keyID.hasSuffix(".\(cluster)") else { throw .accessDenied("the certificate's key id is no host's of \(cluster)") }
        let uuid = String(certificate.keyID.dropLast(cluster.utf8.count + 1))
        try Names.checkUUID(uuid)
        return uuid
    }
}

extension AgentIdentity {
    /// A plain OpenSSH client, which has user certificates only: one of this cluster's own user authority, without principals, whose critical option
    /// names a site that is listed here.
    ///
    /// - Parameter site: the user name that it comes under.
    init(
        openSSH certificate: Certificate, site: String, peer: SocketAddress?, in snapshot: ClusterSnapshot, now: UnixTime
    ) throws(TeleportError) {
        // Before anything else, so that whoever is no agent hears nothing of which sites there are.
        guard certificate.criticalOptions.contains(CriticalOption.site) else { throw .accessDenied("a user certificate is not a host's") }
        let accepted: AcceptedCertificate
        do throws(CertificateDistrust) {
            accepted = try UserCertificateCheck(authorities: snapshot.userAuthorities).judge(
                certificate, wanted: .site(site), cluster: snapshot.clusterName, source: peer?.ip, now: now)
        } catch {
            throw .accessDenied("the agent's certificate is not accepted: \(error.explanation)", cause: error)
        }
        guard certificate.keyID == site else { throw .accessDenied("the user name is not the certificate's key id") }
        guard snapshot.opensshSites[site] != nil else { throw .accessDenied("there is no openssh_site \(site) in this cluster") }
        self.init(
            destination: .opensshSite(site), agent: "\(site) from \(peer?.description ?? "?")", authority: accepted.authority.key,
            validBefore: certificate.validBefore)
    }
}

/// What `ssh -R 0` asks for: to be sent every connection that we take at some address. There is none; the name is kept for what we send.
struct RemoteForward {
    private let address: String

    /// It asks for port 0, and is told which one it was given: the number only has to be the same afterwards.
    private static let port: UInt16 = 1

    /// - Returns: nil for any other request.
    init?(_ request: GlobalRequest) {
        guard case .tcpipForward(let address, 0)? = try? GlobalRequestType(name: request.name, payload: request.payload) else { return nil }
        self.address = address
    }

    /// RFC 4254 §7.1: the port that was bound.
    static var reply: [UInt8] {
        var writer = ByteWriter()
        writer.writeUInt32(UInt32(port))
        return writer.finish()
    }

    /// RFC 4254 §7.2. The user's address goes along for the agent's log.
    func endpoints(for destination: TransportDestination) -> ChannelOpenType.TCPIPEndpoints {
        let client = SocketAddress(destination.client)
        return ChannelOpenType.TCPIPEndpoints(
            host: address, port: Self.port, originatorAddress: client?.ip.map { "\($0)" } ?? "", originatorPort: client?.port ?? 0)
    }
}

extension ClusterSnapshot {
    /// Whether an agent may stay: what it leads to is still known here, and the key that signed for it still trusted for that.
    func vouches(for agent: AgentIdentity) -> Bool {
        switch agent.destination {
        case .site(let cluster):
            leafClusters.contains(cluster) && hostAuthorities.of(cluster: cluster).contains { $0.key == agent.authority }
        case .opensshSite(let site):
            opensshSites[site] != nil && userAuthorities.contains { $0.cluster == clusterName && $0.key == agent.authority }
        case .node:
            hostAuthorities.of(cluster: clusterName).contains { $0.key == agent.authority }
        }
    }

    /// In the snapshot of a listed site: the node that is meant, if the user's roles let them go to nodes with its labels.
    func listedNode(for destination: TransportDestination) throws(TeleportError) -> Node {
        guard case .node(let node, _) = try Router.local(host: destination.host, port: destination.port, in: self) else {
            throw .notFound("no node \(Names.quoted(destination.host)) in site \(clusterName)")
        }
        guard try RoleSet(names: destination.roles, known: roles).mayList(labels: node.labels) else {
            throw .accessDenied("no role of \(destination.user) allows node \(node.hostname) of site \(clusterName)")
        }
        return node
    }
}
