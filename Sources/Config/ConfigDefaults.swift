package import Base
internal import ClusterModel

/// Every default, in one place.
package enum ConfigDefaults {
    package static let file = "/etc/teleport.yaml"
    package static let dataDir = "/var/lib/teleport"

    package static let nodePort: UInt16 = 3022
    package static let proxyPort: UInt16 = 3023
    package static let tunnelPort: UInt16 = 3024
    package static let authPort: UInt16 = 3025
    package static let webPort: UInt16 = 3080
    package static let diagnosticsPort: UInt16 = 3000
    package static let listenIP = IPAddress.any4

    package static let logOutput = LogOutput.standardError
    package static let logSeverity = LogSeverity.info
    package static let logFormat = LogFormat.text

    /// Below the 20,000 descriptors that a service usually may have, with room for what a connection opens.
    package static let maxConnections = 15_000
    /// An office, or all of Ansible, may share one address.
    package static let maxPerAddress = 1000
    /// Strangers that are still talking: what OpenSSH's MaxStartups is for.
    package static let maxUnauthenticated = 500
    /// From the first byte to a login; a person at a slow agent's prompt needs some of it.
    package static let authenticationDeadline: Duration = .seconds(30)

    /// The host's own name, without what a name may not have.
    static func nodename(hostname: String) -> String {
        do throws(TeleportError) {
            try Names.checkNode(hostname)
            return hostname
        } catch {
            return "localhost"
        }
    }

    /// A cluster that nobody named is called as the host of its auth server.
    static func clusterName(nodename: String) -> String {
        let name = nodename.lowercased()
        do throws(TeleportError) {
            try Names.checkCluster(name)
            return name
        } catch {
            return "localhost"
        }
    }
}
