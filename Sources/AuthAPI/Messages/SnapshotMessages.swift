package import ClusterModel

package struct SnapshotRequest: Codable, Sendable {
    /// The revision the caller has; 0 for none.
    package var after: Int64
    /// How long the server may wait for a newer one.
    package var waitSeconds: Int

    package init(after: Int64, waitSeconds: Int) {
        self.after = after
        self.waitSeconds = waitSeconds
    }

    private enum CodingKeys: String, CodingKey {
        case after
        case waitSeconds = "wait_seconds"
    }
}

/// nil: nothing newer came in the time.
package struct SnapshotResponse: Codable, Equatable, Sendable {
    package var state: ClusterState?

    package init(state: ClusterState?) {
        self.state = state
    }
}

/// Which leaf clusters hold a tunnel to the proxy that says so, and to which root clusters it holds one itself.
///
/// Names are dealt out to shards, and a report says all of the shards that it names and nothing of the others: so what a site's coming or going costs
/// does not grow with their number, and a report that is lost or said twice does no harm.
package struct TunnelReport: Codable, Equatable, Sendable {
    package struct Shard: Codable, Equatable, Sendable {
        package var number: Int
        package var connected: [String]

        package init(number: Int, connected: [String]) {
            self.number = number
            self.connected = connected
        }
    }

    /// A hundred thousand sites make some 400 names a shard.
    package static let shardCount = 256
    /// So much of it fits into a request and into a transaction of the store.
    package static let shardsMax = 64
    package static let namesMax = 512

    package var shards: [Shard]

    package init(shards: [Shard]) {
        self.shards = shards
    }

    /// FNV-1a of the name: the same in every process.
    package static func shard(of cluster: String) -> Int {
        let hash = cluster.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return Int((hash ^ hash >> 32) % UInt64(shardCount))
    }
}

package struct NodesResponse: Codable, Equatable, Sendable {
    package var nodes: [Node]

    package init(nodes: [Node]) {
        self.nodes = nodes
    }
}
