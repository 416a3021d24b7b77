package import Base
package import ClusterModel
internal import FoundationEssentials
package import SSHNet

/// A site's registered nodes, as they travel through a tunnel and out of the proxy's `proxynodes`.
package struct NodeList: Codable, Sendable {
    package let nodes: [Node]

    /// The nodes that `identity` may log in to in some way.
    package init(_ snapshot: ClusterSnapshot, visibleTo identity: AccessIdentity) {
        nodes = snapshot.visibleNodes(to: identity).sorted { ($0.hostname, $0.uuid) < ($1.hostname, $1.uuid) }
    }

    package init(json: [UInt8]) throws(TeleportError) {
        do {
            self = try JSONDecoder().decode(Self.self, from: Data(json))
        } catch {
            throw .badParameter("the list of nodes is not what this program understands", cause: error)
        }
    }

    package func json() throws(TeleportError) -> [UInt8] {
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return Array(try encoder.encode(self))
        } catch {
            throw .badParameter("the list of nodes cannot be written", cause: error)
        }
    }
}

/// A channel that gives one text and ends.
package final class NodeListChannel: ChannelHandler {
    private init() {}

    static func serve(_ bytes: [UInt8], _ request: ChannelOpenRequest) {
        let channel = request.accept(handler: NodeListChannel())
        channel.write(bytes)
        channel.sendEOF()
        channel.close()
    }

    package func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        channel.consumed(data.count)
    }

    package func channelClosed(_ channel: SSHChannel) {}
}
