internal import Base

/// Reads the peer's version line (RFC 4253 §4.2), byte by byte, and as a client the lines that may come before it.
struct Identification {
    /// With CR and LF.
    static let lineBytesMax = 255
    /// Lines before a server's version: RFC 4253 sets no limit; more than a screen of greeting is an attack.
    static let preambleLinesMax = 64
    static let preambleLineBytesMax = 1024

    private let reader: EngineRole
    private var line: [UInt8] = []
    private var preambleLines = 0

    init(reader: EngineRole) {
        self.reader = reader
    }

    /// Our own line, without CR and LF.
    static func ours(_ softwareVersion: String) -> String { "SSH-2.0-\(softwareVersion)" }

    /// - Returns: the version line without its end, when `byte` was its last.
    mutating func read(_ byte: UInt8) throws(SSHError) -> String? {
        guard byte == UInt8(ascii: "\n") else {
            line.append(byte)
            let isVersion = line.starts(with: Self.prefix.prefix(line.count))
            guard line.count < (isVersion ? Self.lineBytesMax : Self.preambleLineBytesMax) else { throw SSHError(.identificationTooLong) }
            if !isVersion, reader == .server { throw SSHError(.identificationMalformed) }
            return nil
        }
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        guard line.starts(with: Self.prefix) else {
            preambleLines += 1
            guard reader == .client else { throw SSHError(.identificationMalformed) }
            guard preambleLines <= Self.preambleLinesMax else { throw SSHError(.identificationTooLong) }
            line.removeAll(keepingCapacity: true)
            return nil
        }
        // Nothing but printable ASCII: the line goes into logs.
        guard line.allSatisfy({ (0x20...0x7e).contains($0) }) else { throw SSHError(.identificationMalformed) }
        let text = String(decoding: line, as: UTF8.self)
        line = []
        guard text.hasPrefix("SSH-2.0-") || (reader == .client && text.hasPrefix("SSH-1.99-")) else {
            throw SSHError(.versionNotSupported(String(text.prefix(64))))
        }
        guard text.utf8.count > "SSH-2.0-".utf8.count else { throw SSHError(.identificationMalformed) }
        return text
    }

    private static let prefix = Array("SSH-".utf8)
}
