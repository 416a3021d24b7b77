internal import Base
internal import CLibuv
internal import Glibc

/// The rows and columns of a terminal, with its size in pixels where that is known.
package struct TerminalSize: Equatable, Sendable {
    package var columns: UInt16
    package var rows: UInt16
    package var widthPixels: UInt16
    package var heightPixels: UInt16

    package init(columns: UInt16, rows: UInt16, widthPixels: UInt16 = 0, heightPixels: UInt16 = 0) {
        self.columns = columns
        self.rows = rows
        self.widthPixels = widthPixels
        self.heightPixels = heightPixels
    }

    init?(of descriptor: CInt) {
        var size = winsize()
        guard unsafe shim_get_terminal_size(descriptor, &size) == 0 else { return nil }
        self.init(columns: size.ws_col, rows: size.ws_row, widthPixels: size.ws_xpixel, heightPixels: size.ws_ypixel)
    }

    func apply(to descriptor: CInt) throws(TeleportError) {
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: widthPixels, ws_ypixel: heightPixels)
        guard unsafe shim_set_terminal_size(descriptor, &size) == 0 else { throw UVError.errno("resizing a terminal") }
    }
}

/// The terminal modes of RFC 4254 §8 as the system has them.
package enum TerminalModes {
    private enum Mode {
        case character(CInt)
        case flag(any WritableKeyPath<termios, tcflag_t> & Sendable, CInt)
        /// A value inside of a field, such as the size of a character.
        case field(CInt, mask: CInt)
    }

    private static let table: [UInt8: Mode] = [
        1: .character(VINTR), 2: .character(VQUIT), 3: .character(VERASE), 4: .character(VKILL), 5: .character(VEOF),
        6: .character(VEOL), 7: .character(VEOL2), 8: .character(VSTART), 9: .character(VSTOP), 10: .character(VSUSP),
        12: .character(VREPRINT), 13: .character(VWERASE), 14: .character(VLNEXT), 18: .character(VDISCARD),
        30: .flag(\.c_iflag, IGNPAR), 31: .flag(\.c_iflag, PARMRK), 32: .flag(\.c_iflag, INPCK), 33: .flag(\.c_iflag, ISTRIP),
        34: .flag(\.c_iflag, INLCR), 35: .flag(\.c_iflag, IGNCR), 36: .flag(\.c_iflag, ICRNL), 37: .flag(\.c_iflag, IUCLC),
        38: .flag(\.c_iflag, IXON), 39: .flag(\.c_iflag, IXANY), 40: .flag(\.c_iflag, IXOFF), 41: .flag(\.c_iflag, IMAXBEL),
        42: .flag(\.c_iflag, IUTF8),
        50: .flag(\.c_lflag, ISIG), 51: .flag(\.c_lflag, ICANON), 52: .flag(\.c_lflag, XCASE), 53: .flag(\.c_lflag, ECHO),
        54: .flag(\.c_lflag, ECHOE), 55: .flag(\.c_lflag, ECHOK), 56: .flag(\.c_lflag, ECHONL), 57: .flag(\.c_lflag, NOFLSH),
        58: .flag(\.c_lflag, TOSTOP), 59: .flag(\.c_lflag, IEXTEN), 60: .flag(\.c_lflag, ECHOCTL), 61: .flag(\.c_lflag, ECHOKE),
        62: .flag(\.c_lflag, PENDIN),
        70: .flag(\.c_oflag, OPOST), 71: .flag(\.c_oflag, OLCUC), 72: .flag(\.c_oflag, ONLCR), 73: .flag(\.c_oflag, OCRNL),
        74: .flag(\.c_oflag, ONOCR), 75: .flag(\.c_oflag, ONLRET),
        90: .field(CS7, mask: CSIZE), 91: .field(CS8, mask: CSIZE), 92: .flag(\.c_cflag, PARENB), 93: .flag(\.c_cflag, PARODD),
    ]
    /// A control character that does nothing.
    private static let disabled: UInt32 = 255

    /// Sets what is known of `modes`; opcodes that this system lacks are passed over, as the RFC asks.
    static func apply(_ modes: [UInt8: UInt32], to descriptor: CInt) throws(TeleportError) {
        var settings = termios()
        guard unsafe tcgetattr(descriptor, &settings) == 0 else { throw UVError.errno("reading the modes of a terminal") }
        for (opcode, value) in modes.sorted(by: { $0.key < $1.key }) {
            switch table[opcode] {
            case .character(let index):
                let character = value == disabled ? 0 : cc_t(truncatingIfNeeded: value)
                unsafe shim_set_control_character(&settings, index, character)
            case .flag(let path, let bit):
                if value != 0 { settings[keyPath: path] |= tcflag_t(bit) } else { settings[keyPath: path] &= ~tcflag_t(bit) }
            case .field(let bits, let mask):
                if value != 0 { settings.c_cflag = settings.c_cflag & ~tcflag_t(mask) | tcflag_t(bits) }
            case nil: break
            }
        }
        guard unsafe tcsetattr(descriptor, TCSANOW, &settings) == 0 else { throw UVError.errno("setting the modes of a terminal") }
    }

    /// The modes of a terminal, for a `pty-req`; nil where the descriptor is none.
    static func read(from descriptor: CInt) -> [UInt8: UInt32]? {
        var settings = termios()
        guard unsafe tcgetattr(descriptor, &settings) == 0 else { return nil }
        return table.mapValues { mode in
            switch mode {
            case .character(let index):
                let character = unsafe shim_get_control_character(&settings, index)
                return character == 0 ? disabled : UInt32(character)
            case .flag(let path, let bit): return settings[keyPath: path] & tcflag_t(bit) == 0 ? 0 : 1
            case .field(let bits, let mask): return settings.c_cflag & tcflag_t(mask) == tcflag_t(bits) ? 1 : 0
            }
        }
    }
}
