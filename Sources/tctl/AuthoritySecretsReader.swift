import AuthAPI
import Base
import ClientKit
import ClusterModel
import Config
import Programs

/// The private halves of this cluster's authorities, read from the auth server's own data directory: no call of the API gives them.
enum AuthoritySecretsReader {
    private struct Document: Encodable {
        struct Metadata: Encodable {
            let name: String
        }
        struct Spec: Encodable {
            let type: String
            let cluster_name: String
            let private_keys: [String]
        }

        let kind = ResourceKind.certificateAuthority.rawValue
        let metadata: Metadata
        let spec: Spec

        init(_ secrets: AuthoritySecrets) {
            metadata = Metadata(name: "\(secrets.type.rawValue)/\(secrets.cluster)")
            spec = Spec(type: secrets.type.rawValue, cluster_name: secrets.cluster, private_keys: secrets.privateKeys)
        }
    }

    /// - Parameter name: `TYPE/CLUSTER`, a cluster, or nil for all.
    static func show(config: String?, name: String?, format: GetCommand.Format) throws(TeleportError) {
        let directory = try AdminConnection.local(config).dataDirectory
        let documents = try LocalAuthorities.load(dataDirectory: directory).map(Document.init).filter {
            name == nil || $0.metadata.name == name || $0.spec.cluster_name == name
        }
        guard !documents.isEmpty else { throw .notFound("no private half of cert_authority \(name ?? "") is kept here") }
        switch format {
        case .json: print(try JSONOutput.text(documents))
        case .yaml:
            var texts: [String] = []
            for document in documents { texts.append(try ResourceYAML.text(json: Array(try JSONOutput.text(document).utf8))) }
            print(texts.joined(separator: "---\n"), terminator: "")
        }
    }
}
