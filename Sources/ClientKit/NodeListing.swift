package import Base
package import ClusterModel
internal import FoundationEssentials

/// Nodes as a proxy's `proxynodes` prints them.
package struct NodeListing: Codable, Sendable {
    package let nodes: [Node]

    package init(json: [UInt8]) throws(TeleportError) {
        do {
            self = try JSONDecoder().decode(Self.self, from: Data(json))
        } catch {
            throw .connectionProblem("the proxy's list of nodes cannot be read", cause: error)
        }
    }
}

/// A site as a proxy's `proxysites` prints it.
package struct SiteListing: Codable, Sendable {
    package let name: String
    package let status: String
    package let root: Bool

    package static func parse(_ json: [UInt8]) throws(TeleportError) -> [SiteListing] {
        do {
            return try JSONDecoder().decode([SiteListing].self, from: Data(json))
        } catch {
            throw .connectionProblem("the proxy's list of sites cannot be read", cause: error)
        }
    }
}
