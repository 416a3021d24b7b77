package import Base

/// Where a node listens when a client asks it to (`tcpip-forward`, RFC 4254 §7.1).
///
/// On this machine's own loopback, whatever address the client names, as OpenSSH does with `GatewayPorts no`: the port is for who has a
/// login here, not for the network. Only an explicit loopback address picks one of the two.
package enum ForwardAddress {
    /// Ports below are for root (ip(7)).
    package static let unprivilegedPort: UInt16 = 1024

    package static func bound(to requested: String) -> [IPAddress] {
        switch IPAddress(requested) {
        case .loopback4: [.loopback4]
        case .loopback6: [.loopback6]
        default: [.loopback4, .loopback6]
        }
    }
}
