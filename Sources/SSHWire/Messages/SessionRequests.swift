package import Base

/// A terminal's size (RFC 4254 §6.2, §6.7).
package struct WindowSize: WireCodable, Equatable {
    package var columns: UInt32
    package var rows: UInt32
    package var widthPixels: UInt32
    package var heightPixels: UInt32

    package init(columns: UInt32, rows: UInt32, widthPixels: UInt32 = 0, heightPixels: UInt32 = 0) {
        self.columns = columns
        self.rows = rows
        self.widthPixels = widthPixels
        self.heightPixels = heightPixels
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        columns = try reader.readUInt32()
        rows = try reader.readUInt32()
        widthPixels = try reader.readUInt32()
        heightPixels = try reader.readUInt32()
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeUInt32(columns)
        writer.writeUInt32(rows)
        writer.writeUInt32(widthPixels)
        writer.writeUInt32(heightPixels)
    }
}

/// The fields of `pty-req` (RFC 4254 §6.2).
package struct PseudoTerminalRequest: Equatable, Sendable {
    /// The value of `TERM`.
    package var terminal: String
    package var size: WindowSize
    package var modes: TerminalModes

    package init(terminal: String, size: WindowSize, modes: TerminalModes = TerminalModes()) {
        self.terminal = terminal
        self.size = size
        self.modes = modes
    }
}

/// What is asked of, or said about, a session's channel (RFC 4254 §6).
package enum SessionRequest: Equatable, Sendable {
    /// `pty-req` (§6.2).
    case pseudoTerminal(PseudoTerminalRequest)
    /// `env` (§6.4).
    case environment(name: String, value: String)
    /// `shell` (§6.5).
    case shell
    /// `exec` (§6.5): the command's bytes, which need not be UTF-8 but hold no NUL.
    case exec(command: [UInt8])
    /// `subsystem` (§6.5).
    case subsystem(name: String)
    /// `window-change` (§6.7).
    case windowChange(WindowSize)
    /// `signal` (§6.9): the name without `SIG`.
    case signal(name: String)
    /// `break` (RFC 4335).
    case breakSignal(milliseconds: UInt32)
    /// `exit-status` (§6.10).
    case exitStatus(UInt32)
    /// `exit-signal` (§6.10): the name without `SIG`.
    case exitSignal(name: String, coreDumped: Bool, message: String)
    /// `eow@openssh.com` (PROTOCOL): the sender of this takes no more data, its own goes on.
    case endOfWrite
    /// `auth-agent-req@openssh.com` (PROTOCOL.agent).
    case agentForwarding
    case other(type: String, payload: [UInt8])

    package static let environmentValueMax = 32768
    package static let subsystemNameMax = 1024

    package init(type: String, payload: [UInt8]) throws(WireError) {
        var reader = ByteReader(payload.span)
        switch type {
        case "pty-req":
            let terminal = try reader.readPlainText(max: FieldLimit.name)
            let size = try WindowSize(parsing: &reader)
            let modes = try TerminalModes(decoding: try reader.readStringSpan())
            self = .pseudoTerminal(PseudoTerminalRequest(terminal: terminal, size: size, modes: modes))
        case "env":
            let name = try reader.readPlainText(max: FieldLimit.user)
            let value = try reader.readText(max: Self.environmentValueMax)
            guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "=")) else { throw .badValue("environment name") }
            guard !value.utf8.contains(0) else { throw .badValue("NUL") }
            self = .environment(name: name, value: value)
        case "shell":
            self = .shell
        case "exec":
            let command = try reader.readString(max: FieldLimit.command)
            guard !command.contains(0) else { throw .badValue("NUL") }
            self = .exec(command: command)
        case "subsystem":
            self = .subsystem(name: try reader.readPlainText(max: Self.subsystemNameMax))
        case "window-change":
            self = .windowChange(try WindowSize(parsing: &reader))
        case "signal":
            self = .signal(name: try reader.readName())
        case "break":
            self = .breakSignal(milliseconds: try reader.readUInt32())
        case "exit-status":
            self = .exitStatus(try reader.readUInt32())
        case "exit-signal":
            let name = try reader.readName()
            let coreDumped = try reader.readBoolean()
            let message = try reader.readMessage()
            try reader.skipLanguageTag()
            self = .exitSignal(name: name, coreDumped: coreDumped, message: message)
        case "eow@openssh.com":
            self = .endOfWrite
        case "auth-agent-req@openssh.com":
            self = .agentForwarding
        default:
            self = .other(type: type, payload: payload)
            return
        }
        try reader.finish()
    }

    package var type: String {
        switch self {
        case .pseudoTerminal: "pty-req"
        case .environment: "env"
        case .shell: "shell"
        case .exec: "exec"
        case .subsystem: "subsystem"
        case .windowChange: "window-change"
        case .signal: "signal"
        case .breakSignal: "break"
        case .exitStatus: "exit-status"
        case .exitSignal: "exit-signal"
        case .endOfWrite: "eow@openssh.com"
        case .agentForwarding: "auth-agent-req@openssh.com"
        case .other(let type, _): type
        }
    }

    package func payload() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .pseudoTerminal(let request):
            writer.writeText(request.terminal)
            request.size.write(to: &writer)
            writer.writeString(request.modes.encoded())
        case .environment(let name, let value):
            writer.writeText(name)
            writer.writeText(value)
        case .shell, .endOfWrite, .agentForwarding:
            break
        case .exec(let command):
            writer.writeString(command)
        case .subsystem(let name), .signal(let name):
            writer.writeText(name)
        case .windowChange(let size):
            size.write(to: &writer)
        case .breakSignal(let number), .exitStatus(let number):
            writer.writeUInt32(number)
        case .exitSignal(let name, let coreDumped, let message):
            writer.writeText(name)
            writer.writeBoolean(coreDumped)
            writer.writeText(message)
            writer.writeLanguageTag()
        case .other(_, let payload):
            writer.writeRaw(payload)
        }
        return writer.finish()
    }
}
