/// Finds `~.` at the beginning of a line that a person types, as `ssh` does: it ends the session. `~~` sends one `~`.
package struct EscapeFilter {
    private enum State {
        case lineStart, line, tilde
    }

    private var state = State.lineStart

    package struct Filtered: Equatable {
        package let bytes: [UInt8]
        package let disconnects: Bool

        package init(bytes: [UInt8], disconnects: Bool) {
            self.bytes = bytes
            self.disconnects = disconnects
        }
    }

    package init() {}

    package mutating func filter(_ input: [UInt8]) -> Filtered {
        var output: [UInt8] = []
        output.reserveCapacity(input.count + 1)
        for byte in input {
            switch (state, byte) {
            case (.lineStart, UInt8(ascii: "~")):
                state = .tilde
                continue
            case (.tilde, UInt8(ascii: ".")):
                return Filtered(bytes: output, disconnects: true)
            case (.tilde, UInt8(ascii: "~")):
                output.append(byte)
                state = .line
                continue
            case (.tilde, _):
                output.append(UInt8(ascii: "~"))
            case (.lineStart, _), (.line, _):
                break
            }
            output.append(byte)
            state = byte == 0x0d || byte == 0x0a ? .lineStart : .line
        }
        return Filtered(bytes: output, disconnects: false)
    }
}
