package import Base

/// A site's nodes, as they travel through a tunnel and out of a proxy's subsystem `proxynodes`.
package struct NodeList: Codable, Equatable, Sendable {
    package let nodes: [Node]

    /// The nodes that `identity` may log in to in some way, by name.
    package init(_ snapshot: ClusterSnapshot, visibleTo identity: AccessIdentity) {
        nodes = snapshot.visibleNodes(to: identity).sorted { ($0.hostname, $0.uuid) < ($1.hostname, $1.uuid) }
    }

    package init(json: [UInt8]) throws(TeleportError) {
        do {
            self = try JSONText.decode(Self.self, from: json)
        } catch {
            throw .connectionProblem("the proxy's list of nodes cannot be read", cause: error)
        }
    }

    package func json() throws(TeleportError) -> [UInt8] {
        do {
            return try JSONText.encodeBytes(self)
        } catch {
            throw .badParameter("the list of nodes cannot be written", cause: error)
        }
    }
}

/// The sites as a proxy's subsystem `proxysites` prints them: its own cluster first, then the others by name.
package struct SiteList: Equatable, Sendable {
    package struct Site: Codable, Equatable, Sendable {
        package let name: String
        /// `online`, or `offline` where no agent of the site holds a tunnel to the proxy.
        package let status: String
        /// Whether it is the proxy's own cluster.
        package let root: Bool
        /// Whether it is one that is listed here, of plain OpenSSH hosts; absent where it is not.
        package let openssh: Bool?
    }

    package let sites: [Site]

    /// - Parameter isConnected: whether an agent of that site holds a tunnel to the proxy.
    package init(_ snapshot: ClusterSnapshot, isConnected: (String) -> Bool) {
        sites =
            [Site(name: snapshot.clusterName, status: "online", root: true, openssh: nil)]
            + snapshot.siteNames.map { name in
                Site(
                    name: name, status: isConnected(name) ? "online" : "offline", root: false,
                    openssh: snapshot.opensshSites[name] != nil ? true : nil)
            }
    }

    package init(json: [UInt8]) throws(TeleportError) {
        do {
            sites = try JSONText.decode([Site].self, from: json)
        } catch {
            throw .connectionProblem("the proxy's list of sites cannot be read", cause: error)
        }
    }

    package func json() throws(TeleportError) -> [UInt8] {
        do {
            return try JSONText.encodeBytes(sites, pretty: true) + [UInt8(ascii: "\n")]
        } catch {
            throw .badParameter("the list of sites cannot be written", cause: error)
        }
    }
}
