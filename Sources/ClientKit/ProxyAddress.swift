package import Base

/// A proxy as the command line names it: `HOST`, `HOST:WEBPORT`, or `HOST:WEBPORT,SSHPORT`.
package struct ProxyAddress: Equatable, Sendable {
    package let host: String
    package let webPort: UInt16
    package let sshPort: UInt16?

    package static let defaultWebPort: UInt16 = 3080
    package static let defaultSSHPort: UInt16 = 3023

    package init(_ text: String) throws(TeleportError) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count <= 2, let first = parts.first, !first.isEmpty else { throw Self.malformed(text) }
        if parts.count == 2 {
            guard let port = UInt16(parts[1]), port > 0 else { throw Self.malformed(text) }
            sshPort = port
        } else {
            sshPort = nil
        }
        if let pair = HostPort(String(first)), pair.port > 0 {
            host = pair.host
            webPort = pair.port
        } else {
            guard IPAddress(String(first)) != nil || !first.contains(":") else { throw Self.malformed(text) }
            host = String(first)
            webPort = Self.defaultWebPort
        }
    }

    private static func malformed(_ text: String) -> TeleportError {
        .badParameter("--proxy=\(text) is not HOST, HOST:WEBPORT or HOST:WEBPORT,SSHPORT")
    }
}
