internal import Base

/// Where a client of a SOCKS proxy wants to go.
package struct SocksRequest: Equatable, Sendable {
    package enum Version: Equatable, Sendable {
        /// SOCKS 4, with the host names of 4a.
        case four
        /// RFC 1928.
        case five
    }

    package let version: Version
    /// A name, or the text of an address.
    package let host: String
    package let port: UInt16

    package init(version: Version, host: String, port: UInt16) {
        self.version = version
        self.host = host
        self.port = port
    }

    package enum Outcome: Equatable, Sendable {
        case connected
        /// RFC 1928 §6: not allowed by ruleset.
        case notAllowed
        /// RFC 1928 §6: connection refused.
        case connectionRefused
    }

    /// What the client is told about how it went.
    package func reply(_ outcome: Outcome) -> [UInt8] {
        switch (version, outcome) {
        case (.four, .connected): Self.reply4(0x5a)
        case (.four, .notAllowed), (.four, .connectionRefused): Self.reply4(0x5b)
        case (.five, .connected): Self.reply5(0)
        case (.five, .notAllowed): Self.reply5(2)
        case (.five, .connectionRefused): Self.reply5(5)
        }
    }

    static func reply4(_ code: UInt8) -> [UInt8] { [0, code, 0, 0, 0, 0, 0, 0] }
    /// The bound address is nobody's business: 0.0.0.0:0, as OpenSSH has it.
    static func reply5(_ code: UInt8) -> [UInt8] { [5, code, 0, 1, 0, 0, 0, 0, 0, 0] }
}

/// Why a client of a SOCKS proxy is sent away.
package struct SocksError: Error, Equatable, Sendable {
    package let reason: String
    /// What it is told first.
    package let reply: [UInt8]
}

/// The proxy's side of a SOCKS conversation up to the request: bytes in, answers and the request out.
///
///     SOCKS 4, 4a    request ▶                            (RFC 1928 names no document; OpenSSH's channels.c has the same form)
///     SOCKS 5        methods ▶  ◀ method  request ▶       (RFC 1928 §3-4; no authentication: the listener is on loopback)
///
/// Whoever reaches the listener is a stranger: nothing is kept above ``bytesMax``.
package struct SocksNegotiation: Sendable {
    private enum State {
        case version, request5, done
    }

    private var state = State.version
    private var bytes: [UInt8] = []

    /// SOCKS 5: at most 257 bytes of methods and 262 of request. SOCKS 4a: 8, and a user and a host of at most 255 each.
    package static let bytesMax = 600
    private static let nameBytesMax = 255

    package init() {}

    package struct Step: Equatable, Sendable {
        /// To be sent back.
        package var output: [UInt8] = []
        /// Once it is whole.
        package var request: SocksRequest?
        /// What the client sent behind its request: for the target.
        package var rest: [UInt8] = []
    }

    /// - Throws: what is to be answered before the connection is closed.
    package mutating func receive(_ data: Span<UInt8>) throws(SocksError) -> Step {
        precondition(state != .done, "the request is whole: what follows is the target's")
        bytes.append(copying: data)
        var step = Step()
        if state == .version, bytes.first == 5 {
            guard let length = try methodsLength() else { return try incomplete(step) }
            bytes.removeFirst(length)
            step.output = [5, 0]
            state = .request5
        }
        guard let (request, length) = state == .request5 ? try request5() : try request4() else { return try incomplete(step) }
        state = .done
        step.request = request
        step.rest = Array(bytes[length...])
        bytes = []
        return step
    }

    private func incomplete(_ step: Step) throws(SocksError) -> Step {
        guard bytes.count <= Self.bytesMax else { throw SocksError(reason: "the request is too long", reply: []) }
        return step
    }

    /// RFC 1928 §3: version, number of methods, methods.
    private func methodsLength() throws(SocksError) -> Int? {
        guard bytes.count >= 2, bytes.count >= 2 + Int(bytes[1]) else { return nil }
        let length = 2 + Int(bytes[1])
        guard bytes[2..<length].contains(0) else {
            throw SocksError(reason: "it offers no method that goes without authentication", reply: [5, 0xff])
        }
        return length
    }

    /// RFC 1928 §4: version, command, reserved, address type, address, port.
    private func request5() throws(SocksError) -> (SocksRequest, length: Int)? {
        guard let version = bytes.first else { return nil }
        guard version == 5 else { throw SocksError(reason: "the request is of another version", reply: []) }
        guard bytes.count >= 5 else { return nil }
        guard bytes[1] == 1 else { throw SocksError(reason: "it asks for something other than CONNECT", reply: SocksRequest.reply5(7)) }
        let (begin, count): (Int, Int)
        switch bytes[3] {
        case 1: (begin, count) = (4, 4)
        case 3: (begin, count) = (5, Int(bytes[4]))
        case 4: (begin, count) = (4, 16)
        default: throw SocksError(reason: "the type of its address is unknown", reply: SocksRequest.reply5(8))
        }
        let end = begin + count
        guard bytes.count >= end + 2 else { return nil }
        let address = bytes[begin..<end]
        let host =
            bytes[3] == 3 ? try name(address, reply: SocksRequest.reply5(1)) : IPAddress(bytes: Array(address)).map { "\($0)" } ?? ""
        return (SocksRequest(version: .five, host: host, port: port(at: end)), end + 2)
    }

    /// Version, command, port, address, user and NUL; an address 0.0.0.x is followed by a host name and NUL (4a).
    private func request4() throws(SocksError) -> (SocksRequest, length: Int)? {
        guard let version = bytes.first else { return nil }
        guard version == 4 else { throw SocksError(reason: "it does not speak SOCKS", reply: []) }
        let refusal = SocksRequest.reply4(0x5b)
        guard bytes.count >= 8 else { return nil }
        guard bytes[1] == 1 else { throw SocksError(reason: "it asks for something other than CONNECT", reply: refusal) }
        guard let userEnd = try end(from: 8, refusal) else { return nil }
        let address = Array(bytes[4..<8])
        if address[..<3] == [0, 0, 0], address[3] != 0 {
            guard let hostEnd = try end(from: userEnd + 1, refusal) else { return nil }
            let host = try name(bytes[(userEnd + 1)..<hostEnd], reply: refusal)
            return (SocksRequest(version: .four, host: host, port: port(at: 2)), hostEnd + 1)
        }
        return (
            SocksRequest(version: .four, host: IPAddress(bytes: address).map { "\($0)" } ?? "", port: port(at: 2)), userEnd + 1
        )
    }

    /// Where the text that begins at `index` has its NUL.
    private func end(from index: Int, _ refusal: [UInt8]) throws(SocksError) -> Int? {
        guard index <= bytes.count else { return nil }
        if let end = bytes[index...].prefix(Self.nameBytesMax + 1).firstIndex(of: 0) { return end }
        guard bytes.count - index <= Self.nameBytesMax else { throw SocksError(reason: "a name is too long", reply: refusal) }
        return nil
    }

    private func port(at index: Int) -> UInt16 { UInt16(bytes[index]) << 8 | UInt16(bytes[index + 1]) }

    /// A host name in plain letters: what stands in it goes into messages.
    private func name(_ name: ArraySlice<UInt8>, reply: [UInt8]) throws(SocksError) -> String {
        guard !name.isEmpty, name.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw SocksError(reason: "the host name holds characters that no host name has", reply: reply)
        }
        return String(decoding: name, as: UTF8.self)
    }
}
