package import ClusterModel

/// A node in a listing, for scripts and for people.
package struct NodeLine: Encodable, Equatable, Sendable {
    package let name: String
    package let uuid: String
    package let addr: String
    package let labels: Labels
    package let cluster: String

    /// - Parameter cluster: the site that was asked.
    package init(_ node: Node, cluster: String) {
        name = node.hostname
        uuid = node.uuid
        addr = node.addr
        labels = node.labels
        self.cluster = node.cluster.isEmpty ? cluster : node.cluster
    }

    package static let columns = ["Node", "Address", "Labels", "UUID"]

    package var cells: [String] {
        [
            name, addr.isEmpty ? "(tunnel)" : addr,
            labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ","),
            uuid,
        ]
    }

    /// By name; nodes of one name by UUID.
    package static func sorted(_ nodes: [Node], cluster: String) -> [NodeLine] {
        nodes.map { NodeLine($0, cluster: cluster) }.sorted { ($0.name, $0.uuid) < ($1.name, $1.uuid) }
    }
}
