package import Base
package import ClusterModel

/// What a `teleport-transport` channel's open message carries: where the agent should dial, and for whom.
package struct TransportDestination: Codable, Equatable, Sendable {
    /// A node's name, UUID or address; or one of the services of the other side, ``authService`` or ``nodeList``.
    package let host: String
    /// 0 stands for whatever port the node has.
    package let port: UInt16
    /// The user who asked, for the agent's log.
    package let user: String
    /// The user's roles in the proxy's cluster: what ``nodeList`` shows depends on them, a session never does.
    package let roles: [String]
    /// The user's own address, for the agent's log.
    package let client: String

    /// The auth API, mutual TLS inside: the site's, where a proxy asks; the proxy's own cluster's, where the agent of one of its nodes asks.
    package static let authService = "@auth"
    /// The site's registered nodes as JSON.
    package static let nodeList = "@nodes"

    package init(host: String, port: UInt16, user: String, roles: [String], client: String) {
        self.host = host
        self.port = port
        self.user = user
        self.roles = roles
        self.client = client
    }

    /// A node's own SSH server, through the tunnel that it holds.
    package init(to node: Node, for user: String, from client: String) {
        self.init(host: node.uuid, port: 0, user: user, roles: [], client: client)
    }

    package init(json: String) throws(TeleportError) {
        do {
            self = try JSONText.decode(Self.self, from: json)
        } catch {
            throw .badParameter("the transport's destination is not what this agent understands", cause: error)
        }
    }

    package func json() throws(TeleportError) -> String {
        do {
            return try JSONText.encode(self)
        } catch {
            throw .badParameter("the transport's destination cannot be written", cause: error)
        }
    }
}

/// Every proxy of the root cluster, as the tunnel server tells its agents in a global request.
package struct ProxyAnnouncement: Codable, Equatable, Sendable {
    /// The tunnel servers' addresses, `HOST:PORT`.
    package let tunnels: [String]

    /// The global request's name (RFC 4250 §4.6.1: a name of our own has an `@`).
    package static let requestName = "proxies@teleport"

    package static let bytesMax = 64 * 1024

    package init(tunnels: [String]) {
        self.tunnels = tunnels
    }

    package init(json: [UInt8]) throws(TeleportError) {
        guard json.count <= Self.bytesMax else { throw .badParameter("the list of proxies is too long") }
        do {
            self = try JSONText.decode(Self.self, from: json)
        } catch {
            throw .badParameter("the list of proxies is not what this agent understands", cause: error)
        }
    }

    package func json() throws(TeleportError) -> [UInt8] {
        do {
            return try JSONText.encodeBytes(self)
        } catch {
            throw .badParameter("the list of proxies cannot be written", cause: error)
        }
    }
}
