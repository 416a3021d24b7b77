internal import Base

/// The kinds of resource that `tctl create`, `get` and `rm` know.
package enum ResourceKind: String, CaseIterable, Codable, Sendable {
    case user
    case role
    case token
    case trustedCluster = "trusted_cluster"
    case remoteCluster = "remote_cluster"
    case reverseTunnel = "reverse_tunnel"
    case opensshSite = "openssh_site"
    case node
    case proxy
    case certificateAuthority = "cert_authority"

    /// The kind of that name; `ca`, `users`, `nodes` and the like are what people type.
    package init?(typed name: String) {
        let singular = name.hasSuffix("ies") ? String(name.dropLast(3)) + "y" : name.hasSuffix("s") ? String(name.dropLast()) : name
        guard let kind = Self(rawValue: name) ?? Self(rawValue: singular) ?? (singular == "ca" ? .certificateAuthority : nil) else {
            return nil
        }
        self = kind
    }
}

/// A part of the cluster's state that has a name, in the one form that files, the store and the API share:
/// `{"kind": …, "metadata": {"name": …}, "spec": {…}}`. A key that is not known is refused wherever it stands.
package protocol ResourceBody: Codable, Equatable, Sendable {
    static var kind: ResourceKind { get }
    var name: String { get }
}

/// Any resource, told apart by its kind.
package enum Resource: Codable, Equatable, Sendable {
    case user(User)
    case role(Role)
    case token(ProvisionToken)
    case trustedCluster(TrustedCluster)
    case remoteCluster(RemoteCluster)
    case reverseTunnel(ReverseTunnelRecord)
    case opensshSite(OpenSSHSite)
    case node(Node)
    case proxy(ProxyRecord)
    case certificateAuthority(CertificateAuthority)

    package var body: any ResourceBody {
        switch self {
        case .user(let body): body
        case .role(let body): body
        case .token(let body): body
        case .trustedCluster(let body): body
        case .remoteCluster(let body): body
        case .reverseTunnel(let body): body
        case .opensshSite(let body): body
        case .node(let body): body
        case .proxy(let body): body
        case .certificateAuthority(let body): body
        }
    }

    package var kind: ResourceKind { type(of: body).kind }
    package var name: String { body.name }

    package init(from decoder: any Decoder) throws {
        let kind = try decoder.container(keyedBy: EnvelopeKeys.self).decode(ResourceKind.self, forKey: .kind)
        switch kind {
        case .user: self = .user(try User(from: decoder))
        case .role: self = .role(try Role(from: decoder))
        case .token: self = .token(try ProvisionToken(from: decoder))
        case .trustedCluster: self = .trustedCluster(try TrustedCluster(from: decoder))
        case .remoteCluster: self = .remoteCluster(try RemoteCluster(from: decoder))
        case .reverseTunnel: self = .reverseTunnel(try ReverseTunnelRecord(from: decoder))
        case .opensshSite: self = .opensshSite(try OpenSSHSite(from: decoder))
        case .node: self = .node(try Node(from: decoder))
        case .proxy: self = .proxy(try ProxyRecord(from: decoder))
        case .certificateAuthority: self = .certificateAuthority(try CertificateAuthority(from: decoder))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        try body.encode(to: encoder)
    }
}

enum EnvelopeKeys: String, CodingKey, CaseIterable { case kind, version, metadata, spec }
enum MetadataKeys: String, CodingKey, CaseIterable { case name }

/// Any key at all: to see which ones are there.
private struct AnyKey: CodingKey {
    let stringValue: String
    let intValue: Int? = nil
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

extension Decoder {
    /// A container of `Keys` that holds no other key.
    package func strictContainer<Keys: CodingKey & CaseIterable>(keyedBy keys: Keys.Type) throws -> KeyedDecodingContainer<Keys> {
        for key in try container(keyedBy: AnyKey.self).allKeys where Keys(stringValue: key.stringValue) == nil {
            let known = Keys.allCases.map(\.stringValue).joined(separator: ", ")
            throw TeleportError.badParameter("\(path)unknown key \(Names.quoted(key.stringValue)); known here: \(known)")
        }
        return try container(keyedBy: keys)
    }

    private var path: String {
        codingPath.isEmpty ? "" : codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".") + ": "
    }

    /// The name and the specification of a resource of this kind.
    func resource<Keys: CodingKey & CaseIterable>(
        _ kind: ResourceKind, keys: Keys.Type
    ) throws -> (name: String, spec: KeyedDecodingContainer<Keys>) {
        let envelope = try strictContainer(keyedBy: EnvelopeKeys.self)
        let found = try envelope.decode(ResourceKind.self, forKey: .kind)
        guard found == kind else { throw TeleportError.badParameter("kind is \(found.rawValue), not \(kind.rawValue)") }
        let metadata = try envelope.superDecoder(forKey: .metadata).strictContainer(keyedBy: MetadataKeys.self)
        let spec = try envelope.superDecoder(forKey: .spec).strictContainer(keyedBy: keys)
        return (try metadata.decode(String.self, forKey: .name), spec)
    }
}

extension Encoder {
    func resource<Keys: CodingKey>(_ kind: ResourceKind, name: String, keys: Keys.Type) throws -> KeyedEncodingContainer<Keys> {
        var envelope = container(keyedBy: EnvelopeKeys.self)
        try envelope.encode(kind, forKey: .kind)
        var metadata = envelope.nestedContainer(keyedBy: MetadataKeys.self, forKey: .metadata)
        try metadata.encode(name, forKey: .name)
        return envelope.nestedContainer(keyedBy: keys, forKey: .spec)
    }
}
