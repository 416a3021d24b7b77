internal import Base

/// Why the other side of a copy does not speak the protocol of `scp`.
package struct SCPError: Error, Equatable, Sendable {
    package let message: String

    package init(_ message: String) {
        self.message = message
    }
}

/// What the source of a copy says before each thing that it sends, a line each (`rcp`'s protocol, as OpenSSH's `scp -O` has it).
package enum SCPRecord: Equatable, Sendable {
    /// `T`: the times of the file or directory that comes next, in seconds since 1970.
    case times(modification: Int64, access: Int64)
    /// `C`: a file, whose bytes follow.
    case file(mode: UInt32, size: Int64, name: [UInt8])
    /// `D`: what follows is in this directory, until its ``end``.
    case directory(mode: UInt32, name: [UInt8])
    /// `E`
    case end

    /// Names of 255 bytes are what file systems have; the rest is numbers.
    package static let lineBytesMax = 4096
    private static let modeMax: UInt32 = 0o7777

    /// - Parameter line: without its newline.
    package init(line: [UInt8]) throws(SCPError) {
        switch line.first {
        case UInt8(ascii: "T"): self = try Self.times(line.dropFirst())
        case UInt8(ascii: "C"):
            let (mode, size, name) = try Self.entry(line.dropFirst())
            self = .file(mode: mode, size: size, name: name)
        case UInt8(ascii: "D"):
            let (mode, _, name) = try Self.entry(line.dropFirst())
            self = .directory(mode: mode, name: name)
        case UInt8(ascii: "E") where line.count == 1: self = .end
        default: throw SCPError("protocol error: unexpected record")
        }
    }

    private static func times(_ fields: ArraySlice<UInt8>) throws(SCPError) -> SCPRecord {
        let fields = fields.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard fields.count == 4, let modification = number(fields[0], radix: 10), number(fields[1], radix: 10) != nil,
            let access = number(fields[2], radix: 10), number(fields[3], radix: 10) != nil
        else { throw SCPError("protocol error: bad times") }
        return .times(modification: modification, access: access)
    }

    /// A mode of four octal digits, a size, and all the rest is the name.
    private static func entry(_ fields: ArraySlice<UInt8>) throws(SCPError) -> (mode: UInt32, size: Int64, name: [UInt8]) {
        let fields = fields.split(separator: UInt8(ascii: " "), maxSplits: 2, omittingEmptySubsequences: false)
        guard fields.count == 3, fields[0].count == 4, let mode = number(fields[0], radix: 8) else {
            throw SCPError("protocol error: bad mode")
        }
        guard let size = number(fields[1], radix: 10) else { throw SCPError("protocol error: bad size") }
        let name = Array(fields[2])
        guard isPlain(name) else { throw SCPError("protocol error: unexpected filename") }
        return (UInt32(mode) & modeMax, size, name)
    }

    /// Digits and nothing else.
    private static func number(_ digits: ArraySlice<UInt8>, radix: Int) -> Int64? {
        guard !digits.isEmpty, digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        return Int64(String(decoding: digits, as: UTF8.self), radix: radix)
    }

    /// Whether a name is one component of a path, and one that stays where it is put.
    package static func isPlain(_ name: [UInt8]) -> Bool {
        let dot = UInt8(ascii: ".")
        return !name.isEmpty && name != [dot] && name != [dot, dot]
            && !name.contains { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\n") || $0 == 0 }
    }

    /// The line with its newline.
    package func encoded() -> [UInt8] {
        switch self {
        case .times(let modification, let access): Array("T\(modification) 0 \(access) 0\n".utf8)
        case .file(let mode, let size, let name): Self.line("C", mode, size, name)
        case .directory(let mode, let name): Self.line("D", mode, 0, name)
        case .end: Array("E\n".utf8)
        }
    }

    private static func line(_ letter: String, _ mode: UInt32, _ size: Int64, _ name: [UInt8]) -> [UInt8] {
        let octal = String(mode & modeMax, radix: 8)
        return Array("\(letter)\(String(repeating: "0", count: 4 - octal.count))\(octal) \(size) ".utf8) + name + Array("\n".utf8)
    }
}

/// What each side answers to what the other has sent.
package enum SCPResponse: Equatable, Sendable {
    case ok
    /// This one thing failed; the copy goes on.
    case warning(String)
    /// The copy ends.
    case fatal(String)

    private static let warningByte: UInt8 = 1
    private static let fatalByte: UInt8 = 2
    /// A sentence with a path in it.
    package static let textBytesMax = 8192

    /// Reads a response from the beginning of `input`.
    ///
    /// - Returns: nil while some of it is missing.
    package static func parse(_ input: Span<UInt8>) throws(SCPError) -> (used: Int, response: SCPResponse)? {
        guard input.count > 0 else { return nil }
        if input[0] == 0 { return (1, .ok) }
        guard let line = try lineBytes(input, max: textBytesMax) else { return nil }
        // What begins with another byte is a text of its own: that of a shell, for example, that could not start the other side.
        let isMarked = input[0] == warningByte || input[0] == fatalByte
        let text = String(decoding: isMarked ? Array(line.dropFirst()) : line, as: UTF8.self)
        return (line.count + 1, input[0] == warningByte ? .warning(text) : .fatal(text))
    }

    package func encoded() -> [UInt8] {
        switch self {
        case .ok: [0]
        case .warning(let text): [Self.warningByte] + Self.line(text)
        case .fatal(let text): [Self.fatalByte] + Self.line(text)
        }
    }

    private static func line(_ text: String) -> [UInt8] {
        text.utf8.prefix(textBytesMax - 2).map { $0 == UInt8(ascii: "\n") ? UInt8(ascii: " ") : $0 } + [UInt8(ascii: "\n")]
    }

    /// What comes before the first newline; nil while there is none.
    static func lineBytes(_ input: Span<UInt8>, max: Int) throws(SCPError) -> [UInt8]? {
        for index in 0..<min(input.count, max) where input[index] == UInt8(ascii: "\n") {
            return Array(copying: input.extracting(first: index))
        }
        guard input.count < max else { throw SCPError("protocol error: line too long") }
        return nil
    }
}
