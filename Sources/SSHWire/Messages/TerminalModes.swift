package import Base

/// Encoded terminal modes (RFC 4254 §8): opcodes with a `uint32` each, ended by `TTY_OP_END`.
package struct TerminalModes: WireCodable, Equatable {
    /// The opcodes that this code gives a meaning by name; the mapping to `termios` is where the terminal is.
    package enum Opcode {
        package static let end: UInt8 = 0
        package static let inputSpeed: UInt8 = 128
        package static let outputSpeed: UInt8 = 129
        /// Opcodes from here on are not defined; reading stops at one (RFC 4254 §8).
        package static let undefined: UInt8 = 160
    }

    package struct Mode: Equatable, Sendable {
        package var opcode: UInt8
        package var value: UInt32

        package init(opcode: UInt8, value: UInt32) {
            self.opcode = opcode
            self.value = value
        }
    }

    /// One of each opcode that there can be.
    package static let modesMax = 160

    /// In the order sent; opcodes are 1...159, a later one of the same opcode wins.
    package var modes: [Mode]

    package init(_ modes: [Mode] = []) {
        self.modes = modes
    }

    package subscript(opcode: UInt8) -> UInt32? {
        modes.last { $0.opcode == opcode }?.value
    }

    /// Bytes that end without `TTY_OP_END` are accepted, as OpenSSH does, if they end between two modes.
    package init(parsing reader: inout ByteReader) throws(WireError) {
        modes = []
        while reader.remaining > 0 {
            let opcode = try reader.readByte()
            if opcode == Opcode.end || opcode >= Opcode.undefined {
                _ = try reader.readSpan(count: reader.remaining)
                return
            }
            guard modes.count < Self.modesMax else { throw .tooLong(modes.count + 1) }
            modes.append(Mode(opcode: opcode, value: try reader.readUInt32()))
        }
    }

    package func write(to writer: inout ByteWriter) {
        for mode in modes {
            writer.writeByte(mode.opcode)
            writer.writeUInt32(mode.value)
        }
        writer.writeByte(Opcode.end)
    }
}
