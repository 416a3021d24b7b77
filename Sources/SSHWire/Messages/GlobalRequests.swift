package import Base

/// `SSH_MSG_GLOBAL_REQUEST` (RFC 4254 §4). ``GlobalRequestType`` reads `payload`.
package struct GlobalRequestMessage: SSHMessage {
    package static let number = MessageNumber.globalRequest
    package var name: String
    package var wantReply: Bool
    /// The fields of the request.
    package var payload: [UInt8]

    package init(name: String, wantReply: Bool, payload: [UInt8] = []) {
        self.name = name
        self.wantReply = wantReply
        self.payload = payload
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        name = try reader.readName()
        wantReply = try reader.readBoolean()
        payload = reader.readRest()
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeText(name)
        writer.writeBoolean(wantReply)
        writer.writeRaw(payload)
    }
}

/// `SSH_MSG_REQUEST_SUCCESS` (RFC 4254 §4).
package struct RequestSuccessMessage: SSHMessage {
    package static let number = MessageNumber.requestSuccess
    /// The fields that the request's kind of answer has.
    package var payload: [UInt8]

    package init(payload: [UInt8] = []) {
        self.payload = payload
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        payload = reader.readRest()
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeRaw(payload)
    }
}

/// `SSH_MSG_REQUEST_FAILURE` (RFC 4254 §4).
package struct RequestFailureMessage: SSHMessage {
    package static let number = MessageNumber.requestFailure
    package init() {}
    package init(parsing reader: inout ByteReader) throws(WireError) {}
    package func write(to writer: inout ByteWriter) {}
}

/// What a global request asks for.
package enum GlobalRequestType: Equatable, Sendable {
    /// `tcpip-forward` (RFC 4254 §7.1): port 0 lets the server choose.
    case tcpipForward(address: String, port: UInt16)
    /// `cancel-tcpip-forward` (RFC 4254 §7.1).
    case cancelTCPIPForward(address: String, port: UInt16)
    /// `streamlocal-forward@openssh.com` (PROTOCOL, Unix domain socket forwarding).
    case streamLocalForward(path: String)
    /// `cancel-streamlocal-forward@openssh.com` (PROTOCOL, Unix domain socket forwarding).
    case cancelStreamLocalForward(path: String)
    /// `no-more-sessions@openssh.com` (PROTOCOL): the client opens no further session.
    case noMoreSessions
    /// `keepalive@openssh.com`: any answer will do.
    case keepalive
    /// `hostkeys-00@openssh.com` (PROTOCOL, host key update): blobs of public keys.
    case hostKeys([[UInt8]])
    /// `hostkeys-prove-00@openssh.com` (PROTOCOL, host key update): the success's payload is one signature a key, over
    /// ``hostKeyProof(of:sessionIdentifier:)``.
    case hostKeysProve([[UInt8]])
    case other(name: String, payload: [UInt8])

    /// No server has more host keys than this.
    package static let hostKeysMax = 64
    private static let hostKeysProveName = "hostkeys-prove-00@openssh.com"

    package init(name: String, payload: [UInt8]) throws(WireError) {
        var reader = ByteReader(payload.span)
        switch name {
        case "tcpip-forward":
            self = .tcpipForward(address: try reader.readPlainText(max: FieldLimit.host), port: try reader.readPort())
        case "cancel-tcpip-forward":
            self = .cancelTCPIPForward(address: try reader.readPlainText(max: FieldLimit.host), port: try reader.readPort())
        case "streamlocal-forward@openssh.com":
            self = .streamLocalForward(path: try reader.readPlainText(max: FieldLimit.socketPath))
        case "cancel-streamlocal-forward@openssh.com":
            self = .cancelStreamLocalForward(path: try reader.readPlainText(max: FieldLimit.socketPath))
        case "no-more-sessions@openssh.com":
            self = .noMoreSessions
        case "keepalive@openssh.com":
            // Whatever a client puts into a keepalive, it is one.
            self = .keepalive
            return
        case "hostkeys-00@openssh.com":
            self = .hostKeys(try Self.readKeys(&reader))
        case Self.hostKeysProveName:
            self = .hostKeysProve(try Self.readKeys(&reader))
        default:
            self = .other(name: name, payload: payload)
            return
        }
        try reader.finish()
    }

    package var name: String {
        switch self {
        case .tcpipForward: "tcpip-forward"
        case .cancelTCPIPForward: "cancel-tcpip-forward"
        case .streamLocalForward: "streamlocal-forward@openssh.com"
        case .cancelStreamLocalForward: "cancel-streamlocal-forward@openssh.com"
        case .noMoreSessions: "no-more-sessions@openssh.com"
        case .keepalive: "keepalive@openssh.com"
        case .hostKeys: "hostkeys-00@openssh.com"
        case .hostKeysProve: Self.hostKeysProveName
        case .other(let name, _): name
        }
    }

    package func payload() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .tcpipForward(let address, let port), .cancelTCPIPForward(let address, let port):
            writer.writeText(address)
            writer.writeUInt32(UInt32(port))
        case .streamLocalForward(let path), .cancelStreamLocalForward(let path):
            writer.writeText(path)
        case .noMoreSessions, .keepalive:
            break
        case .hostKeys(let keys), .hostKeysProve(let keys):
            for key in keys { writer.writeString(key) }
        case .other(_, let payload):
            writer.writeRaw(payload)
        }
        return writer.finish()
    }

    /// What a server signs with the key of `blob`, to prove to the client of this session that it holds it.
    package static func hostKeyProof(of blob: [UInt8], sessionIdentifier: [UInt8]) -> [UInt8] {
        var writer = ByteWriter()
        writer.writeText(hostKeysProveName)
        writer.writeString(sessionIdentifier)
        writer.writeString(blob)
        return writer.finish()
    }

    private static func readKeys(_ reader: inout ByteReader) throws(WireError) -> [[UInt8]] {
        var keys: [[UInt8]] = []
        while reader.remaining > 0 {
            guard keys.count < hostKeysMax else { throw .tooLong(keys.count + 1) }
            keys.append(try reader.readString(max: FieldLimit.keyBlob))
        }
        return keys
    }
}
