package import Base

/// What kind of channel is asked for, with the fields of that kind.
package enum ChannelOpenType: Equatable, Sendable {
    /// `session` (RFC 4254 §6.1).
    case session
    /// `direct-tcpip` (RFC 4254 §7.2): connect to the target for me.
    case directTCPIP(TCPIPEndpoints)
    /// `forwarded-tcpip` (RFC 4254 §7.2): somebody connected to what you asked me to listen on.
    case forwardedTCPIP(TCPIPEndpoints)
    /// `direct-streamlocal@openssh.com` (PROTOCOL, Unix domain socket forwarding).
    case directStreamLocal(path: String)
    /// `forwarded-streamlocal@openssh.com` (PROTOCOL, Unix domain socket forwarding): somebody connected to the path you asked me to listen on.
    case forwardedStreamLocal(path: String)
    /// `auth-agent@openssh.com` (PROTOCOL.agent): toward a client that forwards its agent.
    case agent
    /// `teleport-transport`: toward an agent, with the destination as JSON text.
    case transport(destination: String)
    case other(type: String, payload: [UInt8])

    /// A host and port, and where the connection comes from.
    package struct TCPIPEndpoints: Equatable, Sendable {
        /// The target of `direct-tcpip`; the address that was connected of `forwarded-tcpip`.
        package var host: String
        package var port: UInt16
        package var originatorAddress: String
        package var originatorPort: UInt16

        package init(host: String, port: UInt16, originatorAddress: String, originatorPort: UInt16) {
            self.host = host
            self.port = port
            self.originatorAddress = originatorAddress
            self.originatorPort = originatorPort
        }
    }

    /// A destination is a few names and addresses.
    package static let destinationMax = 4096

    package init(type: String, payload: [UInt8]) throws(WireError) {
        var reader = ByteReader(payload.span)
        switch type {
        case "session":
            self = .session
        case "direct-tcpip":
            self = .directTCPIP(try Self.readEndpoints(&reader))
        case "forwarded-tcpip":
            self = .forwardedTCPIP(try Self.readEndpoints(&reader))
        case "direct-streamlocal@openssh.com":
            let path = try reader.readPlainText(max: FieldLimit.socketPath)
            // Two reserved fields.
            _ = try reader.readString(max: FieldLimit.message)
            _ = try reader.readUInt32()
            self = .directStreamLocal(path: path)
        case "forwarded-streamlocal@openssh.com":
            let path = try reader.readPlainText(max: FieldLimit.socketPath)
            // A reserved field.
            _ = try reader.readString(max: FieldLimit.message)
            self = .forwardedStreamLocal(path: path)
        case "auth-agent@openssh.com":
            self = .agent
        case "teleport-transport":
            self = .transport(destination: try reader.readText(max: Self.destinationMax))
        default:
            self = .other(type: type, payload: payload)
            return
        }
        try reader.finish()
    }

    package var type: String {
        switch self {
        case .session: "session"
        case .directTCPIP: "direct-tcpip"
        case .forwardedTCPIP: "forwarded-tcpip"
        case .directStreamLocal: "direct-streamlocal@openssh.com"
        case .forwardedStreamLocal: "forwarded-streamlocal@openssh.com"
        case .agent: "auth-agent@openssh.com"
        case .transport: "teleport-transport"
        case .other(let type, _): type
        }
    }

    package func payload() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .session, .agent:
            break
        case .directTCPIP(let endpoints), .forwardedTCPIP(let endpoints):
            writer.writeText(endpoints.host)
            writer.writeUInt32(UInt32(endpoints.port))
            writer.writeText(endpoints.originatorAddress)
            writer.writeUInt32(UInt32(endpoints.originatorPort))
        case .directStreamLocal(let path):
            writer.writeText(path)
            writer.writeText("")
            writer.writeUInt32(0)
        case .forwardedStreamLocal(let path):
            writer.writeText(path)
            writer.writeText("")
        case .transport(let destination):
            writer.writeText(destination)
        case .other(_, let payload):
            writer.writeRaw(payload)
        }
        return writer.finish()
    }

    private static func readEndpoints(_ reader: inout ByteReader) throws(WireError) -> TCPIPEndpoints {
        TCPIPEndpoints(
            host: try reader.readPlainText(max: FieldLimit.host), port: try reader.readPort(),
            originatorAddress: try reader.readPlainText(max: FieldLimit.host), originatorPort: try reader.readPort())
    }
}
