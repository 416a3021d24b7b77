internal import Base

/// The client's side of a SOCKS 5 CONNECT without authentication (RFC 1928 §3-6): what to send, and what the server's answer is worth.
///
///     greeting, request ▶  ◀ method, reply
///
/// Greeting and request go out together, so that the answer is one round trip away: OpenSSH's `ssh -R` and other servers read them from one buffer.
package struct SocksConnect: Sendable {
    /// Why a server connects nowhere.
    package enum Refusal: Error, Equatable, Sendable {
        /// The answer is not one of SOCKS 5.
        case notSocks
        /// RFC 1928 §3: the server wants a method of authentication that was not offered.
        case noMethod
        /// RFC 1928 §6: the reply's code.
        case reply(UInt8)

        package var explanation: String {
            switch self {
            case .notSocks: "does not answer as a SOCKS 5 server"
            case .noMethod: "wants authentication for its SOCKS"
            case .reply(1): "says: general SOCKS server failure"
            case .reply(2): "says: connection not allowed by ruleset"
            case .reply(3): "says: network unreachable"
            case .reply(4): "says: host unreachable"
            case .reply(5): "says: connection refused"
            case .reply(6): "says: TTL expired"
            case .reply(7): "says: command not supported"
            case .reply(8): "says: address type not supported"
            case .reply(let code): "says: SOCKS error \(code)"
            }
        }
    }

    /// To be sent first.
    package let opening: [UInt8]
    private var answer: [UInt8] = []

    private static let version: UInt8 = 5
    private static let nameBytesMax = 255

    /// - Parameters:
    ///   - host: an address, or a name that the server looks up: 1 to 255 bytes.
    package init(host: String, port: UInt16) {
        var writer: [UInt8] = [Self.version, 1, 0, Self.version, 1, 0]
        if let bytes = IPAddress(host)?.bytes {
            writer.append(bytes.count == 4 ? 1 : 4)
            writer += bytes
        } else {
            let name = Array(host.utf8)
            precondition((1...Self.nameBytesMax).contains(name.count), "a host name was checked before")
            writer += [3, UInt8(name.count)] + name
        }
        opening = writer + [UInt8(port >> 8), UInt8(port & 0xff)]
    }

    /// - Returns: once the server has connected, how many bytes of `data` were its answer: what follows is the target's. Nil while it goes on.
    package mutating func receive(_ data: Span<UInt8>) throws(Refusal) -> Int? {
        let before = answer.count
        // An answer is no longer than this, whatever comes.
        for index in 0..<min(data.count, Self.answerBytesMax - before) { answer.append(data[index]) }
        guard let length = try length(), answer.count >= length else { return nil }
        return length - before
    }

    /// Method, and a reply with the longest name.
    private static let answerBytesMax = 2 + 4 + 1 + nameBytesMax + 2

    /// How long the answer is; nil while that is not known.
    private func length() throws(Refusal) -> Int? {
        guard try byte(0, { $0 == Self.version }), let method = at(1) else { return nil }
        guard method == 0 else { throw method == 0xff ? .noMethod : .notSocks }
        guard try byte(2, { $0 == Self.version }), let code = at(3) else { return nil }
        guard code == 0 else { throw .reply(code) }
        guard try byte(4, { $0 == 0 }), let type = at(5) else { return nil }
        switch type {
        case 1: return 2 + 4 + 4 + 2
        case 4: return 2 + 4 + 16 + 2
        case 3: return at(6).map { 2 + 4 + 1 + Int($0) + 2 }
        default: throw .notSocks
        }
    }

    private func at(_ index: Int) -> UInt8? { index < answer.count ? answer[index] : nil }

    /// - Returns: whether the byte is there.
    private func byte(_ index: Int, _ isRight: (UInt8) -> Bool) throws(Refusal) -> Bool {
        guard let byte = at(index) else { return false }
        guard isRight(byte) else { throw .notSocks }
        return true
    }
}
